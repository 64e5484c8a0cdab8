"""`Finals`: from a finished search to a tested model, in stages that may be interrupted anywhere.

Nothing is kept but what the ledger keeps: a training is an evaluation, a look at the test split is
one transaction. So the same command after a kill goes on, and comes to the same result.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from nasopt.analysis.final_test import (
    WINNER,
    Contender,
    Efficiency,
    FinalProgress,
    FinalResult,
    FinalTest,
    final_test,
)
from nasopt.analysis.record import Record
from nasopt.analysis.reranking import Reranking, candidate, finalists
from nasopt.analysis.winners import fresh_seeds
from nasopt.errors import ModelError, OutOfMemory, RecipeError, StudyError
from nasopt.models.efficiency import efficiency
from nasopt.models.final_card import final_card
from nasopt.models.final_folder import check_folder, holds, usual_folder
from nasopt.models.final_training import FinalTraining
from nasopt.models.pace import Pace
from nasopt.models.references import references
from nasopt.models.saving import save
from nasopt.models.searched import recalled, searched
from nasopt.models.test_split import check_test, look_at_test
from nasopt.reporting.commands import command
from nasopt.search.deadline import NO_DEADLINE, Deadline
from nasopt.search.evaluator import Evaluator, default_location
from nasopt.search.experiment import Experiment
from nasopt.search.interruption import Interrupted, interruptible
from nasopt.search.resume import Stopped
from nasopt.space.architecture import Architecture
from nasopt.space.model import refuse_unsaved_blocks
from nasopt.storage.looks import Looks, look_key
from nasopt.storage.opening import open_storage
from nasopt.text import duration
from nasopt.training.evaluation import EpochResult, Evaluation

TOP, SEEDS = 5, 3
RERANKING, TRAINING, LOOK = "re-ranking", "final training", "test"
MEASURING, WRITING = "efficiency", "writing"

Plan = list[tuple[Contender, Sequence[Evaluation]]]  # contenders with their final trainings
Progressing = Generator[FinalProgress, None, Any]


@dataclass(frozen=True)
class Course:
    """The trainings of a stage, each with its name, and the seconds that each is to take."""

    stage: str
    trainings: Sequence[tuple[str, Evaluation]]
    seconds: Sequence[float]

    def begun(self, place: int) -> FinalProgress:
        """Return the state before the training at a place, from 0."""
        name, left = self.trainings[place][0], sum(self.seconds[place:])
        return FinalProgress(self.stage, place + 1, len(self.trainings), name, seconds_left=left)


class Diverged(ModelError):
    """The error of a final training whose loss is not finite."""


class OutOfTime(Exception):
    """The error at the deadline: what waits, in words."""


def check_trained_here(experiment: Experiment) -> None:
    """Raise StudyError if the networks are trained by a function of the user's."""
    if experiment.train is not None:
        raise StudyError(
            f"experiment={experiment.name}: its networks are trained by its train=..., whose "
            "weights nasopt does not have; train the best of them there and test it yourself"
        )


class Finals:
    """The way from the studies of an experiment to a tested model: iterate, then read `result`.

        finals = Finals(experiment)
        for progress in finals: ...
        finals.result.test.verdict

    The `top` best different networks of all its studies in `storage` (or of `study` alone) are
    trained again with `seeds` other seeds and scored on validation. The first of them is then
    trained on training and validation images together, `seeds` times, for `epochs` if given, and so
    are reference networks. Then the test split is looked at, once, and the model of the first seed
    is written into the folder `output`, by default `<name of the experiment>-model`. Without an
    `experiment`, it is that of the studies, if their data set is one that comes by its name.

    No training begins that would not end by the `deadline`, and the one under way is stopped there
    within a batch: then there is no `result`, `out_of_time` says why, and the same call goes on.

    Everything a user can get wrong is raised here, before anything is trained. Iterating raises
    Interrupted on Ctrl-C or SIGTERM; the same call goes on.
    """

    def __init__(
        self,
        experiment: Experiment | None = None,
        *,
        storage: str | Path | None = None,
        study: str | None = None,
        top: int = TOP,
        seeds: int = SEEDS,
        epochs: int | None = None,
        output: str | Path | None = None,
        deadline: Deadline = NO_DEADLINE,
        device: str = "auto",
    ) -> None:
        for name, value in (("top", top), ("seeds", seeds), ("epochs", epochs)):
            if value is not None and (type(value) is not int or value < 1):
                raise RecipeError(f"{name}={value!r}: use a whole number from 1")
        if storage is None:
            if experiment is None:
                raise StudyError("finals: of what? give an experiment, or storage=...")
            storage = default_location(experiment)
        self.study, self.seeds, self.epochs, self.deadline = study, seeds, epochs, deadline
        self.studies = searched(open_storage(storage, "write"), experiment, study)
        self.experiment = recalled(self.studies[0]) if experiment is None else experiment
        self.finalists = finalists(self.studies, top)
        if not self.finalists:
            names = ", ".join(each.name for each in self.studies)
            raise StudyError(f"study={names}: no finished trial; run it first, or for longer")
        check_trained_here(self.experiment)
        check_test(self.experiment.data)
        self.output = Path(output or usual_folder(self.experiment.name)).expanduser()
        check_folder(self.output, self.experiment.data.fingerprint)
        self.location = str(storage)
        self.evaluator = Evaluator(self.experiment, storage, device)
        self.training = FinalTraining(self.evaluator)
        self.looks = Looks(self.evaluator.storage.engine)
        self.pace = Pace(self.studies, self.experiment)
        self.signum: int | None = None  # of the signal that asked to stop
        self.out_of_time = ""  # what was left undone at the deadline
        self._result: FinalResult | None = None

    @property
    def result(self) -> FinalResult:
        """The result, once it was iterated to the end; there is none if it ran out of time."""
        assert self._result is not None
        return self._result

    def __iter__(self) -> Iterator[FinalProgress]:
        self.signum, self.out_of_time = None, ""
        with interruptible(self):
            try:
                yield from self._stages()
            except OutOfTime as late:
                self.out_of_time = str(late)

    def _stages(self) -> Iterator[FinalProgress]:
        reranking = yield from self._rerank()
        plan, missing = self._plan(reranking)
        test = yield from self._test(plan, missing)
        measured = yield from self._measure(test)
        data, folder = self.experiment.data.fingerprint, str(self.output)
        result = FinalResult(self.experiment.name, data, reranking, test, measured, folder)
        yield from self._write(result, plan[0][1][0])
        self._result = result

    def _rerank(self) -> Generator[FinalProgress, None, Reranking]:
        found = [candidate(study, trial, ()) for study, trial in self.finalists]
        trainings = [
            (each.name, evaluation)
            for each, (study, trial) in zip(found, self.finalists, strict=True)
            for evaluation in fresh_seeds(self._evaluation(study, trial.params), self.seeds)
        ]
        course, fresh = self._course(RERANKING, trainings), []
        for number, (_, evaluation) in enumerate(trainings):
            epochs = self.evaluator.epochs(evaluation, self._is_stopped)
            last = yield from self._follow(course, number, epochs)
            fresh.append(last.score(self.experiment.metric))
        rows = [tuple(fresh[n : n + self.seeds]) for n in range(0, len(fresh), self.seeds)]
        candidates = (replace(each, fresh=row) for each, row in zip(found, rows, strict=True))
        return Reranking(tuple(candidates), self.experiment.metric)

    def _evaluation(self, study: Record, params: Mapping[str, Any]) -> Evaluation:
        return study.experiment.evaluation(params)

    def _plan(self, reranking: Reranking) -> tuple[Plan, list[str]]:
        """Return the winner and the references, and what to say of those that there are not."""
        best = reranking.winner
        study, trial = next(
            (study, trial)
            for study, trial in self.finalists
            if (study.name, trial.number) == (best.study, best.number)
        )
        won = self._evaluation(study, trial.params)
        problem = replace(self.experiment.problem, cost=self.evaluator.cost)
        others, missing = references(self.experiment, self.studies, problem)
        assert isinstance(won.architecture, Architecture)
        named = [(WINNER, best.name, won.architecture)]
        for each in others:
            same = (
                " (the winner's network)" if each.architecture.key == won.architecture.key else ""
            )
            named.append((each.name, each.how + same, each.architecture))
        plan: Plan = []
        for name, how, architecture in named:
            refuse_unsaved_blocks(architecture, self.experiment.data.input_shape)
            trained = replace(won, architecture=architecture)
            evaluations = self.training.evaluations(trained, self.epochs, self.seeds)
            cost, keys = self.experiment.cost(architecture), tuple(e.key for e in evaluations)
            contender = Contender(name, how, architecture, cost.parameters, cost.macs, keys)
            plan.append((contender, evaluations))
        return plan, missing

    def _test(
        self, plan: Plan, missing: Sequence[str]
    ) -> Generator[FinalProgress, None, FinalTest]:
        """Train all of `plan` and look at the test split, unless that look was taken before."""
        keys = [key for contender, _ in plan for key in contender.keys]
        key = look_key(self.experiment.data.fingerprint, keys)
        if final_test(self.looks, key, self.experiment.metric) is None:
            trained, unfit = yield from self._train(plan)
            self._stop_if_asked()
            yield FinalProgress(LOOK, 1, 1, "all models")
            look_at_test(self.training, trained, self.looks, key, [*missing, *unfit])
        for evaluation in (each for _, evaluations in plan for each in evaluations):
            if evaluation.key != keys[0]:  # the first model of the winner is the one to keep
                self.training.discard(evaluation)
        test = final_test(self.looks, key, self.experiment.metric)
        assert test is not None
        return test

    def _train(self, plan: Plan) -> Generator[FinalProgress, None, tuple[Plan, list[str]]]:
        """Train the contenders; return those that fit the device, and a line on each other."""
        trainings = [(of.name, each) for of, evaluations in plan for each in evaluations]
        course, number = self._course(TRAINING, trainings), 0
        trained: Plan = []
        unfit: list[str] = []
        for contender, evaluations in plan:
            try:
                for place, evaluation in enumerate(evaluations, number):
                    epochs = self.training.epochs(evaluation, self._is_stopped)
                    last = yield from self._follow(course, place, epochs, validated=False)
                    if last.diverged:
                        raise Diverged(
                            f"seed={evaluation.seed}: the loss of the final training of "
                            f"{contender.name} is not finite after epoch {last.epoch}; search with "
                            "a smaller recipe.lr, or precision='fp32'"
                        )
            except (OutOfMemory, Diverged) as error:
                if contender.name == WINNER:
                    raise
                unfit.append(f"{contender.name} is left out: {error}.")
            else:
                trained.append((contender, evaluations))
            number += len(evaluations)
        return trained, unfit

    def _course(self, stage: str, trainings: Sequence[tuple[str, Evaluation]]) -> Course:
        seconds = [self.pace.seconds(each, self.evaluator.ledger) for _, each in trainings]
        return Course(stage, trainings, seconds)

    def _follow(
        self,
        course: Course,
        place: int,
        epochs: Iterator[EpochResult],
        *,
        validated: bool = True,
    ) -> Generator[FinalProgress, None, EpochResult]:
        """Yield the progress of the training at a place, from 0, and return its last epoch."""
        begun, seconds = course.begun(place), course.seconds[place]
        total, metric = course.trainings[place][1].recipe.epochs, self.experiment.metric
        self._check_time(begun, seconds)
        last = None
        try:
            for last in epochs:
                yield replace(
                    begun, epoch=last.epoch, epochs=total, metric=metric,
                    score=last.score(metric) if validated else None,
                    seconds_left=begun.seconds_left - seconds * last.epoch / total,
                )  # fmt: skip
        except Stopped:
            self._stop_if_asked(f"{_told(begun)} was under way and goes on from there")
        assert last is not None
        return last

    def _check_time(self, begun: FinalProgress, seconds: float) -> None:
        """Raise OutOfTime if a training of so many `seconds` would not end in time."""
        if seconds > self.deadline.left:
            left = duration(max(0.0, self.deadline.left))
            takes = f"it takes about {duration(seconds)}, {left} were left"
            raise OutOfTime(f"{_told(begun)} waits: {takes}")

    def _measure(self, test: FinalTest) -> Generator[FinalProgress, None, tuple[Efficiency, ...]]:
        data, found = self.experiment.data, []
        latencies = self.evaluator.latencies
        here = self.evaluator.device, self.evaluator.threads
        for number, each in enumerate(test.tested, 1):
            self._stop_if_asked()
            yield FinalProgress(MEASURING, number, len(test.tested), each.contender.name)
            shape, classes = data.input_shape, data.classes
            found.append(efficiency(each.contender, shape, classes, latencies, *here))
        return tuple(found)

    def _write(self, result: FinalResult, evaluation: Evaluation) -> Iterator[FinalProgress]:
        """Write the model of `evaluation` into the folder, unless it is there already."""
        self._stop_if_asked()
        yield FinalProgress(WRITING, 1, 1, result.folder)
        course = self._course(WRITING, [(result.folder, evaluation)])
        epochs = self.training.epochs(evaluation, self._is_stopped)  # known, unless it was lost
        yield from self._follow(course, 0, epochs, validated=False)
        model = self.training.model(evaluation)
        if not holds(self.output, model):
            save(model, self.output, card=final_card(result, self._command))

    @property
    def _command(self) -> str:
        words = ["finals", f"{self.experiment.name}.py", "--storage", self.location]
        words += ["--top", str(len(self.finalists)), "--seeds", str(self.seeds)]
        others = {"--study": self.study, "--epochs": self.epochs}
        given = ((option, str(value)) for option, value in others.items() if value is not None)
        return command(*words, *chain.from_iterable(given))

    def _is_stopped(self) -> bool:
        return self.signum is not None or self.deadline.passed

    def _stop_if_asked(self, undone: str = "all is trained, the rest waits") -> None:
        if self.signum is not None:
            raise Interrupted(self.signum)
        if self.deadline.passed:
            raise OutOfTime(undone)


def _told(progress: FinalProgress) -> str:
    return f"{progress.stage} {progress.number} of {progress.total} ({progress.name})"
