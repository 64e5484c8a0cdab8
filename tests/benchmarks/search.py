"""The whole search: how soon nasopt has what the plain script ends with, and what pruning costs.

    python -m tests.benchmarks.search

`studies/fashion_mnist.py`, 40 trials; the script has TPE, no pruning, all of torch's threads. Ours
is the command line, with one worker, and with one for each core. How many trials ours needs is much
luck: the goal is the best of forty lucky accuracies. So the default sampler has seven seeds.

Winners are trained again with training seeds that no search has used, and compared by those; so are
those of pruners, one CPU thread. It resumes where it was stopped, in runs/search.db and
runs/search-script.json.
"""

import json
import sqlite3
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
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

STUDY = "studies/fashion_mnist.py"
SEEDS = 3
SEEDS_OF_DEFAULT = 7
TRIALS = 40
MOST_TRIALS = 200  # after which ours has not found it
POLL_SECONDS = 0.1
PRUNERS = ("none", "quarter", "median", "halving")
SCRIPTS = Path("runs/search-script.json")


def script(
    experiment: Experiment, seed: int, device: str = "cpu", loaders: int = 0
) -> dict[str, Any]:
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
    return {"seconds": seconds, "best": study.best_value, "params": study.best_params}


def known_script(experiment: Experiment, seed: int) -> dict[str, Any]:
    known = json.loads(SCRIPTS.read_text()) if SCRIPTS.exists() else {}
    if str(seed) not in known:
        known[str(seed)] = script(experiment, seed)
        SCRIPTS.parent.mkdir(exist_ok=True)
        SCRIPTS.write_text(json.dumps(known, indent=1))
    found: dict[str, Any] = known[str(seed)]
    return found


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
    seed: int, accuracy: float, sampler: str, workers: int, device: str = "cpu"
) -> tuple[float, int]:
    """Wall seconds, and trials, until `nasopt run` has seen `accuracy`: from an empty database.

    The start of the process counts, as it does for who types the command.
    """
    storage = Path(f"runs/search-until-{sampler}-{workers}-{seed}.db")
    for left in storage.parent.glob(f"{storage.name}*"):
        if left.is_file():
            left.unlink()
    words = ["run", STUDY, "--device", device, "--sampler", sampler, "--seed", str(seed)]
    words += ["--trials", str(MOST_TRIALS), "--workers", str(workers), "--storage", str(storage)]
    started = time.perf_counter()
    command = [sys.executable, "-m", "nasopt", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            best, trials = seen(storage)
            if best >= accuracy:
                seconds = time.perf_counter() - started
                process.terminate()
                return seconds, trials
            time.sleep(POLL_SECONDS)
    return float("inf"), MOST_TRIALS


def seen(storage: Path) -> tuple[float, int]:
    """The best accuracy so far, and the number of finished trials."""
    if not storage.exists():
        return 0.0, 0
    with closing(sqlite3.connect(storage)) as connection:
        try:
            best, trials = connection.execute(
                "SELECT max(value), count(*) FROM trial_values JOIN trials USING (trial_id) "
                "WHERE state = 'COMPLETE'"
            ).fetchone()
        except sqlite3.OperationalError:  # its tables are being made
            return 0.0, 0
    return best or 0.0, trials


def figures() -> Iterator[Figure]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    experiment = replace(load_experiment(STUDY), trials=TRIALS)
    cores = torch.get_num_threads()
    ours = [(sampler, workers) for sampler in ("surrogate", "tpe") for workers in (1, cores)]
    theirs, ratios, details = [], defaultdict(list), defaultdict(list)
    for seed in range(SEEDS_OF_DEFAULT):  # the sides in turn
        theirs.append(found := known_script(experiment, seed))
        for side in ours if seed < SEEDS else ours[:2]:
            seconds, trials = seconds_until(seed, found["best"], *side)
            ratios[side].append(seconds / found["seconds"])
            details[side].append(f"{seconds:.0f} of {found['seconds']:.0f} s, {trials} trials")
    for sampler, workers in ours:
        yield Figure(
            f"until the script's best is found, share of its time: {sampler}, {workers} workers",
            statistics.median(ratios[sampler, workers]),
            at_most=0.2 if sampler == "surrogate" else None,
            detail="; ".join(details[sampler, workers]),
        )
    torch.set_num_threads(1)
    workshop = Workshop(experiment, "runs/search.db", "cpu")
    again = []
    for found in theirs[:SEEDS]:
        evaluation = Evaluation(
            winner_of(found["params"]), experiment.recipe, experiment.data, experiment.seed
        )
        again.append(retrain(workshop, evaluation).mean)
    yield Figure(
        "script: best of 40 as seen", statistics.fmean(each["best"] for each in theirs[:SEEDS])
    )
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
