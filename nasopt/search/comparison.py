"""The comparison of samplers on an experiment: missing studies are run, then all are analysed."""

import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from nasopt.analysis.compared import ComparisonResult
from nasopt.analysis.curves import Budget
from nasopt.analysis.outcome import studies_of
from nasopt.analysis.record import Record
from nasopt.analysis.selection import (
    analyse,
    budget_of,
    check_baseline,
    check_replicates,
    is_done,
    read_study,
    rows_of,
)
from nasopt.analysis.start_up import start_up
from nasopt.analysis.winners import fresh_seeds, quarter_winners
from nasopt.errors import RecipeError, StudyError, Unsuitable
from nasopt.samplers import SAMPLERS, GivenSampler, make_sampler, sampler_name
from nasopt.samplers.naming import Named, told_apart, unnamed
from nasopt.search.deadline import NO_DEADLINE, Deadline, expected_seconds
from nasopt.search.evaluator import Evaluator, default_location
from nasopt.search.experiment import Experiment, check_budget
from nasopt.search.interruption import Interrupted, PassesOn, interruptible
from nasopt.search.resume import Stopped
from nasopt.search.retraining import retrain
from nasopt.search.search import STOPPED, Callback, Progress, Search
from nasopt.search.study import may_change, refuse_difference, refuse_other_settings, study_name
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import open_storage
from nasopt.storage.record import TrialRecord
from nasopt.text import RUN_AGAIN
from nasopt.training.evaluation import Evaluation

# the default sampler, Optuna's, and the baselines that had better not be left out
DEFAULT = ("random", "largest", "one-epoch", "tpe", "surrogate")
ONE_EPOCH = "one-epoch"  # whose first looks are as many as its budget says: no part is one of less
POLL_SECONDS = 0.5  # between two looks at studies that other processes have in hand
SLOW = ("gp",)  # it takes seconds for a suggestion: not in "all"


@dataclass(frozen=True)
class ComparisonProgress:
    """The state of a comparison: study `number` of `total` runs, or a winner was trained again.

    `search` is the progress of the study; `again` the accuracies of the winner of `study` with
    other seeds, and then `number` counts winners.
    """

    number: int  # from 1
    total: int
    study: str
    search: Progress | None = None
    again: tuple[float, ...] | None = None


class Comparison(PassesOn):
    """A comparison: iterate over it to run the studies that are missing, then read `result`.

        comparison = Comparison(experiment, samplers=("random", "tpe"), seeds=8)
        for progress in comparison: ...
        comparison.result.verdict

    There is a study for each of `samplers` and each seed from 0 to `seeds` - 1, all in one
    database. Samplers are names ("random,tpe" and "all" will do) or Optuna's objects. Several of
    one class are named by their settings as well; {"mine": MySampler()} gives a name. A study has
    `trials`, or ends by `epochs_budget` (see `Search`). Then the winner of each, at each quarter of
    the budget, is trained again with `replicates` other seeds; with two objectives there is no
    winner. On a benchmark the studies of each seed see replicates of their own (the training seed
    is that of the study), and winners are judged by all replicates instead. Nothing is paid for
    twice: an iteration that was interrupted, or is repeated, goes on.
    `callbacks` are those of every search, and `evaluator` and `trains` are as there. With
    `analyse_only` it does nothing at all, and the database is only read. At the `deadline` it ends
    as a search does, and `out_of_time` says so.

    Everything a user can get wrong is raised here, before a database exists. A sampler that cannot
    do with the experiment is left out; `left_out` says why.
    """

    def __init__(
        self,
        experiment: Experiment,
        *,
        samplers: str | Sequence[GivenSampler] | Named = DEFAULT,
        seeds: int = 5,
        trials: int | None = None,
        epochs_budget: int | None = None,
        storage: str | Path | None = None,
        replicates: int = 3,
        baseline: str = "random",
        device: str = "auto",
        analyse_only: bool = False,
        deadline: Deadline = NO_DEADLINE,
        evaluator: Evaluator | None = None,
        trains: bool = True,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        if type(seeds) is not int or seeds < 1:
            raise RecipeError(f"seeds={seeds!r}: use a whole number from 1")
        check_replicates(replicates)
        self.experiment = experiment
        self.callbacks = callbacks
        self.deadline = deadline
        self.out_of_time = ""  # what was left undone at the deadline
        self.left_out: list[str] = []
        self.samplers = self._suitable(samplers)
        self.baseline = check_baseline(baseline, list(self.samplers))
        self.seeds = range(seeds)
        self.trials, self.epochs_budget = trials, epochs_budget
        amount = check_budget(experiment, trials, epochs_budget)
        self.budget = Budget(amount, "evaluations" if epochs_budget is None else "epochs")
        again = len(experiment.objectives) == 1 and experiment.backend.fresh_seeds
        self.replicates = replicates if again else 0
        self.evaluator = (
            None
            if analyse_only
            else evaluator or Evaluator(experiment, storage, device, trains=trains)
        )
        self.location = default_location(experiment) if storage is None else storage
        self.storage = (
            open_storage(self.location, "read")
            if self.evaluator is None
            else self.evaluator.storage
        )
        self._records: dict[str, Record] = {}

    def _suitable(self, samplers: str | Sequence[GivenSampler] | Named) -> dict[str, GivenSampler]:
        """Return the samplers by name, without those that cannot do with the experiment."""
        if isinstance(samplers, str):
            listed = [name.strip() for name in samplers.split(",") if name.strip()]
            samplers = (
                [n for n in SAMPLERS if n not in SLOW]
                if [each.lower() for each in listed] == ["all"]
                else listed
            )
        found: dict[str, GivenSampler] = {}
        for sampler in told_apart(samplers):
            name = sampler_name(sampler)
            try:
                make_sampler(sampler, self.experiment.problem, 0)
            except Unsuitable as reason:
                self.left_out.append(f"{name} is left out: {reason}.")
                continue
            found[name] = sampler
        if not found:
            raise StudyError(
                f"samplers: {' '.join(self.left_out) or 'none'}; choose from {', '.join(SAMPLERS)}"
            )
        return found

    @cached_property
    def studies(self) -> dict[str, tuple[int, GivenSampler]]:
        """The seed and sampler of each study by name; seed by seed, so that pairs come early."""
        return {
            study_name(self.experiment, sampler, seed): (seed, sampler)
            for seed in self.seeds
            for sampler in self.samplers.values()
        }

    def __iter__(self) -> Iterator[ComparisonProgress]:
        if self.evaluator is None:
            return
        self.signum, self.out_of_time = None, ""
        with interruptible(self):
            yield from self._search(self.evaluator)
            if not self.out_of_time:
                yield from self._train_again(self.evaluator)

    def _search(self, evaluator: Evaluator) -> Iterator[ComparisonProgress]:
        numbers = {name: number for number, name in enumerate(self.studies, 1)}
        there = set(studies_of(self.storage))
        for name in [name for name in self.studies if name in there and self.is_done(name)]:
            yield ComparisonProgress(numbers.pop(name), len(self.studies), name)
        for name in self._shared(evaluator, numbers, self.is_done):
            seed, sampler = self.studies[name]
            search = Search(
                self._experiment(seed),
                sampler=sampler,
                seed=seed,
                trials=self.trials,
                epochs_budget=self.epochs_budget,
                evaluator=evaluator,
                deadline=self.deadline,
                time_counts=False,
                callbacks=self.callbacks,
            )
            self.running = [search]
            try:
                for progress in search:
                    self.remind()
                    yield ComparisonProgress(numbers[name], len(self.studies), name, progress)
            finally:
                self.running = []
            if search.ended == STOPPED:
                raise StudyError(f"study={name}: {STOPPED}; {RUN_AGAIN}")
            if search.out_of_time:
                self.out_of_time = f"{name}: {search.out_of_time}"
                return

    @property
    def left(self) -> int:
        """The number of processes that find work: a study that is not done, or a winner."""
        if self.evaluator is None:
            return 0
        not_done = [name for name in self.studies if not self.is_done(name)]
        return max(len(not_done), len(self._missing(self.evaluator.ledger, but=not_done)))

    def is_done(self, name: str) -> bool:
        """Return whether the study of that name is there and has its budget."""
        return name in studies_of(self.storage) and is_done(self._read(name), self.budget)

    def _shared(
        self, evaluator: Evaluator, names: Iterable[str], is_done: Callable[[str], bool]
    ) -> Iterator[str]:
        """Yield those of `names` that no other process has in hand or has done, till all are done.

        So each study is one process's alone, and equals that of a comparison without others.
        """
        left = list(names)
        while left:
            taken = False
            for name in list(left):
                if self.signum is not None:
                    raise Interrupted(self.signum)
                if self.deadline.passed:
                    self.out_of_time = f"{name} is not done"
                    return
                if not evaluator.locks.take(name):
                    continue
                try:
                    if not is_done(name):
                        yield name
                finally:
                    evaluator.locks.release(name)
                left.remove(name)
                taken = True
            if left and not taken:
                time.sleep(POLL_SECONDS)

    def _experiment(self, seed: int) -> Experiment:
        """Return the experiment of the studies of `seed`."""
        if self.experiment.backend.fresh_seeds:
            return self.experiment
        return replace(self.experiment, seed=seed)

    def _train_again(self, evaluator: Evaluator) -> Iterator[ComparisonProgress]:
        missing = self._missing(evaluator.ledger)
        numbers = {key: number for number, key in enumerate(missing, 1)}

        def is_done(key: str) -> bool:
            return not self._untrained(missing[key][1], self._known(evaluator.ledger))

        for key in self._shared(evaluator, missing, is_done):
            study, evaluation = missing[key]
            try:
                with evaluator.beside_others(self._is_stopped):
                    for replicate in range(1, self.replicates + 1):
                        if self._seconds_again(study, evaluation, replicate) > self.deadline.left:
                            self.out_of_time = f"the winner of {study} waits to be trained again"
                            return
                        again = retrain(evaluator, evaluation, replicate, self._is_stopped)
            except Stopped:
                if self.signum is not None:
                    raise Interrupted(self.signum) from None
                self.out_of_time = f"the winner of {study} was being trained again"
                return
            yield ComparisonProgress(numbers[key], len(missing), study, again=again.accuracies)

    def _seconds_again(self, study: str, winner: Evaluation, replicate: int) -> float:
        """Return how long the training of a winner with its last of so many seeds will take."""
        assert self.evaluator is not None
        *_, fresh = fresh_seeds(winner, replicate)
        epochs = self.evaluator.epochs_left(fresh)
        before = [TrialRecord.of(trial) for trial in reversed(self._read(study).complete)]
        return expected_seconds(self.experiment.cost(winner.architecture).macs, epochs, before)

    def _is_stopped(self) -> bool:
        return self.signum is not None or self.deadline.passed

    def _missing(
        self, ledger: Ledger, but: Container[str] = ()
    ) -> dict[str, tuple[str, Evaluation]]:
        """Return the winners to be trained again, once each, by key: a study of it, the winner.

        Those of whole studies come first: samplers are compared by them.
        """
        known = self._known(ledger)
        names = [name for name in self.studies if self.replicates and name not in but]
        winners = [
            (name, winner)
            for name in names
            for winner in quarter_winners(rows_of(self._read(name)), self.budget)
        ]
        found: dict[str, tuple[str, Evaluation]] = {}
        for name, winner in sorted(winners, key=lambda pair: -pair[1].quarter):
            evaluation = self.experiment.evaluation(self._read(name).trials[winner.number].params)
            if self._untrained(evaluation, known):
                found.setdefault(evaluation.key, (name, evaluation))
        return found

    def _known(self, ledger: Ledger) -> dict[str, float]:
        return ledger.final_scores(self.experiment.recipe.epochs)

    def _untrained(self, winner: Evaluation, known: Container[str]) -> bool:
        """Return True if another seed's training of it is missing."""
        return any(each.key not in known for each in fresh_seeds(winner, self.replicates))

    def _read(self, name: str) -> Record:
        """Return the study, from memory once it is done: each takes a while to read.

        Raises StudyError if it was not run as it would be now.
        """
        if name not in self._records:
            record = read_study(self.storage, name)
            self._refuse_change(record)
            if not is_done(record, self.budget):
                return record
            self._records[name] = record
        return self._records[name]

    def _refuse_change(self, study: Record) -> None:
        begun = study.experiment.to_json()
        refuse_difference(study.name, begun, self._experiment(study.seed))
        refuse_other_settings(study, self.studies[study.name][1])
        for place, now in may_change(self.experiment).items():
            was = getattr(study, place)
            unpruned = place == "pruner" and was == "none" and len(study.objectives) > 1
            # a sampler may be a pruner of its own; older studies of two objectives had none
            if was not in (now, study.sampler) and not unpruned:
                raise StudyError(
                    f"study={study.name}: {place}={now} now, but {was} when it was run; set it "
                    "back, or choose another --storage or Experiment(name=...)"
                )
        run = budget_of(study)
        part = run.unit != self.budget.unit or run.amount > self.budget.amount
        if study.sampler == ONE_EPOCH and part:
            raise StudyError(
                f"study={study.name}: run with {run}, so its first looks are not those of "
                f"{self.budget}; give it the same, leave {ONE_EPOCH} out, or choose another "
                "--storage"
            )

    @property
    def result(self) -> ComparisonResult:
        """The result of the studies.

        Raises StudyError if some are missing or not finished.
        """
        there = set(studies_of(self.storage))
        for name in self.studies:
            if name not in there:
                raise StudyError(
                    f"study={name}: not in this database; run the comparison to make it"
                )
        return analyse(
            [self._read(name) for name in self.studies],
            self.storage,
            self.budget,
            replicates=self.replicates,
            baseline=self.baseline,
            evidence=self.experiment.backend.evidence,
            start_ups={name: start_up(unnamed(sampler)) for name, sampler in self.samplers.items()},
            notes=self.left_out,
        )
