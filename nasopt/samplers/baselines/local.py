"""`LocalSearch`: hill climbing from a random point, and again from another."""

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from optuna.study import Study
from optuna.trial import FrozenTrial

from nasopt.samplers.points.candidates import neighbours
from nasopt.samplers.points.history import History
from nasopt.samplers.points.observations import observe
from nasopt.samplers.stateless import StatelessSampler, sign_of
from nasopt.storage.attributes import CLIMBS_FROM

Floats = NDArray[np.float64]

ALL = 1_000_000  # neighbours


class LocalSearch(StatelessSampler):
    """A sampler by hill climbing with random restarts.

    The neighbours of the best trial of a climb, which differ in one parameter, are tried in random
    order; one that is better takes its place. When all are known, the next climb begins at random.

    Source: White et al. 2021 (arXiv:2005.02960), moving on at the first improvement.
    """

    def suggest(
        self, study: Study, trial: FrozenTrial, history: History, rng: RandomState
    ) -> Floats | None:
        top = self._top(history, sign_of(study))
        point = None
        if top is not None:
            axes = history.domain.axes
            near = rng.permutation(neighbours(axes, history.known[[top]], ALL, rng))
            fresh = history.novel(history.encode(near))
            point = history.first_new(fresh, range(len(fresh)))
        climbs_from = history.trials[top].number if top is not None and point is not None else None
        study._storage.set_trial_system_attr(trial._trial_id, CLIMBS_FROM, climbs_from)
        return history.any_fresh(rng) if point is None else point

    def _top(self, history: History, sign: int) -> int | None:
        """Return the row of the best trial of the latest climb; None before the first has ended."""
        foot: dict[int, int] = {}  # of the climb of each trial, by number
        for each in history.trials:
            foot[each.number] = foot.get(each.system_attrs.get(CLIMBS_FROM, -1), each.number)
        told = history.observed
        if not told:
            return None
        latest = max(foot[history.trials[row].number] for row in told)
        values = observe([history.trials[row] for row in told], sign).values
        climb = [
            (value, -row)
            for value, row in zip(values, told, strict=True)
            if foot[history.trials[row].number] == latest
        ]
        return -max(climb)[1]
