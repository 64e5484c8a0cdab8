"""The points near others, from which a sampler chooses: neighbours and mutants."""

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from nasopt.samplers.points.axes import Axes
from nasopt.samplers.points.domain import EncodedPoints

Floats = NDArray[np.float64]

CROSSED = 0.3  # share of mutants that have two parents
MOST_CHANGES = 4  # of a mutant, in expectation


def neighbours(axes: Axes, encoded: EncodedPoints, most: int, rng: RandomState) -> Floats:
    """Return for each point those that differ in one active parameter, or `most` of them.

    Source: the neighbourhood of White et al. 2021 (arXiv:2005.02960).
    """
    around = [
        axes.neighbours(point, active, most, rng)
        for point, active in zip(filled(axes, encoded, rng), encoded.active, strict=True)
    ]
    return np.concatenate([np.zeros((0, len(axes))), *around])


def mutants(axes: Axes, parents: EncodedPoints, n: int, rng: RandomState) -> Floats:
    """Return `n` mutants of `parents`, or none if there are no parents.

    Some are crossed uniformly from two parents; in all of them 1 to 4 parameters are redrawn, in
    expectation.
    """
    if not len(parents):
        return np.zeros((0, len(axes)))
    points = filled(axes, parents, rng)
    one, other = rng.randint(len(parents), size=(2, n))
    shape = (n, len(axes))
    crossed = (rng.uniform(size=n) < CROSSED)[:, None] & (rng.uniform(size=shape) < 0.5)
    children = np.where(crossed, points[other], points[one])
    changes = rng.randint(1, MOST_CHANGES + 1, size=n)
    share = changes / np.maximum(parents.active[one].sum(axis=1), 1)
    return axes.redrawn(children, rng.uniform(size=shape) < share[:, None], rng)


def filled(axes: Axes, encoded: EncodedPoints, rng: RandomState) -> Floats:
    """Return the points, with parameters that have no effect drawn at random.

    A change of another parameter may give them an effect.
    """
    return np.where(encoded.active, encoded.points, axes.draw(len(encoded), rng))
