"""The figures of a page, each with its caption; or the reason why there is nothing to show."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import plotly.graph_objects as go
from markupsafe import Markup

from nasopt.analysis.choices import FEWEST, Preferences, kind_of, preferences
from nasopt.analysis.compared import ComparisonResult
from nasopt.analysis.curves import AXES
from nasopt.analysis.examples import Shown
from nasopt.analysis.front import trade_off
from nasopt.analysis.importance import FEWEST as FEWEST_TRIALS
from nasopt.analysis.importance import importances
from nasopt.analysis.incumbents import IncumbentCurves
from nasopt.analysis.learning import epoch_by_epoch, learning_curves, savings
from nasopt.analysis.predictions import FEWEST as FEWEST_PREDICTIONS
from nasopt.analysis.predictions import predictions
from nasopt.analysis.record import Record
from nasopt.reporting import captions
from nasopt.reporting.figures import (
    choices_figure,
    comparison_figure,
    curves_figure,
    front_figure,
    importance_figure,
    learning_figure,
    predictions_figure,
)
from nasopt.reporting.figures.palette import Style, styles
from nasopt.reporting.names import kind_name, place_name
from nasopt.storage.record import TrialRecord
from nasopt.text import accuracy
from nasopt.training.metrics import in_words


@dataclass(frozen=True)
class Section:
    """The figures under one caption, and their numbers as a table (rows below a row of headers).

    Without figures `missing` has the reason. The usual title is that of `name`.
    """

    name: str
    caption: str = ""
    figures: tuple[go.Figure, ...] = ()
    missing: str = ""
    table: tuple[tuple[str, ...], ...] = ()
    legend: Mapping[str, Style] = field(default_factory=dict)  # of all figures together
    other_title: str = ""

    @property
    def title(self) -> str:
        return self.other_title or captions.TITLES[self.name]

    @property
    def data(self) -> list[Markup]:
        """The figures as JSON that may stand within a page's script."""
        return [Markup(figure.to_json().replace("<", "\\u003c")) for figure in self.figures]


def progress(found: IncumbentCurves, studies: Sequence[Record]) -> Section:
    two_objectives = len(studies[0].objectives) > 1
    title, best = "", "best so far"
    if two_objectives:
        title, best = "The front found so far (the share of all that it dominates)", "share so far"
    if not found.ends:
        return Section("progress", missing=captions.nothing_found(studies), other_title=title)
    return Section(
        "progress",
        captions.about_curves(found, two_objectives, studies[0].metric),
        tuple(curves_figure(found.curves, axis, best) for axis in axes_of(found)),
        table=(("sampler", "half way", "at the end"), *_halves(found)),
        legend=styles(curve.sampler for curve in found.curves),
        other_title=title,
    )


def axes_of(found: IncumbentCurves) -> list[str]:
    """Return the axes along which something is known, a figure each; none without a curve."""
    curves = found.curves if found.ends else ()
    known = {curve.axis for curve in curves if curve.positions[-1:] > (0,)}
    return [axis for axis in AXES if axis in known]


def _halves(found: IncumbentCurves) -> Iterator[tuple[str, ...]]:
    for curve in found.ends:
        middle = curve.median[(len(curve.median) - 1) // 2]
        so_far = " (under way)" if curve.sampler in found.under_way else ""
        yield f"{curve.sampler}{so_far}", accuracy(middle), accuracy(curve.median[-1])


def comparison(result: ComparisonResult | str) -> Section:
    """Return the section of the comparison; `result` may be the reason why there is none."""
    if isinstance(result, str):
        return Section("comparison", missing=result)
    return Section(
        "comparison",
        captions.about_spreads(result),
        (comparison_figure(result),),
        table=(("sampler", "its studies", "mean", "standard error"), *_spreads(result)),
    )


def _spreads(result: ComparisonResult) -> Iterator[tuple[str, ...]]:
    for each in result.spreads:
        scores = ", ".join(map(accuracy, sorted(each.scores, reverse=True)))
        yield each.sampler, scores, accuracy(each.mean), accuracy(each.error)


def learning(studies: Sequence[Record], shown: Shown, best: tuple[str, int] | None) -> Section:
    curves = learning_curves(studies)
    if not curves:
        return Section("learning", missing="no accuracy after an epoch is known")
    if max(len(curve.steps) for curve in curves) == 1:
        why = "no network was trained for a second epoch"
        if studies[0].epochs == 1:
            why = "every network has a single epoch"
        return Section("learning", missing=why)
    metric = studies[0].metric
    caption = captions.about_learning(savings(studies), metric)
    seen = [curve for curve in curves if (curve.study, curve.number) in shown.trials]
    rows = (
        (str(e.number), f"{e.trials:,}", *map(accuracy, (e.best, e.median, e.worst)))
        for e in epoch_by_epoch(curves)
    )
    return Section(
        "learning",
        caption,
        (learning_figure(seen, best, metric),),
        table=(("epoch", "trainings", f"best {in_words(metric)}", "in the middle", "worst"), *rows),
    )


def expectations(studies: Sequence[Record], shown: Shown) -> Section:
    found = predictions(studies)
    if found is None:
        why = f"that takes {FEWEST_PREDICTIONS} networks chosen by its model and trained to the end"
        return Section("beliefs", missing=why)
    seen = [each for each in found.trials if (each.study, each.number) in shown.trials]
    rows = (
        (
            f"{each.study}, {each.number}",
            accuracy(each.expected),
            f"{accuracy(each.low)} to {accuracy(each.high)}",
            accuracy(each.seen),
        )
        for each in seen
    )
    return Section(
        "beliefs",
        captions.about_predictions(found),
        (predictions_figure(seen),),
        table=(("study and trial", "expected", "interval of 95%", "seen"), *rows),
    )


def front(studies: Sequence[Record], shown: Shown, cost: str) -> Section:
    found = trade_off(studies, cost)
    if not found.points:
        records = (TrialRecord.of(trial) for study in studies for trial in study.counted)
        known = any(getattr(record, cost) is not None for record in records)
        why = captions.nothing_found(studies) if known else f"{cost} are not known"
        return Section(f"front-{cost}", missing=why, other_title=captions.front_title(found))
    seen = tuple(p for p in found.points if (p.study, p.number) in shown.trials or p in found.front)
    rows = (
        (f"{p.study}, {p.number}", accuracy(p.accuracy), captions.amount(p.cost, cost))
        for p in found.front
    )
    return Section(
        f"front-{cost}",
        captions.about_front(found),
        (front_figure(replace(found, points=seen)),),
        table=(("study and trial", in_words(found.metric), captions.COSTS[cost]), *rows),
        other_title=captions.front_title(found),
    )


def choices(studies: Sequence[Record]) -> Section:
    found = preferences(studies)
    if found is None:
        why = f"that takes {FEWEST} different networks, and three of them to be the best"
        return Section("choices", missing=why)
    return Section(
        "choices",
        captions.about_choices(found),
        (choices_figure(found),),
        table=(("choice", "layer", "of the best", "of all"), *_cells(found)),
    )


def importance(studies: Sequence[Record]) -> Section:
    found = importances(studies)
    if found is None:
        why = f"that takes {FEWEST_TRIALS} networks trained to their end, and choices that matter"
        return Section("importance", missing=why)
    rows = (
        (kind_name(kind_of(name)), place_name(name.partition(".")[0]), f"{share:.1%}")
        for name, share in found.shares.items()
    )
    return Section(
        "importance",
        captions.about_importances(found),
        (importance_figure(found),),
        table=(("choice", "layer", "share"), *rows),
    )


def _cells(found: Preferences) -> Iterator[tuple[str, ...]]:
    for kind in found.by_kind:
        for place, bests, tried in zip(kind.places, kind.best, kind.all, strict=True):
            for choice, best, each in zip(kind.choices, bests, tried, strict=True):
                if best is not None and each is not None:
                    name = f"{kind_name(kind.kind)} {choice}"
                    yield name, place_name(place), f"{best:.0%}", f"{each:.0%}"
