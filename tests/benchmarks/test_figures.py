"""A figure is missed where it is worse than its target by more than a tenth, or is no number."""

import math

import pytest

from tests.benchmarks.figures import Figure


@pytest.mark.parametrize(
    ("value", "targets", "missed"),
    [
        (0.88, {"at_least": 0.97}, False), (0.87, {"at_least": 0.97}, True),
        (0.21, {"at_most": 0.2}, False), (0.23, {"at_most": 0.2}, True),
        (math.nan, {"at_least": 1}, True), (math.nan, {"at_most": 1}, True),
        (math.inf, {"at_most": 1}, True), (0.0, {}, False),
    ],
)  # fmt: skip
def test_missed(value, targets, missed):
    figure = Figure("x", value, **targets)
    assert figure.missed is missed
    assert str(figure).endswith("MISSED") is missed
