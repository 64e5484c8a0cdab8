"""`Worker`: the way of one trial, from the moment it is claimed to its outcome."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from nasopt.errors import Error, OutOfMemory
from nasopt.samplers import Seeded
from nasopt.search.deadline import NO_DEADLINE, Deadline, expected_seconds
from nasopt.search.evaluator import Evaluator
from nasopt.search.experiment import Experiment
from nasopt.search.reports import Reports
from nasopt.search.resume import Stopped
from nasopt.space.limits import LATENCY
from nasopt.storage.attributes import CONTINUES
from nasopt.storage.counts import TrialCounts, paces
from nasopt.storage.owners import Lost
from nasopt.storage.rdb import Storage
from nasopt.storage.record import EndedBy, TrialRecord, deaths_of, key_of, threads_of
from nasopt.training.evaluation import EpochResult, Evaluation
from nasopt.training.profiling import Timer, no_timer

logger = logging.getLogger("nasopt")

TIMED_TRIALS = 50  # among which those like the next one are looked for
MOST_DEATHS = 5  # of workers in a row, without an epoch or checkpoint more, before a trial fails


class Step(NamedTuple):
    """The last finished epoch of `epochs` of trial `number`; 0 as it begins."""

    number: int
    epochs: int
    epoch: int = 0
    accuracy: float | None = None


class TooLong(Stopped):
    """The error of a trial that would take `seconds`, which is longer than there is time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"it would take {seconds} s")
        self.seconds = seconds


class Worker:
    """One that runs trials of `study`, each to its outcome in the database.

    `stop` is asked after each batch; on True the trial is given back, and Stopped is raised. So it
    is, as TooLong, if its training will not end by the `deadline`.
    """

    def __init__(
        self,
        experiment: Experiment,
        study: optuna.Study,
        seeded: Seeded,
        evaluator: Evaluator,
        stop: Callable[[], bool] = lambda: False,
        timer: Timer = no_timer,
        deadline: Deadline = NO_DEADLINE,
    ) -> None:
        self.experiment, self.study, self.seeded = experiment, study, seeded
        self.evaluator = evaluator
        self.stop, self.timer, self.deadline = stop, timer, deadline
        self.storage: Storage = evaluator.storage
        self.threads = evaluator.threads and threads_of(study.user_attrs)
        self.counts = TrialCounts(self.storage, study._study_id, experiment.limits)
        self.reports = Reports(
            experiment, self._epochs, self.storage.should_prune, timer, evaluator.cost
        )

    def run(self, trial_id: int) -> Iterator[Step]:
        """Run one trial from its parameters to its outcome; give it back if it was stopped.

        Raises Lost if another worker took it.
        """
        try:
            yield from self._run(trial_id)
        except (Stopped, KeyboardInterrupt, GeneratorExit):
            with suppress(Lost):  # it may have ended in this moment
                self.storage.requeue(trial_id)
            raise
        except (Lost, Error):  # an Error is the user's to fix: the trial can go on after that
            with suppress(Error, Lost):  # if it cannot be written, the lease tells that it is free
                self.storage.requeue(trial_id)
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            record = TrialRecord(free=True, ended_by=EndedBy.ERROR, reason=reason)
            with suppress(Lost):  # of a study that was deleted, say
                self.storage.finish(trial_id, TrialState.FAIL, None, record.to_attrs())
            raise

    def _run(self, trial_id: int) -> Iterator[Step]:
        claimed = self.storage.get_trial(trial_id)
        if deaths_of(claimed.system_attrs) >= MOST_DEATHS:
            self._give_up(claimed)
            return
        if claimed.params and not self._has_begun(claimed):
            self.storage.ask_for_params(trial_id)
        trial = optuna.Trial(self.study, trial_id)
        evaluation, record = self._begin(trial)
        if record.infeasible is not None:
            ended = TrialRecord(free=True, ended_by=EndedBy.LIMIT, draws=record.draws)
            self._finish(trial_id, TrialState.PRUNED, None, ended)
            return
        self.counts.refresh()
        goes_on = CONTINUES in self.storage.get_trial_system_attrs(trial_id)
        self.timer("storage")
        if evaluation.key in self.counts.trained and not goes_on:
            self._repeat(trial_id, evaluation.key)
            return
        yield from self._train(trial, evaluation, goes_on)

    def _train(self, trial: optuna.Trial, evaluation: Evaluation, goes_on: bool) -> Iterator[Step]:
        key, trial_id = evaluation.key, trial._trial_id
        results: list[EpochResult] = []
        replayed = len(self.evaluator.ledger.results(key))
        step = Step(trial.number, evaluation.recipe.chosen("epochs"))
        ended: Exception | None = None
        self.timer("ledger")
        self._refuse_if_too_long(evaluation)
        yield step
        self.timer("display")
        try:
            for result in self.reports.results(trial, evaluation):
                results.append(result)
                yield step._replace(epoch=result.epoch, accuracy=self.reports.score(result))
                self.timer("display")
        except (optuna.TrialPruned, OutOfMemory) as error:
            ended = error
        state = TrialState.COMPLETE if ended is None else TrialState.PRUNED
        values: tuple[float, ...] | None = None
        if ended is None:
            values = self.reports.values(evaluation, results[-1])
        elif results and self.reports.is_single:
            values = (self.reports.score(results[-1]),)

        def has_twin() -> bool:
            return not goes_on and self._has_twin(key, len(results))

        record = self.reports.record_of(results, replayed, ended)
        if not self._finish(trial_id, state, values, record, unless=has_twin):
            self._repeat(trial_id, key)

    def _refuse_if_too_long(self, evaluation: Evaluation) -> None:
        """Raise TooLong if what is left of a training will take longer than there is time."""
        if not self.deadline.is_set or not self.experiment.backend.takes_time:
            return
        before = paces(self.storage, self.study._study_id, TIMED_TRIALS)
        macs = self.experiment.cost(evaluation.architecture).macs
        expected = expected_seconds(macs, self.evaluator.epochs_left(evaluation), before)
        if expected > self.deadline.left:
            raise TooLong(expected)

    def _begin(self, trial: optuna.Trial) -> tuple[Evaluation, TrialRecord]:
        """Sample the parameters, unless the trial has them since an earlier life."""
        frozen = trial._cached_frozen_trial
        if self._has_begun(frozen):
            return self.experiment.evaluation(frozen.params), TrialRecord.of(frozen)
        problem = self.experiment.problem
        proposal = self.seeded.propose(trial)
        evaluation = self.experiment.evaluation(proposal.params)
        cost = self.evaluator.cost(evaluation.architecture)
        constraints = problem.violations(cost)
        broken = ", ".join(limit for limit, excess in constraints.items() if excess > 0)
        prediction = proposal.prediction
        record = TrialRecord(
            key=evaluation.key,
            parameters=cost.parameters,
            macs=cost.macs,
            latency=getattr(cost, LATENCY, None),
            draws=proposal.draws if proposal.draws > 1 or not proposal.feasible else None,
            prediction=prediction and prediction.at_most(self.experiment.backend.highest),
            infeasible=None if proposal.feasible else broken,
            reason=None if proposal.feasible else "over the limit",
        )
        self.timer("sampler")
        self.storage.begin(
            trial._trial_id,
            proposal.params,
            problem.distributions,
            user_attrs=record.to_attrs(),
            constraints=constraints,
        )
        frozen.params.update(proposal.params)
        frozen.distributions.update(problem.distributions)
        return evaluation, record

    def _has_begun(self, trial: FrozenTrial) -> bool:
        """Return True if a worker has written a trial's network: key and parameters, at once."""
        whole = self.experiment.problem.distributions.keys() <= trial.params.keys()
        return whole and key_of(trial.user_attrs) is not None

    def _give_up(self, trial: FrozenTrial) -> None:
        """Fail a trial that no worker survives; its network is not tried again in this study."""
        key = key_of(trial.user_attrs)
        known = [] if key is None else self.evaluator.ledger.results(key)
        record = TrialRecord(
            free=True,
            ended_by=EndedBy.DEATHS,
            reason=f"{MOST_DEATHS} workers in a row died of it, and it got no further",
            epochs=None if key is None else len(known),
            seconds=None if key is None else sum(each.seconds for each in known),
            replayed_epochs=None if key is None else len(known),
        )
        self._finish(trial._trial_id, TrialState.FAIL, None, record)

    def _has_twin(self, key: str, epochs: int) -> bool:
        """Return True if another worker has meanwhile finished a trial of the same network."""
        self.counts.refresh()
        return key in self.counts.trained and self.counts.epochs[key] >= epochs

    def _repeat(self, trial_id: int, key: str) -> None:
        """Give `trial_id` the result of an earlier trial of its network; that costs nothing."""
        known = self.storage.get_trial(self.counts.trained[key])
        told = TrialRecord.of(known)
        record = TrialRecord(
            free=True,
            ended_by=told.ended_by,
            reason=told.reason,
            repeat_of=known.number,
            epochs=told.epochs,
            seconds=told.seconds,
            replayed_epochs=told.epochs,
            reports=told.reports,
            device=told.device,
            mixed=told.mixed,
        )
        reports = known.intermediate_values
        self._finish(trial_id, known.state, known.values, record, reports=reports)

    def _finish(
        self,
        trial_id: int,
        state: TrialState,
        values: "list[float] | tuple[float, ...] | None",
        record: TrialRecord,
        *,
        reports: Mapping[int, float] | None = None,
        unless: Callable[[], bool] = lambda: False,
    ) -> bool:
        trial = self.storage.get_trial(trial_id)
        self.seeded.after_trial(self.study, trial, state, values)
        attrs = record.to_attrs()
        return self.storage.finish(trial_id, state, values, attrs, reports, unless)

    def _epochs(self, evaluation: Evaluation) -> Iterator[EpochResult]:
        return self.evaluator.epochs(evaluation, self.stop, self.threads, self.timer)
