"""`Filling`: notes and plots of nasopt's studies, put where optuna-dashboard shows them."""

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import optuna
import plotly.graph_objects as go
import sqlalchemy as sa
from optuna.trial import TrialState

from nasopt.analysis.choices import choices
from nasopt.analysis.front import trade_off
from nasopt.analysis.outcome import result, studies_of
from nasopt.analysis.record import Record
from nasopt.analysis.selection import analyse, budget_of, is_done
from nasopt.claims import EXPERIMENT, Storage
from nasopt.dashboard.study_note import study_note
from nasopt.dashboard.view import View, ViewNotebook
from nasopt.errors import StudyError
from nasopt.figures import choices_figure, comparison_figure, front_figure
from nasopt.figures.palette import BASELINE
from nasopt.notes import Notebook, version_key
from nasopt.reads import TRIALS

REPLICATES = 3  # seeds with which a comparison trains its winners again, unless told otherwise
TITLE_WIDTH = 66  # characters
GREY = "#757575"  # optuna-dashboard shows a plot as it is, on white or, in the dark, on #1e1e1e
HEIGHT = 440  # pixels that optuna-dashboard gives a plot


class Filling:
    """What `storage` has of nasopt's studies, in notes and plots: `refresh` brings it up to date.

    `location` is the database as a command takes it. In a `View` nothing is written.
    """

    def __init__(self, storage: Storage, location: str) -> None:
        self.storage = storage
        self.location = location
        self.finished: Counter[int] = Counter()  # trials by study id, as they were filled in last

    def refresh(self) -> None:
        """Fill in the studies that have trials which ended since the last time."""
        finished = self._count()
        changed = finished - self.finished
        self.finished = finished
        if not changed:
            return
        studies = [
            optuna.load_study(study_name=name, storage=self.storage)
            for name in studies_of(self.storage)
        ]
        records = [Record.of(study) for study in studies]
        for study, record in zip(studies, records, strict=True):
            if study._study_id in changed:
                self._notes(study, record)
                _save(study, study_plots(record))
        for group in _groups(records):
            plots = comparison_plots(group, self.storage)
            names = {record.name for record in group}
            for study in studies:
                if study.study_name in names:
                    _save(study, plots)

    def _notes(self, study: optuna.Study, record: Record) -> None:
        known = self.storage.get_study_system_attrs(study._study_id)
        kind = ViewNotebook if isinstance(self.storage, View) else Notebook
        notebook = kind(self.storage, study._study_id, record.attrs)
        ended = (trial for trial in record.trials if trial.state.is_finished())
        notebook.write([t for t in ended if version_key(t._trial_id) not in known])
        text = study_note(record, result(study), study._study_id, self.location)
        notebook.write_study(text)

    def _count(self) -> Counter[int]:
        ended = TRIALS.c.state.not_in((TrialState.RUNNING, TrialState.WAITING))
        query = sa.select(TRIALS.c.study_id, sa.func.count()).where(ended)
        with self.storage.engine.connect() as connection:
            return Counter(dict(connection.execute(query.group_by(TRIALS.c.study_id)).all()))


def study_plots(record: Record) -> dict[str, go.Figure]:
    """Name -> plot, of those that have something to show."""
    plots = {}
    costs = trade_off([record], "macs")
    if costs.points:
        plots["accuracy-against-macs"] = _titled(
            front_figure(costs), "Accuracy against MACs: no network beats those on the line"
        )
    found = choices([record])
    if found is not None:
        plots["what-the-best-chose"] = _titled(
            choices_figure(found),
            f"What the best tenth of {found.networks} networks chose more often than all (blue), "
            "or less (red)",
        )
    return plots


def comparison_plots(group: Sequence[Record], storage: Storage) -> dict[str, go.Figure]:
    """Name -> plot of the samplers of finished studies, if they can be compared."""
    samplers = [record.sampler for record in group]
    baseline = BASELINE if BASELINE in samplers else samplers[0]
    try:
        found = analyse(
            group, storage, budget_of(group[0]), replicates=REPLICATES, baseline=baseline
        )
    except StudyError:  # they differ in their pruners, say
        return {}
    return {"comparison-of-samplers": _titled(comparison_figure(found), found.verdict)}


def _groups(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Finished studies of one experiment and budget, by two samplers or more."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        budget = budget_of(record)
        if is_done(record, budget):
            terms = [record.attrs[EXPERIMENT], record.limits, str(budget)]
            groups.setdefault(json.dumps(terms), []).append(record)
    for group in groups.values():
        if len({record.sampler for record in group}) > 1:
            yield group


def _titled(figure: go.Figure, title: str) -> go.Figure:
    lines = "<br>".join(textwrap.wrap(title, TITLE_WIDTH))
    return figure.update_layout(
        # below the buttons that optuna-dashboard shows in the right corner
        title={"text": lines, "x": 0.01, "y": 0.92, "yanchor": "top", "font": {"size": 15}},
        font={"color": GREY},
        margin={"t": 120, "r": 16, "b": 16},
        height=HEIGHT,
    )


def _save(study: optuna.Study, plots: Mapping[str, go.Figure]) -> None:
    from optuna_dashboard import save_plotly_graph_object

    for name, figure in plots.items():
        save_plotly_graph_object(study, figure, graph_object_id=name)
