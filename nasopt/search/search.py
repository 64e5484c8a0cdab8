"""`Search`: one worker's loop over the trials of a study."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import optuna
import sqlalchemy as sa
from optuna.trial import FrozenTrial

from nasopt.errors import SpaceError, StudyError
from nasopt.samplers import GivenSampler, Seeded, make_sampler
from nasopt.samplers.seeding import stoppable
from nasopt.search.deadline import NO_DEADLINE, Deadline
from nasopt.search.evaluator import Evaluator
from nasopt.search.experiment import Experiment, check_budget
from nasopt.search.interruption import Interrupted, interruptible
from nasopt.search.resume import Stopped
from nasopt.search.room import Room
from nasopt.search.study import open_study
from nasopt.search.worker import TooLong, Worker
from nasopt.search.working import Ended
from nasopt.storage.attributes import ENDED, IDENTITY
from nasopt.storage.leases import Owner, forget_dead
from nasopt.storage.opening import open_storage
from nasopt.storage.owners import Lost
from nasopt.storage.patience import waiting_for_servers
from nasopt.storage.record import EndedBy, TrialRecord, deaths_of
from nasopt.text import RUN_AGAIN, duration, several
from nasopt.training.devices import wait_for
from nasopt.training.profiling import Profile, Timer, no_timer

logger = logging.getLogger("nasopt")

REPEATS_IN_A_ROW = 100  # after which a sampler has nothing new to say
DRAWS_IN_A_ROW = 1_000  # without a network within the limits, after which there is likely none
POLL_SECONDS = 1.0  # between two looks at trials that other workers have in hand
STOPPED = "a callback stopped the study"  # which can go on

Callback = Callable[[optuna.Study, FrozenTrial], None]


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
    experiment, whose images and database are used again; trains=False leaves the images out of the
    memory of a process whose search is run by others (see `taken_over`). `callbacks` are called
    with the study and each trial that has ended, as those of Optuna's `optimize`; study.stop() in
    one ends the search.

    No trial begins that would not end by the `deadline`, going by what trials like it took. The one
    under way is stopped there within a batch and keeps its place; `out_of_time` says so. The
    sampler is told that time counts, unless time_counts=False, for studies that are compared.

    Everything a user can get wrong is raised here, before a study exists. Iterating raises
    Interrupted on Ctrl-C or SIGTERM, with nothing lost.
    """

    def __init__(
        self,
        experiment: Experiment,
        *,
        sampler: GivenSampler = "surrogate",
        seed: int = 0,
        storage: str | Path | None = None,
        trials: int | None = None,
        epochs_budget: int | None = None,
        device: str = "auto",
        profile: bool = False,
        deadline: Deadline = NO_DEADLINE,
        time_counts: bool = True,
        evaluator: Evaluator | None = None,
        trains: bool = True,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.experiment = experiment
        self.epochs_budget = epochs_budget
        self.trials = check_budget(experiment, trials, epochs_budget)
        problem = replace(
            experiment.problem,
            trials=self.trials,
            epochs_budget=epochs_budget,
            has_time_budget=time_counts and deadline.is_set and experiment.backend.takes_time,
        )
        if experiment.is_timed:
            problem = replace(problem, cost=lambda network: self.evaluator.cost(network))
        self.seeded: Seeded = make_sampler(sampler, problem, seed)
        self.profile = Profile(lambda: wait_for(self.evaluator.device)) if profile else None
        self.timer: Timer = no_timer if self.profile is None else self.profile.timer
        self.evaluator = evaluator or Evaluator(experiment, storage, device, trains=trains)
        self.storage = self.evaluator.storage
        with waiting_for_servers():
            self._study = open_study(
                experiment,
                self.storage,
                sampler=sampler,
                seed=seed,
                seeded=self.seeded,
                trials=self.trials if epochs_budget is None else None,
                epochs_budget=epochs_budget,
                threads=self.evaluator.threads,
                timed_on=self.evaluator.timed_on,
                is_shared=self.evaluator.room is not None,
            )
            study_id = self._study._study_id
            self.identity: str = self.storage.get_study_system_attrs(study_id)[IDENTITY]
        self.callbacks = callbacks
        self.deadline = deadline
        self.worker = Worker(
            experiment, self._study, self.seeded, self.evaluator, self._is_stopped, self.timer,
            deadline,
        )  # fmt: skip
        self.counts = self.worker.counts
        self.signum: int | None = None  # of the signal that asked to stop
        self.ended = ""  # why before `trials` were done, if so
        self.stopped = False  # by a callback
        self.out_of_time = ""  # what became of the trial at the deadline, if it ended by that
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
        self.counts.refresh()
        return max(0, self.trials - self.counts.done)

    def taken_over(self, done: Ended) -> None:
        """Note how the search ended in other processes."""
        self.standing = self._standing()
        self.ended, self.out_of_time = done.ended, done.out_of_time
        self.ran = self.standing.done  # by whichever of them

    def __iter__(self) -> Iterator[Progress]:
        self.signum, self.out_of_time, self.ended, self.stopped = None, "", "", False
        engine, leases = self.storage.engine, self.storage.leases
        try:
            with interruptible(self), Owner(engine, leases) as owner:
                forget_dead(engine, leases)
                self.storage.owner = owner.token
                self._refuse_deleted()
                self.standing = self._standing()
                if self.counts.foreign:
                    logger.warning(
                        "%s of plain Optuna's: counted, but not taken for networks",
                        several(self.counts.foreign, "trial"),
                    )
                yield self.standing
                if self.profile is not None:
                    self.profile.begin()
                yield from self._loop()
            if self.ended and self.ended != STOPPED:
                self._study.set_user_attr(ENDED, self.ended)
        except (KeyError, sa.exc.IntegrityError):  # what Optuna and a server say of a deleted study
            self._refuse_deleted()
            raise

    def _refuse_deleted(self) -> None:
        """Raise StudyError if the study was deleted, even if another has its id by now."""
        if not self.storage.is_there(self._study._study_id, self.identity):
            raise StudyError(
                f"study={self._study.study_name}: deleted while it was in use; "
                f"to begin it anew, {RUN_AGAIN}"
            )

    def _loop(self) -> Iterator[Progress]:
        self.repeats = self.draws = 0  # in a row
        ended_before = self._study.user_attrs.get(ENDED, "")
        while (trial_id := self._next_trial(ended_before)) is not None:
            self.ran += 1
            try:
                yield from self._trial(trial_id)
                self.timer("display")
                if self.out_of_time:
                    return
            except Lost:
                self._refuse_deleted()
                logger.warning("another worker took the trial in hand; asking for the next")
                continue
            finally:
                if self.evaluator.room is not None:
                    self.evaluator.room.leave()
            self.ended = self._why_ended(TrialRecord.of(self.storage.get_trial(trial_id)))
            if self.ended:
                return
            if self.stopped:
                self.ended = STOPPED
                return

    def _next_trial(self, ended_before: str) -> int | None:
        """Claim a trial or make one, waiting for those of other workers; return None at the end.

        `ended_before` says why an earlier run ended before its number of trials: then none is made.
        """
        study_id = self._study._study_id
        while True:
            if self.signum is not None:
                raise Interrupted(self.signum)
            if self.deadline.passed and self.standing.done < self.trials:
                self.out_of_time = "no trial was under way"
                return None
            self._refuse_deleted()
            for number in self.storage.requeue_orphans(study_id, self._reached):
                logger.warning("trial %d was left by a worker that died; it goes on", number)
            if self.epochs_budget and self.standing.epochs_spent >= self.epochs_budget:
                return None
            if ended_before and not self.storage.unfinished(study_id):
                self.ended = ended_before
                return None
            trial_id = self._claimed(study_id)
            self.timer("storage")
            if trial_id is not None:
                return trial_id
            if self.signum is not None:
                continue
            if not self.storage.unfinished(study_id):
                for number in self.storage.running_elsewhere(study_id):
                    logger.warning("trial %d: plain Optuna's; it is not waited for", number)
                return None
            threading.Event().wait(POLL_SECONDS)
            self.timer("waiting")

    def _claimed(self, study_id: int) -> int | None:
        """Claim a trial or make one, if there is one to be had and room for it."""
        room = self.evaluator.room
        if room is None:
            return self.storage.next_trial(study_id, self.trials)
        alone, stop = partial(self.storage.next_has_died, study_id), lambda: self.signum is not None
        if not room.enter(alone, stop):
            return None
        trial_id = None
        try:
            trial_id = self._claimed_within(room, study_id)
        finally:
            if trial_id is None:
                room.leave()
        return trial_id

    def _claimed_within(self, room: Room, study_id: int) -> int | None:
        trial_id = self.storage.next_trial(study_id, self.trials)
        if trial_id is None:
            return None
        has_died = deaths_of(self.storage.get_trial_system_attrs(trial_id)) > 0
        if has_died and not room.is_closed:  # it was left in this very moment
            self.storage.requeue(trial_id)
            return None
        if not has_died:  # another process took the one that has
            room.open()
        else:
            number = self.storage.get_trial(trial_id).number
            logger.warning("trial %d: its worker died; nothing is trained beside it", number)
        return trial_id

    def _why_ended(self, last: TrialRecord) -> str:
        """Return why no further trial is of use after this one, or "" where one is."""
        self.repeats = self.repeats + 1 if last.repeat_of is not None else 0
        over_limit = last.ended_by is EndedBy.LIMIT
        self.draws = self.draws + (last.draws or 0) if over_limit else 0
        if self.draws >= DRAWS_IN_A_ROW:
            raise SpaceError(self._no_feasible_network())
        stopped = self.seeded.has_stopped(self._study)
        if (self.repeats or stopped) and self._is_exhausted():
            return f"all {len(self.counts.trained):,} networks of the space are known"
        if stopped:
            return "the sampler has nothing left to try"
        if self.repeats >= REPEATS_IN_A_ROW:
            return (
                f"the sampler proposed {self.repeats} known networks in a row; another sampler or "
                "seed may still find new ones"
            )
        return ""

    def _trial(self, trial_id: int) -> Iterator[Progress]:
        """Run one trial, and tell the callbacks once it has ended."""
        try:
            for step in self.worker.run(trial_id):
                yield replace(self.standing, **step._asdict())
        except Stopped as stopped:
            if self.signum is not None:
                raise Interrupted(self.signum) from None
            self.out_of_time = self._left_waiting(trial_id, stopped)
            return
        self.standing = self._standing()
        finished = self.storage.get_trial(trial_id)
        self._call_back(finished)
        self.timer("storage")
        seconds = self.profile.take() if self.profile is not None else None
        yield replace(self.standing, finished=finished, seconds=seconds)

    def _call_back(self, finished: FrozenTrial) -> None:
        """Call the callbacks; one that stops the study ends this search, and the next one goes on.

        A sampler that stops it has nothing left, and the study has ended for good.
        """
        by_sampler, self._study._stop_flag = self._study._stop_flag, False
        try:
            with stoppable(self._study):
                for callback in self.callbacks:
                    callback(self._study, finished)
        finally:
            self.stopped, self._study._stop_flag = self._study._stop_flag, by_sampler

    def _reached(self, key: str | None) -> list[int | str] | None:
        return None if key is None else self.evaluator.ledger.reached(key)

    def _is_stopped(self) -> bool:
        return self.signum is not None or self.deadline.passed

    def _left_waiting(self, trial_id: int, stopped: Stopped) -> str:
        """Return what became of the trial that the deadline stopped, or did not let begin."""
        number = self.storage.get_trial(trial_id).number
        if isinstance(stopped, TooLong):
            return (
                f"trial {number} waits: it takes about {duration(stopped.seconds)}, "
                f"{duration(max(0.0, self.deadline.left))} were left"
            )
        return f"trial {number} was stopped in its middle and keeps its place"

    def _standing(self) -> Progress:
        """Return the progress of the study now, according to its database."""
        now = self.counts
        now.refresh()
        trials = max(self.trials, now.done)  # where there were more once
        counts = now.done, now.pruned, now.free
        return Progress(trials, *counts, best=now.best, epochs_spent=now.epochs_spent)

    def _is_exhausted(self) -> bool:
        distinct = self.experiment.distinct
        return distinct is not None and len(self.counts.trained) >= distinct

    def _no_feasible_network(self) -> str:
        limits = " and ".join(map(str, self.experiment.limits))
        drawn = f"limits: none of {self.draws:,} networks drawn in a row has {limits}"
        least = self.seeded.smallest
        remedies = [
            each.remedy(least[each.quantity])
            for each in self.experiment.limits
            if each.quantity in least  # it is not measured of what is over another
        ]
        return f"{drawn}; {'; '.join(remedies)}"
