"""Limits that one network in twenty meets: what a rejected draw costs, and what it leaves behind.

python -m tests.benchmarks.rejection
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna

from nasopt import Conv, Experiment, Recipe, Space, categorical, macs
from nasopt.data import digits
from nasopt.search.search import Search
from tests.benchmarks.figures import Figure
from tests.benchmarks.growth import EPOCHS, EXPERIMENT, Instant

TRIALS = 100
SHARE = 0.05  # of the space within the limit
FEW = Experiment(
    dataset=digits(),
    space=Space(
        *(
            Conv(filters=categorical(8, 16, 32, 64), kernel_size=categorical(1, 3, 5, 7))
            for _ in range(4)
        )
    ),
    recipe=Recipe(epochs=EPOCHS),
    name="few",
)


def limited(experiment: Experiment) -> Experiment:
    """With the limit that `SHARE` of its networks meet."""
    rng = np.random.default_rng(0)
    fields = experiment.hyperparameters
    costs = []
    for _ in range(2_000):
        params = {
            name: field.candidates[rng.integers(len(field.candidates))]
            for name, field in fields.items()
        }
        costs.append(experiment.cost(experiment.evaluation(params).architecture).macs)
    return replace(experiment, limits=(macs <= int(np.quantile(costs, SHARE)),))


def figures() -> Iterator[Figure]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for sampler, experiment in (("random", EXPERIMENT), ("tpe", FEW)):
        with tempfile.TemporaryDirectory() as folder:
            search = Search(
                limited(experiment), sampler=sampler, trials=TRIALS, profile=True,
                storage=Path(folder) / "x.db", device="cpu",
            )  # fmt: skip
            search.evaluator.backend.trainer = lambda evaluation, **_: Instant(evaluation)  # type: ignore
            seconds = sum(p.seconds["sampler"] for p in search if p.seconds is not None)
            trials = search.study.get_trials(deepcopy=False)
        trained = sum(not {"infeasible", "free"} & t.user_attrs.keys() for t in trials)
        assert trained == TRIALS
        draws = sum(trial.user_attrs.get("draws", 1) for trial in trials)
        feasible = sum("infeasible" not in t.user_attrs for t in trials)
        what = f"{sampler}, {len(experiment.hyperparameters)} parameters, 5 % feasible"
        yield Figure(
            f"{what}: a draw",
            1e3 * seconds / draws,
            at_most=10,
            unit=" ms",
            detail=f"{draws:,} draws for {feasible} networks",
        )
        yield Figure(
            f"{what}: rejects in the database",
            (len(trials) - feasible) / feasible,
            at_most=0.05,
            detail=f"{len(trials) - feasible} rows beside {feasible}",
        )


if __name__ == "__main__":
    for figure in figures():
        print(figure, flush=True)
