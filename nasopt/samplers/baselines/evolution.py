"""`RegularizedEvolution`: the best of a few young networks, with one parameter changed."""

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from optuna.study import Study
from optuna.trial import FrozenTrial

from nasopt.samplers.points.candidates import filled
from nasopt.samplers.points.history import History
from nasopt.samplers.points.observations import observe
from nasopt.samplers.stateless import StatelessSampler, sign_of

Floats = NDArray[np.float64]

POPULATION = 20
TOURNAMENT = 10
ALL = 1_000_000  # neighbours


class RegularizedEvolution(StatelessSampler):
    """A sampler by regularized ("aging") evolution, without repeats.

    The population is the 20 youngest of the trials that ended, by number. The parent of the next is
    the best of 10 that are drawn from it, with replacement.

    Source: Real et al. 2019 (arXiv:1802.01548).
    """

    def suggest(
        self, study: Study, trial: FrozenTrial, history: History, rng: RandomState
    ) -> Floats | None:
        told = history.observed
        if len(history.trials) < POPULATION or not told:
            return history.any_fresh(rng)
        values = observe([history.trials[row] for row in told], sign_of(study)).values
        population = list(zip(values, told, strict=True))[-POPULATION:]
        drawn = {population[place] for place in rng.choice(len(population), size=TOURNAMENT)}
        for _, parent in sorted(drawn, reverse=True):
            child = self._child(history, parent, rng)
            if child is not None:
                return child
        return history.any_fresh(rng)

    def _child(self, history: History, parent: int, rng: RandomState) -> Floats | None:
        """Return `parent` with one parameter changed, or None if all such points are known."""
        axes, encoded = history.domain.axes, history.known[[parent]]
        point = filled(axes, encoded, rng)[0]
        for column in rng.permutation(np.flatnonzero(encoded.active[0])):
            one = np.arange(len(axes)) == column
            near = rng.permutation(axes.neighbours(point, one, ALL, rng))
            fresh = history.novel(history.encode(near))
            child = history.first_new(fresh, range(len(fresh)))
            if child is not None:
                return child
        return None
