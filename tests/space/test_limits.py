import math
from types import SimpleNamespace

import pytest

from nasopt.benchmarks.table import Known
from nasopt.errors import SpaceError
from nasopt.space.limits import Limit, macs, parameters


def test_a_comparison_is_a_limit():
    assert (parameters <= 5_000) == Limit("parameters", 5_000)
    assert (macs <= 1e6) == Limit("macs", 1e6)


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (parameters <= 5_000, "parameters <= 5,000"),
        (parameters <= 5e3, "parameters <= 5,000"),
        (macs <= 123_456_789, "macs <= 123,456,789"),
        (macs <= 0.5, "macs <= 0.5"),
    ],
)
def test_a_limit_shows_as_it_is_written(limit, text):
    assert str(limit) == text


@pytest.mark.parametrize(
    ("count", "violation"), [(2_500, -0.5), (5_000, 0), (5_001, 0.0002), (15_000, 2)]
)
def test_the_violation_is_the_share_of_the_bound_that_is_above_it(count, violation):
    cost = SimpleNamespace(parameters=count, macs=10**9)
    assert (parameters <= 5_000).violation(cost) == pytest.approx(violation)


def test_what_is_at_the_bound_is_within_it():
    for bound in (3, 7, 49, 1e6 + 1, 10**15 + 1):
        assert (macs <= bound).violation(SimpleNamespace(macs=bound)) <= 0


def test_a_limit_that_nothing_meets_says_what_would_help():
    text = (parameters <= 5).remedy(52)
    assert text.startswith("the smallest found has 52 parameters; raise the limit, or")
    assert Known().remedy(1).startswith("search the space of the table more densely, or")


@pytest.mark.parametrize("bound", [0, -1, math.nan, True, "5_000", None])
def test_a_bound_that_is_no_positive_number_is_refused(bound):
    with pytest.raises(SpaceError) as raised:
        _ = parameters <= bound
    assert str(raised.value) == f"limits: parameters <= {bound!r}: use a positive number"


@pytest.mark.parametrize(
    "write",
    [
        lambda: 1_000 <= parameters <= 5_000,
        lambda: parameters >= 1_000,
        lambda: parameters <= 5_000 <= 6_000,
        lambda: (parameters <= 5_000) and (macs <= 1e6),
    ],
)
def test_a_chained_or_lower_limit_is_refused_rather_than_halved(write):
    """Python would drop one half of a chain and of an `and` without a word."""
    with pytest.raises(SpaceError, match=r"limits: .*parameters .*upper bound"):
        write()
