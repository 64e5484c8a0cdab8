"""`open`: what is in a database, as objects that show themselves."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from nasopt.analysis.compared import ComparisonResult
from nasopt.analysis.evidence import Trainings
from nasopt.analysis.noise import Noise
from nasopt.analysis.outcome import Outcome, Result, load_study, opened, outcome, result
from nasopt.analysis.record import Record
from nasopt.analysis.selection import compare_studies
from nasopt.analysis.shown import Shown
from nasopt.analysis.studies import StudySummary, study_summaries
from nasopt.analysis.tables import epoch_table, trial_table
from nasopt.analysis.why import Why
from nasopt.errors import StudyError
from nasopt.reporting.terminal.results import result_parts, studies_table
from nasopt.reporting.views import parts
from nasopt.space.architecture import Architecture
from nasopt.storage.database import shown_url
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import folders, open_storage
from nasopt.text import installing, several

if TYPE_CHECKING:
    import pandas


def open(location: str | Path) -> "Database":
    """Open the database at a path or SQLAlchemy URL to read it; nothing is written.

        database = nasopt.open("runs/digits.db")
        database.study("digits/surrogate/0").trials

    A search may run meanwhile. Raises StorageError if there is none, or it cannot be read.
    """
    return Database(location)


class Database(Shown):
    """The studies of a database. It shows itself as their list."""

    def __init__(self, location: str | Path) -> None:
        self.location = shown_url(str(location))
        self._location = location
        self._storage = open_storage(location, "read")

    @property
    def studies(self) -> list[StudySummary]:
        """The studies as they stand now, in the order in which they were begun, a line each."""
        return study_summaries(self._storage)

    def study(self, name: str | None = None) -> "StudyResult":
        """Return the study of that name as it stands now; without one that was begun last.

        Raises StudyError for an unknown name, or a database without a study of nasopt's.
        """
        return StudyResult(load_study(self._storage, name))

    def comparison(
        self, studies: str | Sequence[str] = "*", *, replicates: int = 3, baseline: str = "random"
    ) -> ComparisonResult:
        """Compare finished studies, by names or patterns ("digits/*"); nothing is trained.

        Winners that were trained again with `replicates` seeds are compared by that, others by
        what the searches saw. Raises StudyError if there are none, one is unfinished, or they are
        not of one experiment.
        """
        return compare_studies(self._location, studies, replicates=replicates, baseline=baseline)

    def __repr__(self) -> str:
        return f"<Database: {self.location}, {several(len(self.studies), 'study')}>"


class StudyResult(Shown):
    """The result of one study, as it stood when it was read. It shows itself as its `outcome`.

        result = nasopt.StudyResult(nasopt.run(experiment))
        result.best.accuracy, result.architecture

    `study` is any study of nasopt's, as `run` returns it.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self.record = Record.of(study)

    @property
    def name(self) -> str:
        return self.record.name

    @cached_property
    def outcome(self) -> Result:
        """The best network as the lecture's table, those behind it, and the counts of trials.

        With two objectives `outcome.best` is the Pareto front.
        """
        return result(self._study)

    @property
    def best(self) -> Outcome:
        """The best network with its figures; of a Pareto front the most accurate.

        Raises StudyError if no trial is complete.
        """
        if not self.outcome.best:
            raise StudyError(f"study={self.name}: no trial is complete yet; run it further")
        return self.outcome.best[-1]

    @property
    def architecture(self) -> Architecture | dict[str, Any]:
        """The best network; of a benchmark, its parameters."""
        return self.best.architecture

    def trial(self, number: int) -> Outcome:
        """Return any trial that has a network, with its figures.

        Raises StudyError if there is none, or it has no network.
        """
        return outcome(self._study, number)

    def why(self, number: int) -> Why:
        """Return what the surrogate expected of a trial, and why.

        Raises StudyError if there is no such trial, or no model had a say in it.
        """
        return Why.of(self._study, number)

    @property
    def trials(self) -> "pandas.DataFrame":
        """A row a trial, as a pandas frame (extra `nasopt[pandas]`).

        `accuracy` is the last one known, or the metric of the search under its own name; `epochs`
        and `seconds` are the cost, as if trained; `parameters` and `macs` are those of its network,
        and so is `latency`, in seconds, if it was measured. `ended_by` is the cause of its end and
        `reason` the words for it; a trial that is `free` does not count to the budget.
        Hyperparameters begin with "params_".
        """
        return _frame(trial_table(self.record))

    @property
    def curves(self) -> "pandas.DataFrame":
        """A row an epoch of each trial that counts, as a pandas frame: its score after it."""
        return _frame(epoch_table(self.record))

    @cached_property
    def noise(self) -> Noise | None:
        """The luck in a training of this experiment, if `nasopt.noise` has measured it here."""
        storage = opened(self._study)
        if storage is None or self.record.is_benchmark:
            return None
        folder = folders(storage).checkpoints
        ledger = Ledger(storage.engine, folder, metric=self.record.metric)
        return Trainings.of(ledger, self.record.epochs).noise(self.record)

    def __repr__(self) -> str:
        best = f", {self.outcome.best[-1]!r}" if self.outcome.best else ""
        return f"<StudyResult: {self.name}, {several(len(self.record.counted), 'trial')}{best}>"


def _frame(rows: Sequence[Mapping[str, Any]]) -> "pandas.DataFrame":
    try:
        import pandas
    except ModuleNotFoundError as error:
        if error.name != "pandas":
            raise
        raise StudyError(f"pandas is not installed; run: {installing('pandas')}") from error
    return pandas.DataFrame(rows)


parts.register(Database, lambda found, out: iter([studies_table(found.studies, out.width)]))
parts.register(StudyResult, lambda found, out: result_parts(out, found.outcome))
