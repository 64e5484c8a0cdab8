"""`Search`: one worker's loop over the trials of a study; `run` takes that to its end."""

import logging
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from nasopt.errors import Error, OutOfMemory, SpaceError, StudyError
from nasopt.samplers import CONTINUES, Seeded, make_sampler
from nasopt.search.evaluator import Evaluator, threads_of
from nasopt.search.experiment import Experiment, check_budget
from nasopt.search.interruption import Interrupted, interruptible
from nasopt.search.objective import Objective
from nasopt.search.resume import Stopped
from nasopt.search.study import ENDED, open_study
from nasopt.storage.counts import TrialCounts
from nasopt.storage.leases import Owner, forget_dead
from nasopt.storage.notes import Notebook
from nasopt.storage.opening import open_storage
from nasopt.storage.owners import DEATHS, Lost
from nasopt.storage.rdb import FREE, IDENTITY
from nasopt.text import several
from nasopt.training.devices import wait_for
from nasopt.training.evaluation import EpochResult, Evaluation
from nasopt.training.profiling import Profile, Timer, no_timer

logger = logging.getLogger("nasopt")

REPEATS_IN_A_ROW = 100  # after which a sampler has nothing new to say
DRAWS_IN_A_ROW = 1_000  # without a network within the limits, after which there is likely none
MOST_DEATHS = 5  # of workers in a row, without an epoch or checkpoint more, before a trial fails
POLL_SECONDS = 1.0  # between two looks at trials that other workers have in hand


@dataclass(frozen=True)
class Progress:
    """The progress of a study.

    `done` counts to `trials`, which is as many as are asked for or there are; `pruned` is how many
    of those were pruned, `free` how many more cost nothing. `epochs_spent` is what all of them cost
    as if trained. `best` is the highest accuracy of a complete trial within the limits. `number` is
    the trial of this worker, `epoch` its last finished epoch of
    `epochs`; `finished` is set when it has just ended, and so is `seconds`, the parts of its time,
    if the search is profiled.
    """

    trials: int
    done: int
    pruned: int
    free: int
    best: float | None
    epochs_spent: int = 0
    number: int | None = None
    epoch: int = 0
    epochs: int = 0
    accuracy: float | None = None
    finished: FrozenTrial | None = None
    seconds: dict[str, float] | None = None


class Search:
    """A study being run: iterate over it to run it, Progress by Progress.

        search = Search(experiment, sampler="tpe", seed=0, storage="runs/x.db")
        for progress in search: ...
        search.study.best_trial

    Its budget is `trials`, or `epochs_budget`: then no trial begins once those that are finished
    cost so many epochs, as if trained; the last one may go beyond. `evaluator` is one of the same
    experiment, whose images and database are used again.

    Everything a user can get wrong is raised here, before a study exists. Iterating raises
    Interrupted on Ctrl-C or SIGTERM, with nothing lost.
    """

    def __init__(
        self,
        experiment: Experiment,
        *,
        sampler: str | BaseSampler = "surrogate",
        seed: int = 0,
        storage: str | Path | None = None,
        trials: int | None = None,
        epochs_budget: int | None = None,
        device: str = "auto",
        profile: bool = False,
        evaluator: Evaluator | None = None,
    ) -> None:
        self.experiment = experiment
        self.epochs_budget = epochs_budget
        self.trials = check_budget(experiment, trials, epochs_budget)
        problem = replace(experiment.problem, trials=self.trials, epochs_budget=epochs_budget)
        self.seeded: Seeded = make_sampler(sampler, problem, seed)
        self.profile = Profile(lambda: wait_for(self.evaluator.device)) if profile else None
        self.timer: Timer = no_timer if self.profile is None else self.profile.timer
        self.evaluator = evaluator or Evaluator(experiment, storage, device)
        self.evaluator.timer = self.timer
        self.storage = self.evaluator.storage
        self._study = open_study(
            experiment,
            self.storage,
            sampler=sampler,
            seed=seed,
            seeded=self.seeded,
            trials=self.trials if epochs_budget is None else None,
            epochs_budget=epochs_budget,
            threads=self.evaluator.threads,
        )
        self.threads = self.evaluator.threads and threads_of(self._study.user_attrs)
        study_id = self._study._study_id
        self.identity: str = self.storage.get_study_system_attrs(study_id)[IDENTITY]
        self.tally = TrialCounts(self.storage, study_id, experiment.limits)
        self.notebook = Notebook(self.storage, study_id, self._study.user_attrs)
        self.objective = Objective(experiment, self._epochs, self.storage.should_prune, self.timer)
        self.signum: int | None = None  # of the signal that asked to stop
        self.ended = ""  # why before `trials` were done, if so
        self.ran = 0  # trials that this worker has taken up

    @property
    def study(self) -> optuna.Study:
        """The study as plain Optuna opens it."""
        return optuna.load_study(
            study_name=self._study.study_name,
            storage=open_storage(self.evaluator.location, "write"),
        )

    @property
    def left(self) -> int:
        """The number of trials that are to be done yet, at most."""
        self.tally.refresh()
        return max(0, self.trials - self.tally.done)

    def __iter__(self) -> Iterator[Progress]:
        self.signum = None
        engine, leases = self.storage.engine, self.storage.leases
        try:
            with interruptible(self), Owner(engine, leases) as owner:
                forget_dead(engine, leases)
                self.storage.owner = owner.token
                self._refuse_deleted()
                self.standing = self._standing()
                if self.tally.foreign:
                    logger.warning(
                        "%s of plain Optuna's: counted, but not taken for networks",
                        several(self.tally.foreign, "trial"),
                    )
                yield self.standing
                if self.profile is not None:
                    self.profile.begin()
                yield from self._loop()
            if self.ended:
                self._study.set_user_attr(ENDED, self.ended)
        except (KeyError, sa.exc.IntegrityError):  # what Optuna and a server say of a deleted study
            self._refuse_deleted()
            raise

    def _refuse_deleted(self) -> None:
        """Raise StudyError if the study was deleted, even if another has its id by now."""
        if not self.storage.is_there(self._study._study_id, self.identity):
            raise StudyError(
                f"study={self._study.study_name}: deleted while it was in use; to begin it anew, "
                "run the same command again"
            )

    def _loop(self) -> Iterator[Progress]:
        repeats = draws = 0
        study_id = self._study._study_id
        ended = self._study.user_attrs.get(ENDED)  # in an earlier run
        while True:
            if self.signum is not None:
                raise Interrupted(self.signum)
            self._refuse_deleted()
            for number in self.storage.requeue_orphans(study_id, self._reached):
                logger.warning("trial %d was left by a worker that died; it goes on", number)
            if self.epochs_budget and self.standing.epochs_spent >= self.epochs_budget:
                return
            if ended and not self.storage.unfinished(study_id):
                self.ended = ended
                return
            trial_id = self.storage.next_trial(study_id, self.trials)
            self.timer("storage")
            if trial_id is None:
                if not self.storage.unfinished(study_id):
                    for number in self.storage.running_elsewhere(study_id):
                        logger.warning("trial %d: plain Optuna's; it is not waited for", number)
                    return
                threading.Event().wait(POLL_SECONDS)  # for the trials of other workers
                self.timer("waiting")
                continue
            self.ran += 1
            try:
                yield from self._trial(trial_id)
                self.timer("display")
            except Lost:
                self._refuse_deleted()
                logger.warning("another worker took the trial in hand; asking for the next")
                continue
            told = self.storage.get_trial(trial_id)
            repeats = repeats + 1 if "repeat_of" in told.user_attrs else 0
            draws = draws + told.user_attrs["draws"] if "infeasible" in told.user_attrs else 0
            if draws >= DRAWS_IN_A_ROW:
                raise SpaceError(self._no_feasible_network(draws))
            stopped = self.seeded.has_stopped(self._study)
            if (repeats or stopped) and self._is_exhausted():
                self.ended = f"all {len(self.tally.trained):,} networks of the space are known"
                return
            if stopped:
                self.ended = "the sampler has nothing left to try"
                return
            if repeats >= REPEATS_IN_A_ROW:
                self.ended = (
                    f"the sampler proposed {repeats} known networks in a row; another sampler or "
                    "seed may still find new ones"
                )
                return

    def _trial(self, trial_id: int) -> Iterator[Progress]:
        """Run one trial from its parameters to its outcome; give it back if it was stopped."""
        try:
            yield from self._evaluate(trial_id)
        except (Stopped, KeyboardInterrupt, GeneratorExit) as stopped:
            with suppress(Lost):  # it may have ended in this moment
                self.storage.requeue(trial_id)
            if isinstance(stopped, Stopped):
                raise Interrupted(self.signum or signal.SIGINT) from None
            raise
        except (Lost, Error):  # an Error is the user's to fix: the trial can go on after that
            with suppress(
                Error, Lost
            ):  # where it cannot be written, the lease tells that it is free
                self.storage.requeue(trial_id)
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            attrs = {FREE: True, "reason": reason}
            with suppress(Lost):  # of a study that was deleted, say
                self.storage.finish(trial_id, TrialState.FAIL, None, attrs)
            raise

    def _evaluate(self, trial_id: int) -> Iterator[Progress]:
        claimed = self.storage.get_trial(trial_id)
        if claimed.system_attrs.get(DEATHS, {}).get("count", 0) >= MOST_DEATHS:
            self._give_up(claimed)
            yield self._ended(trial_id)
            return
        if claimed.params and not self._has_begun(claimed):
            self.storage.ask_for_params(trial_id)
        trial = optuna.Trial(self._study, trial_id)
        evaluation, attrs = self._begin(trial)
        if "infeasible" in attrs:
            self._finish(trial_id, TrialState.PRUNED, None, {FREE: True, "draws": attrs["draws"]})
            yield self._ended(trial_id)
            return
        self.tally.refresh()
        goes_on = CONTINUES in self.storage.get_trial_system_attrs(trial_id)
        self.timer("storage")
        if evaluation.key in self.tally.trained and not goes_on:
            self._repeat(trial_id, self.storage.get_trial(self.tally.trained[evaluation.key]))
            yield self._ended(trial_id)
            return
        results: list[EpochResult] = []
        replayed = len(self.evaluator.ledger.results(evaluation.key))
        state, reason = TrialState.COMPLETE, {}
        running = replace(self.standing, number=trial.number, epochs=evaluation.recipe.epochs)
        self.timer("ledger")
        yield running
        self.timer("display")
        try:
            for result in self.objective.results(trial, evaluation):
                results.append(result)
                yield replace(running, epoch=result.epoch, accuracy=result.accuracy)
                self.timer("display")
        except (optuna.TrialPruned, OutOfMemory) as error:
            state, reason = TrialState.PRUNED, {"reason": str(error)}
        values: tuple[float, ...] | None = None
        if state is TrialState.COMPLETE:
            values = self.objective.values(evaluation, results[-1])
        elif results and len(self.experiment.objectives) == 1:
            values = (results[-1].accuracy,)
        attrs = {
            **reason,
            "epochs": len(results),
            "seconds": sum(result.seconds for result in results),
            "replayed_epochs": min(replayed, len(results)),
        }
        if results and self.experiment.benchmark is None:
            attrs["device"] = ", then ".join(dict.fromkeys(each.device for each in results))
        if len({(result.device, result.torch) for result in results}) > 1:
            attrs["mixed"] = True  # bit-identity holds on one device, torch and thread count

        def has_twin() -> bool:
            return not goes_on and self._has_twin(evaluation.key, len(results))

        if not self._finish(trial_id, state, values, attrs, unless=has_twin):
            self._repeat(trial_id, self.storage.get_trial(self.tally.trained[evaluation.key]))
        yield self._ended(trial_id)

    def _begin(self, trial: optuna.Trial) -> tuple[Evaluation, dict[str, Any]]:
        """Sample the parameters, unless the trial has them since an earlier life."""
        frozen = trial._cached_frozen_trial
        distributions = self.experiment.problem.distributions
        if self._has_begun(frozen):
            return self.experiment.evaluation(frozen.params), dict(frozen.user_attrs)
        params = trial.relative_params
        proposal = self.seeded.proposal
        assert proposal is not None
        evaluation = self.experiment.evaluation(params)
        cost = self.experiment.cost(evaluation.architecture)
        attrs = {"key": evaluation.key, "parameters": cost.parameters, "macs": cost.macs}
        if proposal.draws > 1:
            attrs["draws"] = proposal.draws
        if proposal.prediction is not None:
            most = 1.0 if self.experiment.benchmark is None else math.inf  # of an accuracy
            attrs["belief"] = proposal.prediction.at_most(most).to_json()
        constraints = self.experiment.problem.violations(cost)
        if not proposal.feasible:
            broken = [limit for limit, excess in constraints.items() if excess > 0]
            attrs.update(
                infeasible=", ".join(broken), reason="over the limit", draws=proposal.draws
            )
        self.timer("sampler")
        self.storage.begin(
            trial._trial_id, params, distributions, user_attrs=attrs, constraints=constraints
        )
        frozen.params.update(params)
        frozen.distributions.update(distributions)
        return evaluation, attrs

    def _has_begun(self, trial: FrozenTrial) -> bool:
        """Return True if a worker has written a trial's network: key and parameters, at once."""
        whole = self.experiment.problem.distributions.keys() <= trial.params.keys()
        return whole and "key" in trial.user_attrs

    def _reached(self, key: str | None) -> list[int | str] | None:
        return None if key is None else self.evaluator.ledger.reached(key)

    def _give_up(self, trial: FrozenTrial) -> None:
        """Fail a trial that no worker survives; its network is not tried again in this study."""
        reason = f"{MOST_DEATHS} workers in a row died of it, and it got no further"
        attrs: dict[str, Any] = {FREE: True, "reason": reason}
        if "key" in trial.user_attrs:
            known = self.evaluator.ledger.results(trial.user_attrs["key"])
            attrs |= {"epochs": len(known), "seconds": sum(each.seconds for each in known)}
            attrs["replayed_epochs"] = len(known)
        self._finish(trial._trial_id, TrialState.FAIL, None, attrs)

    def _ended(self, trial_id: int) -> Progress:
        self.standing = self._standing()
        finished = self.storage.get_trial(trial_id)
        self.notebook.write([finished])
        self.timer("storage")
        seconds = self.profile.take() if self.profile is not None else None
        return replace(self.standing, finished=finished, seconds=seconds)

    def _has_twin(self, key: str, epochs: int) -> bool:
        """Return True if another worker has meanwhile finished a trial of the same network."""
        self.tally.refresh()
        return key in self.tally.trained and self.tally.epochs[key] >= epochs

    def _repeat(self, trial_id: int, known: FrozenTrial) -> None:
        """Give `trial_id` the result of an earlier trial of its network; that costs nothing."""
        names = ("epochs", "seconds", "reason", "device", "mixed")
        attrs = {name: known.user_attrs[name] for name in names if name in known.user_attrs}
        attrs |= {FREE: True, "repeat_of": known.number, "replayed_epochs": attrs["epochs"]}
        self._finish(trial_id, known.state, known.values, attrs, known.intermediate_values)

    def _finish(
        self,
        trial_id: int,
        state: TrialState,
        values: Any,
        attrs: dict[str, Any],
        reports: dict[int, float] | None = None,
        unless: Callable[[], bool] = lambda: False,
    ) -> bool:
        trial = self.storage.get_trial(trial_id)
        self.seeded.after_trial(self._study, trial, state, values)
        return self.storage.finish(trial_id, state, values, attrs, reports, unless)

    def _epochs(self, evaluation: Evaluation) -> Iterator[EpochResult]:
        return self.evaluator.epochs(evaluation, lambda: self.signum is not None, self.threads)

    def _standing(self) -> Progress:
        """Return the progress of the study now, according to its database."""
        tally = self.tally
        tally.refresh()
        trials = max(self.trials, tally.done)  # where there were more once
        counts = tally.done, tally.pruned, tally.free
        return Progress(trials, *counts, best=tally.best, epochs_spent=tally.epochs_spent)

    def _is_exhausted(self) -> bool:
        networks = self.experiment.networks
        return networks is not None and len(self.tally.trained) >= networks

    def _no_feasible_network(self, draws: int) -> str:
        limits = " and ".join(map(str, self.experiment.limits))
        least = self.seeded.smallest
        remedies = [each.remedy(least[each.quantity]) for each in self.experiment.limits]
        return (
            f"limits: none of {draws:,} networks drawn in a row has {limits}; {'; '.join(remedies)}"
        )


def run(
    experiment: Experiment,
    *,
    sampler: str | BaseSampler = "surrogate",
    seed: int = 0,
    storage: str | Path | None = None,
    trials: int | None = None,
    device: str = "auto",
) -> optuna.Study:
    """Run a study to its end, or go on with it where it was left, and return it.

        study = nasopt.run(experiment, sampler="tpe", trials=50)

    `sampler` is a name or any Optuna sampler, `seed` its seed. `storage` is a path or SQLAlchemy
    URL, by default `runs/<name of the experiment>.db`. `trials` is the total to reach, by default
    the experiment's.

    Raises an `Error` for a mistake that the user can fix; Interrupted (a KeyboardInterrupt) on
    Ctrl-C or SIGTERM, after which the same call goes on.
    """
    search = Search(
        experiment, sampler=sampler, seed=seed, storage=storage, trials=trials, device=device
    )
    for _ in search:
        pass
    return search.study
