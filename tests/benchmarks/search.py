"""The whole search: how soon nasopt has what the plain script ends with, and what pruning costs.

    python -m tests.benchmarks.search

`studies/fashion_mnist.py`, 40 trials; the script has TPE, no pruning, and as many threads as there
are cores. Ours is the command line, with one worker, and with one for each core, with a budget of
trials and, for the default sampler, one of time. How many trials ours needs is much luck, since the
goal is the best of forty lucky accuracies: so there are eight seeds of the default sampler, and the
winners of all sides, ours when the clock stops, are trained again with seeds that no search has
used. So are those of pruners, one CPU thread.

Four hours on two cores, which nothing else may use.
"""

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import torch

from nasopt import Architecture, Conv, load_experiment
from nasopt.search.evaluator import Evaluator
from nasopt.search.experiment import Experiment
from nasopt.search.retraining import retrain
from nasopt.search.search import Search
from nasopt.storage.opening import open_storage
from nasopt.training.evaluation import Evaluation
from tests.benchmarks import peer
from tests.benchmarks.figures import Figure

STUDY = "studies/fashion_mnist.py"
SEEDS = 3
SEEDS_OF_DEFAULT = 8
TRIALS = 40
BUDGETS = {"trials": "200", "time": "600"}  # after which ours has not found it
POLL_SECONDS = 0.1
PRUNERS = ("none", "surrogate", "quarter", "median", "halving")


@dataclass(frozen=True)
class Found:
    """What a search has found, after so many seconds and trials."""

    seconds: float
    trials: int
    best: float
    params: dict[str, Any]


def script(experiment: Experiment, seed: int, device: str = "cpu", loaders: int = 0) -> Found:
    """What the plain script finds, and the seconds that it takes.

    `loaders` is the number of processes that make its batches.
    """
    train, validation, _ = experiment.data.load()
    recipe = experiment.recipe
    torch.manual_seed(seed)
    objective = peer.Objective(
        train, validation, recipe.epochs, recipe.chosen("batch_size"), recipe.chosen("lr"),
        device, loaders,
    )  # fmt: skip
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.NopPruner(),
    )
    started = time.perf_counter()
    study.optimize(objective, n_trials=TRIALS)
    seconds = time.perf_counter() - started
    return Found(seconds, TRIALS, study.best_value, study.best_params)


def winner_of(params: dict[str, Any]) -> Architecture:
    return Architecture(
        tuple(
            Conv(
                filters=params[f"filters{i}"],
                kernel_size=params[f"kernel_size{i}"],
                stride=params[f"stride{i}"],
            )
            for i in range(params["layers"])
        )
    )


def until(
    seed: int, accuracy: float, sampler: str, workers: int, budget: str = "trials",
    device: str = "cpu",
) -> Found:  # fmt: skip
    """What `nasopt run` has when it has seen `accuracy`: from an empty database.

    The start of the process counts, as it does for who types the command.
    """
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder) / "x.db"
        words = ["run", STUDY, "--device", device, "--sampler", sampler, "--seed", str(seed)]
        words += [f"--{budget}", BUDGETS[budget], "--workers", str(workers)]
        command = [sys.executable, "-m", "nasopt", *words, "--storage", str(storage)]
        environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
            try:
                while process.poll() is None and seen(storage) < accuracy:
                    time.sleep(POLL_SECONDS)
                seconds = time.perf_counter() - started
            finally:
                process.terminate()
        (study,) = optuna.get_all_study_names(f"sqlite:///{storage}")
        trials = optuna.load_study(study_name=study, storage=open_storage(storage, "read")).trials
        finished = [trial for trial in trials if trial.state.is_finished()]
        best = max(finished, key=lambda trial: trial.value or 0.0)
        assert best.value is not None
        found = Found(seconds, len(finished), best.value, best.params)
        return found if best.value >= accuracy else replace(found, seconds=float("inf"))


def seen(storage: Path) -> float:
    """The best accuracy so far."""
    if not storage.exists():
        return 0.0
    with closing(sqlite3.connect(storage)) as connection:
        try:
            (best,) = connection.execute(
                "SELECT max(value) FROM trial_values JOIN trials USING (trial_id) "
                "WHERE state = 'COMPLETE'"
            ).fetchone()
        except sqlite3.OperationalError:  # its tables are being made
            return 0.0
    return best or 0.0


def figures() -> Iterator[Figure]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    experiment = replace(load_experiment(STUDY), trials=TRIALS)
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    workers_of_sides = sorted({1, cores})
    default = [("surrogate", each, budget) for budget in BUDGETS for each in workers_of_sides]
    sides = [*default, *(("tpe", each, "trials") for each in workers_of_sides)]
    theirs: list[Found] = []
    ours: dict[tuple[str, int, str], list[Found]] = defaultdict(list)
    for seed in range(SEEDS_OF_DEFAULT):  # the sides in turn
        theirs.append(script(experiment, seed))
        for side in sides if seed < SEEDS else default:
            ours[side].append(until(seed, theirs[seed].best, *side))
    for (sampler, workers, budget), found in ours.items():
        pairs = list(zip(found, theirs, strict=False))
        yield Figure(
            f"until the script's best is found, share of its time: {sampler}, {workers} workers, "
            f"--{budget}",
            statistics.median(our.seconds / their.seconds for our, their in pairs),
            # of the plain command
            at_most=0.2 if (sampler, workers, budget) == ("surrogate", 1, "trials") else None,
            detail="; ".join(
                f"{our.seconds:.0f} of {their.seconds:.0f} s, {our.trials} trials"
                for our, their in pairs
            ),
        )
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        evaluator = Evaluator(experiment, Path(folder) / "x.db", "cpu")
        winners = {"the script": [winner_of(found.params) for found in theirs]}
        for (sampler, workers, budget), found in ours.items():
            decoded = [experiment.space.decode(each.params) for each in found]
            winners[f"{sampler}, {workers} workers, --{budget}"] = decoded
        for who, architectures in winners.items():
            again = [retrained(evaluator, each) for each in architectures]
            yield Figure(
                f"winners trained again: {who}", statistics.fmean(again), detail=_each(again)
            )
    yield from pruned(experiment)


def retrained(evaluator: Evaluator, architecture: Any) -> float:
    """The mean accuracy with three fresh seeds."""
    experiment = evaluator.experiment
    evaluation = Evaluation(architecture, experiment.recipe, experiment.data, experiment.seed)
    return retrain(evaluator, evaluation).mean


def pruned(experiment: Experiment) -> Iterator[Figure]:
    """What pruners save and what they lose, over all 40 trials; seed by seed in turn."""
    seen, again, seconds = (defaultdict(list) for _ in range(3))
    for seed in range(SEEDS):
        for pruner in PRUNERS:
            named = replace(experiment, pruner=pruner, name=f"fashion_mnist-{pruner}")
            with tempfile.TemporaryDirectory() as folder:
                search = Search(
                    named, sampler="tpe", seed=seed, storage=Path(folder) / "x.db", device="cpu"
                )
                for _ in search:
                    pass
                study = search.study
                seen[pruner].append(study.best_value)
                winner = experiment.space.decode(study.best_trial.params)
                again[pruner].append(retrained(search.evaluator, winner))
                trials = study.get_trials(deepcopy=False)
            paid = (trial for trial in trials if "free" not in trial.user_attrs)
            seconds[pruner].append(sum(trial.user_attrs["seconds"] for trial in paid))
    for pruner in PRUNERS:
        yield Figure(
            f"tpe, {pruner}: seconds of training", statistics.fmean(seconds[pruner]), unit=" s"
        )
        yield Figure(f"tpe, {pruner}: best as seen", statistics.fmean(seen[pruner]))
        means = again[pruner]
        yield Figure(f"tpe, {pruner}: winners again", statistics.fmean(means), detail=_each(means))


def _each(values: list[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


if __name__ == "__main__":
    for figure in figures():
        print(figure, flush=True)
