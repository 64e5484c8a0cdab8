"""The whole search: how soon nasopt has what the plain script ends with, and what pruning costs.

    python -m tests.benchmarks.search

`studies/fashion_mnist.py`, 40 trials, TPE on both sides, no pruning in the script, one CPU thread.
Winners are trained again with training seeds that no search has used, and compared by those.
It resumes where it was stopped, in runs/search.db and runs/search-script.json.
"""

import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import torch

from nasopt import Architecture, Conv, load_experiment
from nasopt.evaluation import Evaluation
from nasopt.experiment import Experiment
from nasopt.finals import retrain
from nasopt.worker import Search
from nasopt.workshop import Workshop
from tests.benchmarks import peer
from tests.benchmarks.figures import Figure

SEEDS = 3
TRIALS = 40
MOST_TRIALS = 200  # after which ours has not found it
PRUNERS = ("none", "quarter", "median", "halving")
SCRIPTS = Path("runs/search-script.json")


def script(experiment: Experiment, seed: int) -> dict[str, Any]:
    """What the plain script finds, and the seconds that it takes."""
    train, validation, _ = experiment.data.load()
    recipe = experiment.recipe
    torch.manual_seed(seed)
    objective = peer.Objective(
        train, validation, recipe.epochs, recipe.chosen("batch_size"), recipe.chosen("lr")
    )
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.NopPruner(),
    )
    started = time.perf_counter()
    study.optimize(objective, n_trials=TRIALS)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "best": study.best_value, "params": study.best_params}


def scripts(experiment: Experiment) -> list[dict[str, Any]]:
    known = json.loads(SCRIPTS.read_text()) if SCRIPTS.exists() else []
    for seed in range(len(known), SEEDS):
        known.append(script(experiment, seed))
        SCRIPTS.parent.mkdir(exist_ok=True)
        SCRIPTS.write_text(json.dumps(known, indent=1))
    return known


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


def seconds_until(
    experiment: Experiment, seed: int, accuracy: float, storage: str
) -> tuple[float, int]:
    """Wall seconds, and trials, until a search has seen `accuracy`: from an empty database."""
    search = Search(
        experiment, sampler="tpe", seed=seed, trials=MOST_TRIALS, storage=storage, device="cpu"
    )
    started = time.perf_counter()
    for progress in search:
        if progress.best is not None and progress.best >= accuracy:
            return time.perf_counter() - started, progress.done
    return float("inf"), MOST_TRIALS


def figures() -> Iterator[Figure]:
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    experiment = replace(load_experiment("studies/fashion_mnist.py"), trials=TRIALS)
    workshop = Workshop(experiment, "runs/search.db", "cpu")
    theirs = scripts(experiment)
    ratios, details, again = [], [], []
    for seed, found in enumerate(theirs):
        storage = f"runs/search-until-{seed}.db"
        for left in Path("runs").glob(f"search-until-{seed}.db*"):
            if left.is_file():
                left.unlink()
        seconds, trials = seconds_until(experiment, seed, found["best"], storage)
        ratios.append(seconds / found["seconds"])
        details.append(f"{seconds:.0f} of {found['seconds']:.0f} s, {trials} trials")
        evaluation = Evaluation(
            winner_of(found["params"]), experiment.recipe, experiment.data, experiment.seed
        )
        again.append(retrain(workshop, evaluation).mean)
    yield Figure(
        "until the script's best is found, share of its time",
        statistics.median(ratios),
        at_most=0.2,
        detail="; ".join(details),
    )
    yield Figure("script: best of 40 as seen", statistics.fmean(each["best"] for each in theirs))
    yield Figure("script: its winners trained again", statistics.fmean(again), detail=_each(again))
    for pruner in PRUNERS:
        yield from pruned(experiment, pruner)


def pruned(experiment: Experiment, pruner: str) -> Iterator[Figure]:
    """What a pruner saves and what it loses, over all 40 trials."""
    experiment = replace(experiment, pruner=pruner, name=f"fashion_mnist-{pruner}")
    best, again, seconds = [], [], []
    for seed in range(SEEDS):
        search = Search(
            experiment, sampler="tpe", seed=seed, storage="runs/search.db", device="cpu"
        )
        for _ in search:
            pass
        study = search.study
        best.append(study.best_value)
        winner = experiment.evaluation(study.best_trial.params)
        again.append(retrain(search.workshop, winner).mean)
        trials = study.get_trials(deepcopy=False)
        seconds.append(sum(t.user_attrs["seconds"] for t in trials if "free" not in t.user_attrs))
    yield Figure(f"tpe, {pruner}: seconds of training", statistics.fmean(seconds), unit=" s")
    yield Figure(f"tpe, {pruner}: best as seen", statistics.fmean(best))
    yield Figure(f"tpe, {pruner}: winners again", statistics.fmean(again), detail=_each(again))


def _each(values: list[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


if __name__ == "__main__":
    for figure in figures():
        print(figure, flush=True)
