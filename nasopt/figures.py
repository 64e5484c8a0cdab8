"""The figures of the report as Plotly figures, each with its title and caption.

    figure = nasopt.figures.front(nasopt.open("runs/digits.db").study())
    figure.show()
    figure.write_html("front.html")
    figure.write_image("front.png")  # needs the package kaleido

They take a `StudyResult`, a `ComparisonResult` (then they show all of its studies), or a study as
`nasopt.run` returns it. Where there is nothing to draw they raise StudyError with the reason.
"""

from collections.abc import Sequence
from typing import Literal

import optuna
import plotly.graph_objects as go

from nasopt.analysis.compared import ComparisonResult
from nasopt.analysis.curves import study_rows
from nasopt.analysis.examples import examples, shown
from nasopt.analysis.incumbents import course
from nasopt.analysis.record import Record
from nasopt.errors import StudyError
from nasopt.reporting import captions
from nasopt.reporting.figures import blocks, network_figure, titled
from nasopt.reporting.figures.drawing import most_filters
from nasopt.reporting.html import sections
from nasopt.reporting.html.sections import Section
from nasopt.results import StudyResult
from nasopt.space.architecture import Architecture
from nasopt.text import listed

__all__ = [
    "choices", "front", "importances", "incumbents", "learning_curves", "network", "samplers",
]  # fmt: skip

Drawable = StudyResult | ComparisonResult | optuna.Study
AXES = {"evaluations": "evaluation", "epochs": "total_epochs", "seconds": "total_seconds"}


def incumbents(
    result: Drawable, against: Literal["evaluations", "epochs", "seconds"] | None = None
) -> go.Figure:
    """Draw the best found so far `against` the cost, by default in the unit of the budget.

    A line is a sampler: the median over its studies, with a band between the quartiles.
    """
    studies = _studies(result)
    rows = result.by_sampler if isinstance(result, ComparisonResult) else study_rows(studies)
    found = course(studies, rows)
    section = sections.progress(found, studies)
    axis = found.axis if against is None else AXES[against]
    axes = sections.axes_of(found)
    if section.figures and axis not in axes:
        known = [name for name, each in AXES.items() if each in axes]
        raise StudyError(
            f"against={against!r}: not known of these studies; use {listed(known, 'or')}"
        )
    place = axes.index(axis) if axes else 0
    for figure in section.figures:  # in the report one legend stands beside all of them
        figure.update_layout(showlegend=True)
        figure.update_traces(showlegend=False, selector=lambda trace: trace.name is None)  # bands
    return _drawn(section, place)


def samplers(result: ComparisonResult) -> go.Figure:
    """Draw the samplers side by side: a dot a study, and the mean with its standard error."""
    return _drawn(sections.comparison(result))


def front(result: Drawable, cost: Literal["macs", "parameters"] = "macs") -> go.Figure:
    """Draw accuracy against `cost`: every network, and those that no other beats."""
    studies = _studies(result)
    return _drawn(sections.front(studies, shown(studies), cost))


def choices(result: Drawable) -> go.Figure:
    """Draw which choices the best networks have more often than all, layer by layer."""
    return _drawn(sections.choices(_studies(result)))


def importances(result: Drawable) -> go.Figure:
    """Draw how much each choice decides whether a network is among the best tenth."""
    return _drawn(sections.importance(_studies(result)))


def learning_curves(result: Drawable) -> go.Figure:
    """Draw the accuracy of each network after each epoch: pruned ones in grey, the best in red."""
    studies = _studies(result)
    found = examples(studies)
    best = None if found is None else (found.best.study, found.best.number)
    return _drawn(sections.learning(studies, shown(studies), best))


def network(result: StudyResult | optuna.Study, number: int | None = None) -> go.Figure:
    """Draw a network as a row of blocks: the best one, or that of trial `number`."""
    study = result if isinstance(result, StudyResult) else StudyResult(result)
    outcome = study.best if number is None else study.trial(number)
    chosen, space = outcome.architecture, study.record.space
    if not isinstance(chosen, Architecture) or space is None or space.input_shape is None:
        raise StudyError(f"study={study.name}: of a benchmark, whose networks cannot be drawn")
    row = blocks(chosen, space.input_shape, most_filters([chosen]))
    title = "The best network" if number is None else f"The network of trial {number}"
    return titled(network_figure(row), title, captions.about_network(outcome))


def _studies(result: Drawable) -> Sequence[Record]:
    if isinstance(result, ComparisonResult):
        return result.studies
    return [result.record if isinstance(result, StudyResult) else Record.of(result)]


def _drawn(section: Section, place: int = 0) -> go.Figure:
    if not section.figures:
        raise StudyError(f"figure={section.title}: nothing to draw; {section.missing}")
    return titled(section.figures[place], section.title, section.caption)
