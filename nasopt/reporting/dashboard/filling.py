"""`Filling`: notes and plots of nasopt's studies, put where optuna-dashboard shows them."""

import json
from collections.abc import Mapping, Sequence

import optuna
import plotly.graph_objects as go
import sqlalchemy as sa
from optuna.artifacts import FileSystemArtifactStore
from optuna.trial import TrialState
from optuna_dashboard import save_plotly_graph_object

from nasopt.analysis.choices import preferences
from nasopt.analysis.final_test import latest_test
from nasopt.analysis.front import trade_off
from nasopt.analysis.outcome import result, studies_of
from nasopt.analysis.record import Record
from nasopt.analysis.selection import budget_of, compare_records, is_done, shared_by
from nasopt.errors import StudyError
from nasopt.reporting.captions import TITLES, about_choices, about_front, front_title
from nasopt.reporting.dashboard.artifacts import keep, keep_best
from nasopt.reporting.dashboard.final import final_files, final_note
from nasopt.reporting.dashboard.study_note import study_note
from nasopt.reporting.dashboard.view import View, ViewNotebook
from nasopt.reporting.figures import choices_figure, comparison_figure, front_figure, titled
from nasopt.reporting.html.final_model import FinalModel
from nasopt.reporting.notes import Notebook, version_key
from nasopt.storage.ledger import Ledger
from nasopt.storage.looks import Looks
from nasopt.storage.opening import folders
from nasopt.storage.rdb import Storage
from nasopt.storage.reading import STUDIES, TRIALS

CAPTION_WIDTH = 70  # characters
BUTTONS = ["zoom", "pan", "select", "lasso", "zoomIn", "zoomOut", "autoScale"]  # in a title's way
HEIGHT = 440  # pixels that optuna-dashboard gives a plot


class Filling:
    """The content of `storage` in notes and plots: `refresh` brings it up to date.

    `location` is the database as a command takes it; `artifacts` is where files go, if anywhere. In
    a `View` nothing is written.
    """

    def __init__(
        self, storage: Storage, location: str, artifacts: FileSystemArtifactStore | None = None
    ) -> None:
        self.storage = storage
        self.location = location
        self.artifacts = artifacts
        # trials of each study that had ended, by its id, and looks at test splits, when filled in
        self.ended: dict[int, tuple[int, int]] = {}
        self._trainings: dict[int, tuple[int, int]] = {}  # of each study: their epochs and seed
        self._retrained: dict[tuple[int, int], int] = {}  # how many there are of other seeds

    def refresh(self) -> None:
        """Fill in the studies that are new or have trials which ended since the last time."""
        ended = self._ended()
        changed = {
            study_id for study_id, count in ended.items() if self.ended.get(study_id) != count
        }
        retrained = self._count_retrained()
        if retrained != self._retrained:
            changed |= self._trainings.keys() & ended.keys()
        if not changed:
            return
        try:
            self._fill(changed)
            self.ended = ended
        except KeyError:
            if ended.keys() <= self._ended().keys():
                raise
            # a study was deleted in this moment; the next time fills in the others

    def _fill(self, changed: set[int]) -> None:
        studies = [
            optuna.load_study(study_name=name, storage=self.storage)
            for name in studies_of(self.storage)
        ]
        records = {study._study_id: Record.of(study) for study in studies}
        trained = {id_: each for id_, each in records.items() if not each.is_benchmark}
        self._trainings = {
            id_: (each.epochs, each.experiment.seed) for id_, each in trained.items()
        }
        self._retrained = self._count_retrained()
        plots: dict[int, dict[str, go.Figure]] = {
            id_: study_plots(records[id_]) for id_ in changed & records.keys()
        }
        for group in _groups(records):
            if changed.intersection(group):
                found = comparison_plots([records[id_] for id_ in group], self.storage)
                for study_id in group:
                    plots.setdefault(study_id, {}).update(found)
        for study in studies:
            if study._study_id in changed:
                final = self._final(records[study._study_id])
                self._notes(study, records[study._study_id], final)
                if final is not None:
                    plots[study._study_id]["confusion-of-the-final-model"] = _confusion(final)
            for name, figure in plots.get(study._study_id, {}).items():
                save_plotly_graph_object(study, figure, graph_object_id=name)

    def _ended(self) -> dict[int, tuple[int, int]]:
        ended = TRIALS.c.state.not_in((TrialState.RUNNING, TrialState.WAITING))
        mine = (TRIALS.c.study_id == STUDIES.c.study_id) & ended
        query = sa.select(STUDIES.c.study_id, sa.func.count(TRIALS.c.trial_id))
        query = query.outerjoin(TRIALS, mine).group_by(STUDIES.c.study_id)
        looks = Looks(self.storage.engine).count()
        with self.storage.engine.connect() as connection:
            return {row[0]: (row[1], looks) for row in connection.execute(query)}

    def _count_retrained(self) -> dict[tuple[int, int], int]:
        ledger = Ledger(self.storage.engine, folders(self.storage).checkpoints)
        return {each: ledger.retrained(*each) for each in set(self._trainings.values())}

    def _final(self, record: Record) -> FinalModel | None:
        """Return the final model of the study's experiment, if there is one."""
        name = record.name.rsplit("/", 2)[0]
        test = latest_test(Looks(self.storage.engine), record.experiment, name)
        return None if test is None else FinalModel(test)

    def _notes(self, study: optuna.Study, record: Record, final: FinalModel | None) -> None:
        known = self.storage.get_study_system_attrs(study._study_id)
        kind = ViewNotebook if isinstance(self.storage, View) else Notebook
        notebook = kind(self.storage, study._study_id, record)
        notebook.write([t for t in record.finished if version_key(t._trial_id) not in known])
        found = result(study)
        told = None if final is None else final_note(final)
        notebook.write_study(study_note(record, found, study._study_id, self.location, told))
        if self.artifacts is None:
            return
        if found.best:
            keep_best(study, found.best[-1], self.artifacts)
        if final is not None:
            shape = record.experiment.input_shape
            assert shape is not None  # of networks that are trained
            for name, content in final_files(final, shape).items():
                keep(study, name, content, self.artifacts)


def _confusion(final: FinalModel) -> go.Figure:
    (figure,) = final.confusion.figures
    return _titled(figure, TITLES["confusion"], final.confusion.caption)


def study_plots(record: Record) -> dict[str, go.Figure]:
    """Return the plots that have something to show, by name."""
    plots = {}
    costs = trade_off([record], "macs")
    if costs.points:
        plots["accuracy-against-macs"] = _titled(
            front_figure(costs), front_title(costs), about_front(costs)
        )
    found = preferences([record])
    if found is not None:
        plots["what-the-best-chose"] = _titled(
            choices_figure(found), TITLES["choices"], about_choices(found)
        )
    return plots


def comparison_plots(group: Sequence[Record], storage: Storage) -> dict[str, go.Figure]:
    """Return plots of the samplers of finished studies by name, if they can be compared."""
    try:
        found = compare_records(group, storage)
    except StudyError:  # they differ in their pruners, say, or were looked up in a table
        return {}
    figure = _titled(comparison_figure(found), TITLES["comparison"], found.verdict)
    return {"comparison-of-samplers": figure}


def _groups(records: Mapping[int, Record]) -> list[list[int]]:
    """Return the ids of finished studies of one experiment and budget, by two samplers or more."""
    groups: dict[str, list[int]] = {}
    for study_id, record in records.items():
        budget = budget_of(record)
        if is_done(record, budget):
            terms = json.dumps([shared_by(record), str(budget)])
            groups.setdefault(terms, []).append(study_id)
    return [ids for ids in groups.values() if len({records[id_].sampler for id_ in ids}) > 1]


def _titled(figure: go.Figure, title: str, caption: str) -> go.Figure:
    """Add title and caption beside the buttons of optuna-dashboard, in the right corner."""
    return titled(figure, title, caption, CAPTION_WIDTH).update_layout(
        modebar={"remove": BUTTONS, "bgcolor": "rgba(0, 0, 0, 0)"}, height=HEIGHT
    )
