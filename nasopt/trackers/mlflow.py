"""`MLflow`: a run for each study, and in it one for each trial."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from optuna.trial import TrialState

from nasopt.storage.database import shown_url
from nasopt.trackers.content import TrackedStudy, TrackedTrial
from nasopt.trackers.tracker import Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

PARENT, NOTE = "mlflow.parentRunId", "mlflow.note.content"  # MLflow's own tags
STUDY, TRIAL = "nasopt.study", "nasopt.trial"
BEST = "best"  # of a study so far
METRICS_A_BATCH, PARAMS_A_BATCH = 1000, 100  # at most
LONGEST_PARAM, LONGEST_TAG = 6000, 5000  # characters

Item = TypeVar("Item")


class MLflow(Tracker):
    """A tracker that writes to the MLflow server or database at `uri`.

        nasopt.run(experiment, callbacks=[MLflow("sqlite:///mlflow.db")])

    A study is a run of `experiment` (by default that of the study's name), and each trial a run
    within it: parameters, curves by epoch, costs, and the note on its outcome. One that is there
    already is left as it is. Without `uri` it is MLflow's own choice: $MLFLOW_TRACKING_URI.
    """

    extra = module = "mlflow"

    def __init__(self, uri: str | None = None, *, experiment: str | None = None) -> None:
        super().__init__()
        self.uri = uri
        self.experiment = experiment
        self._parents: dict[str, str] = {}  # run of a study, by the study's identity
        self._written: dict[str, set[int]] = {}  # numbers of trials, by the run of their study
        self._best: dict[str, float] = {}  # by the run of the study

    @property
    def command(self) -> list[str]:
        store = [] if self.uri is None else ["--backend-store-uri", shown_url(self.uri)]
        return ["mlflow", "ui", *store]

    @property
    def remedy(self) -> str:
        where = "$MLFLOW_TRACKING_URI" if self.uri is None else shown_url(self.uri)
        return f"look whether {where} is right and there"

    @cached_property
    def client(self) -> "MlflowClient":
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri)

    def write(self, study: TrackedStudy, trial: TrackedTrial) -> bool:
        experiment = self._experiment(study)
        parent = self._parent(experiment, study, trial)
        if trial.number in self._written[parent]:
            return False
        tags = {PARENT: parent, STUDY: study.identity, TRIAL: str(trial.number), **trial.tags}
        if trial.note:
            tags[NOTE] = trial.note
        run = self._begin(experiment, f"trial {trial.number}", tags, trial.began)
        self._log(run, trial.params, _metrics(trial))
        failed = trial.state is TrialState.FAIL
        self._end(run, trial.ended, "FAILED" if failed else "FINISHED")
        self._tell_best(parent, study, trial)
        self._end(parent, trial.ended)
        self._written[parent].add(trial.number)
        return True

    def _experiment(self, study: TrackedStudy) -> str:
        from mlflow.exceptions import MlflowException

        name = self.experiment or study.experiment
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self.client.create_experiment(name))
        except MlflowException:  # another process has made it in this moment
            found = self.client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _parent(self, experiment: str, study: TrackedStudy, trial: TrackedTrial) -> str:
        """Return the run of a study, made if need be, with what it has already."""
        if study.identity in self._parents:
            return self._parents[study.identity]
        runs = list(self._runs(experiment, study))
        parents = [run for run in runs if PARENT not in run.data.tags]
        if parents:
            parent = str(parents[0].info.run_id)
            if BEST in parents[0].data.metrics:
                self._best[parent] = parents[0].data.metrics[BEST]
        else:
            parent = self._begin(experiment, study.name, {STUDY: study.identity}, trial.began)
            self._log(parent, study.settings, ())
        children = [run for run in runs if run.data.tags.get(PARENT) == parent]
        for run in children:
            if run.info.status == "RUNNING":  # a kill has left it unfinished
                self.client.delete_run(run.info.run_id)
        whole = [run for run in children if run.info.status != "RUNNING"]
        self._written[parent] = {int(run.data.tags[TRIAL]) for run in whole}
        self._parents[study.identity] = parent
        return parent

    def _runs(self, experiment: str, study: TrackedStudy) -> "Iterator[Run]":
        token = None
        while True:
            page = self.client.search_runs(
                [experiment], f"tags.`{STUDY}` = '{study.identity}'", page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _begin(self, experiment: str, name: str, tags: Mapping[str, str], began: float) -> str:
        short = {key: value[:LONGEST_TAG] for key, value in tags.items()}
        run = self.client.create_run(experiment, round(1000 * began), short, name)
        return str(run.info.run_id)

    def _end(self, run: str, ended: float, status: str = "FINISHED") -> None:
        self.client.set_terminated(run, status, round(1000 * ended))

    def _log(self, run: str, params: Mapping[str, Any], metrics: "Sequence[Metric]") -> None:
        from mlflow.entities import Param

        named = [Param(name, str(value)[:LONGEST_PARAM]) for name, value in params.items()]
        for some in _batches(named, PARAMS_A_BATCH):
            self.client.log_batch(run, params=some)
        for part in _batches(metrics, METRICS_A_BATCH):
            self.client.log_batch(run, metrics=part)

    def _tell_best(self, parent: str, study: TrackedStudy, trial: TrackedTrial) -> None:
        """Note the best value of the study so far, at the number of the trial that has it."""
        value = trial.numbers.get(study.score)
        if study.maximized is None or value is None or trial.state is not TrialState.COMPLETE:
            return
        known = self._best.get(parent)
        if known is None or (value > known if study.maximized else value < known):
            self._best[parent] = value
            self.client.log_metric(parent, BEST, value, round(1000 * trial.ended), trial.number)


def _metrics(trial: TrackedTrial) -> "list[Metric]":
    from mlflow.entities import Metric

    found = [
        Metric(name, value, round(1000 * trial.time(epoch)), epoch)
        for name, curve in trial.curves.items()
        for epoch, value in curve.items()
    ]
    ended = round(1000 * trial.ended)
    single = trial.numbers.keys() - trial.curves.keys()
    return found + [Metric(name, trial.numbers[name], ended, 0) for name in sorted(single)]


def _batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
