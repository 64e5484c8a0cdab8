"""A sampler of another project, in an environment of its own: it asks and is told in JSON lines.

    python tests/benchmarks/peer_side.py smac|cqr|hebo|chance

The first line that it reads is {"choices": {name: number of choices}, "ordered": [names], "seed":
int, "trials": int}. Then it writes the places of a point, {name: int}, reads its accuracy, and so
on until its input ends. Nothing of nasopt is imported here: the peers need versions of NumPy that
it does not go with.
"""

import json
import os
import random
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from typing import Any

Point = dict[str, int]
Asked = Generator[Point, float, None]  # yields a point, is sent its accuracy


def smac(choices: Point, ordered: list[str], seed: int, trials: int) -> Asked:
    """SMAC's facade for hyperparameters: random forest, expected improvement (Lindauer, 2022)."""
    from ConfigSpace import Categorical, ConfigurationSpace, Integer
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.runhistory.dataclasses import TrialValue

    space = ConfigurationSpace(seed=seed)
    for name, count in choices.items():
        if name in ordered:
            space.add(Integer(name, (0, count - 1)))
        else:
            space.add(Categorical(name, list(range(count))))
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            space, n_trials=trials, seed=seed, deterministic=True, output_directory=folder
        )
        sampler = HyperparameterOptimizationFacade(
            scenario, lambda config, seed=0: 0.0, overwrite=True, logging_level=False
        )
        while True:
            asked = sampler.ask()
            accuracy = yield {name: int(asked.config[name]) for name in choices}
            sampler.tell(asked, TrialValue(cost=-accuracy))


def cqr(choices: Point, ordered: list[str], seed: int, trials: int) -> Asked:
    """Conformal quantile regression of syne-tune (Salinas et al., ICML 2023)."""
    from syne_tune.backend.trial_status import Trial
    from syne_tune.config_space import choice, randint
    from syne_tune.optimizer.baselines import CQR

    space = {
        name: randint(0, count - 1) if name in ordered else choice(list(range(count)))
        for name, count in choices.items()
    }
    sampler = CQR(space, metric="accuracy", do_minimize=False, random_seed=seed)
    for number in range(1_000_000):
        config = sampler.suggest().config
        accuracy = yield {name: int(config[name]) for name in choices}
        trial = Trial(trial_id=number, config=config, creation_time=None)
        sampler.on_trial_add(trial)
        sampler.on_trial_complete(trial, {"accuracy": accuracy})


def hebo(choices: Point, ordered: list[str], seed: int, trials: int) -> Asked:
    """HEBO: a warped Gaussian process, several acquisitions (Cowen-Rivers et al., JAIR 2022)."""
    import numpy as np
    import torch
    from hebo.design_space.design_space import DesignSpace
    from hebo.optimizers.hebo import HEBO

    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    space = DesignSpace().parse(
        [
            {"name": name, "type": "int", "lb": 0, "ub": count - 1}
            if name in ordered
            else {"name": name, "type": "cat", "categories": [str(n) for n in range(count)]}
            for name, count in choices.items()
        ]
    )
    sampler = HEBO(space, scramble_seed=seed)
    while True:
        asked = sampler.suggest(n_suggestions=1)
        accuracy = yield {name: int(asked.iloc[0][name]) for name in choices}
        sampler.observe(asked, np.array([[-accuracy]]))


def chance(choices: Point, ordered: list[str], seed: int, trials: int) -> Asked:
    """Random sampling, which needs no package: what the others are to be compared with."""
    dice = random.Random(seed)
    while True:
        yield {name: dice.randrange(count) for name, count in choices.items()}


PEERS: dict[str, Callable[..., Asked]] = {
    "smac": smac,
    "cqr": cqr,
    "hebo": hebo,
    "chance": chance,
}


def serve(name: str, lines: Iterator[str], say: Callable[[str], None]) -> None:
    """Ask and be told, until `lines` end."""
    given: dict[str, Any] = json.loads(next(lines))
    asked = PEERS[name](given["choices"], given["ordered"], given["seed"], given["trials"])
    point = next(asked)
    say(json.dumps(point))
    for line in lines:
        say(json.dumps(asked.send(float(line))))


if __name__ == "__main__":
    words = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a peer prints is no answer
    serve(sys.argv[1], iter(sys.stdin), lambda text: print(text, file=words))
