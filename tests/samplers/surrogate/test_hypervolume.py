"""`Front`: what a point would add to what is best at each cost."""

import numpy as np
import pytest

from nasopt.samplers.surrogate.hypervolume import Front

#  value
#    3 |              C
#    2 |      B           D      D costs more than C and is worse
#    1 |  A
#      +--1---2-------4---5-- cost
VALUES, COSTS = np.array([1.0, 2.0, 3.0, 2.0]), np.array([1.0, 2.0, 4.0, 5.0])


@pytest.mark.parametrize(
    ("value", "cost", "gain"),
    [
        (1, 1, 0),  # A itself
        (2, 3, 0),  # as good as B, and costlier
        (2.5, 2, 0.5 * 2),  # over B up to C
        (4, 4, 1 * 1),  # over C up to the highest cost
        (2, 1, 1 * 1),  # over A up to B
        (2, 0, 1 * 1 + 1 * 1),  # over nothing (from the lowest value) up to A, then over A
        (9, 6, 0),  # beyond the highest cost
    ],
)
def test_the_gain_is_the_area_between_a_point_and_the_front(value, cost, gain):
    gained = Front(VALUES, COSTS).hypervolume_improvement(
        np.array([float(value)]), np.array([float(cost)])
    )
    assert gained == pytest.approx([gain])


def test_the_order_of_the_points_does_not_matter():
    order = [2, 0, 3, 1]
    points = np.array([2.5, 4.0]), np.array([1.5, 0.5])
    shuffled = Front(VALUES[order], COSTS[order])
    assert shuffled.hypervolume_improvement(*points) == pytest.approx(
        Front(VALUES, COSTS).hypervolume_improvement(*points)
    )
