import math

import numpy as np
import pytest
from scipy import stats

from nasopt.analysis.statistics import (
    SIGNIFICANCE,
    TEST_PAIRS,
    average_ranks,
    differences,
    equivalent,
    holm,
    mean_interval,
    pairs_needed,
    signed_rank,
    superiority,
)


def scores(pairs: int, lead: float, spread: float = 0.01) -> dict[str, dict[int, float]]:
    """`tpe` is better by `lead` on average; `twin` is random sampling again."""
    rng = np.random.default_rng(1)
    random = {seed: float(rng.normal(0.9, 0.02)) for seed in range(pairs)}
    tpe = {seed: value + lead + float(rng.normal(0, spread)) for seed, value in random.items()}
    return {"random": random, "tpe": tpe, "twin": dict(random)}


def test_a_planted_difference_is_found():
    found = differences(scores(10, lead=0.03), "random")
    assert found.keys() == {"tpe", "twin"}
    tpe = found["tpe"]
    assert tpe.pairs == 10
    assert tpe.low < 0.03 < tpe.high
    assert tpe.low < tpe.mean < tpe.high
    assert tpe.p == pytest.approx(2 / 2**10)  # all signs alike, and its mirror
    assert tpe.holm == pytest.approx(2 * tpe.p)  # of two tests the smaller counts twice
    assert tpe.significant
    assert tpe.superiority > 0.75
    assert tpe.to_json()["significant"] is True


def test_no_difference_is_found_where_there_is_none():
    twin = differences(scores(10, lead=0.03), "random")["twin"]
    assert (twin.mean, twin.low, twin.high, twin.p, twin.superiority) == (0, 0, 0, 1, 0.5)
    assert not twin.significant


def test_below_eight_pairs_there_is_an_interval_but_no_test():
    tpe = differences(scores(7, lead=0.03), "random")["tpe"]
    assert 0 < tpe.low < tpe.high
    assert (tpe.p, tpe.holm, tpe.significant) == (None, None, False)
    assert differences(scores(8, lead=0.03), "random")["tpe"].p == pytest.approx(2 / 2**8)


def test_seeds_that_only_one_sampler_has_are_left_out():
    found = differences(
        {"random": {0: 0.5, 1: 0.6}, "tpe": {1: 0.8, 2: 0.1}, "gp": {7: 1}}, "random"
    )
    assert found.keys() == {"tpe"}
    assert (found["tpe"].pairs, found["tpe"].mean) == (1, pytest.approx(0.2))
    assert math.isnan(found["tpe"].low)


def test_an_interval_holds_the_truth_about_as_often_as_its_docstring_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        low, high = mean_interval(rng.normal(0.3, 1, 5))
        held += low <= 0.3 <= high
    assert held == pytest.approx(87, abs=10)  # 3 standard deviations of a binomial


def test_an_interval_of_equal_values_is_that_value():
    assert mean_interval([0.25] * 6) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("values", "p"),
    [
        ([1, 2, 3, 4, 5], 2 / 2**5),
        ([1, 1, 1, 1, 1], 2 / 2**5),  # ties do not make it less exact
        ([0, 0, 1, 2, 3, 4, 5], 2 / 2**5),  # zeros are left out
        ([0.1 + 0.2 - 0.3, 0.0], 1),
        ([1, -1], 1),
        ([], 1),
        ([0.3, 0, 0], 1),
    ],
)
def test_the_signed_rank_test_is_exact_for_few_pairs(values, p):
    assert signed_rank(values) == pytest.approx(p)


def test_the_signed_rank_test_of_many_pairs_is_scipys():
    values = np.random.default_rng(0).normal(0.3, 1, 30)
    assert signed_rank(values) == pytest.approx(stats.wilcoxon(values, method="exact").pvalue)


def test_holm_corrects_as_in_an_example_counted_by_hand():
    # 3 x .01, 2 x .03, and not less than that for .04
    assert holm({"c": 0.04, "a": 0.01, "b": 0.03}) == {"a": 0.03, "b": 0.06, "c": 0.06}
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1, "b": 1}
    assert holm({}) == {}


def test_superiority_is_the_share_of_pairs_that_are_won():
    assert superiority([3, 1], [2, 0]) == 3 / 4
    assert superiority([1, 1], [1, 1]) == 0.5


def test_ranks_are_averaged_over_the_seeds_that_all_have():
    table = {"a": {0: 0.9, 1: 0.5, 2: 0.0}, "b": {0: 0.8, 1: 0.5}, "c": {0: 0.7, 1: 0.6}}
    assert average_ranks(table) == {"a": (1 + 2.5) / 2, "b": (2 + 2.5) / 2, "c": (3 + 1) / 2}
    assert average_ranks({"a": {0: 1.0}, "b": {1: 1.0}}) == {}


def climbing(seeds: int, steps: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.maximum.accumulate(rng.normal(size=(seeds, steps)), axis=1)


def test_a_planted_lead_is_told_in_evaluations_of_the_baseline():
    random = climbing(200, 100)
    positions = list(range(1, 101))
    found = equivalent("tpe", "random", 20, random[:, 39], random, positions)
    assert found.equals == 40
    assert found.low <= 40 <= found.high
    assert found.most == 100
    assert found.to_json()["at"] == 20


def test_its_interval_holds_the_truth_about_as_often_as_it_says():
    positions = list(range(1, 101))
    studies = climbing(40 * 40, 100).reshape(40, 40, 100)
    held = 0
    for each in studies:  # 20 studies by random sampling, 20 by one that is twice as fast
        found = equivalent("tpe", "random", 20, each[20:, 39], each[:20], positions)
        held += found.low <= 40 <= (found.high or 101)
    assert 34 <= held <= 40  # .95 of 40, and 3 standard deviations


def test_what_the_baseline_never_reaches_is_more_than_it_has():
    random = climbing(8, 30)
    found = equivalent("tpe", "random", 20, random[:, -1] + 1, random, list(range(1, 31)))
    assert (found.equals, found.low, found.high, found.most) == (None, None, None, 30)
    sometimes = random[:, -1] + np.where(np.arange(8) < 6, -1.5, 3.0)
    found = equivalent("tpe", "random", 20, sometimes, random, list(range(1, 31)))
    assert found.low is not None
    assert found.high is None


def test_a_single_seed_tells_nothing_of_the_interval():
    found = equivalent("tpe", "random", 2, [0.5], [[0.1, 0.6, 0.7]], [1, 2, 3])
    assert (found.equals, found.low, found.high) == (2, 0, None)


def test_before_a_sampler_has_an_incumbent_it_equals_nothing():
    assert equivalent("one-epoch", "random", 1, [-math.inf, 0.5], [[0.1], [0.2]], [1]) is None


def test_a_baseline_without_incumbents_is_passed_by_the_first_one():
    never = [[-math.inf, 0.5, 0.8], [0.1, 0.6, 0.8]]
    assert equivalent("tpe", "random", 1, [0.1, 0.2], never, [1, 2, 3]).equals == 2


def test_what_is_worse_than_the_first_of_the_baseline_is_as_good_as_less_than_one():
    better = [[0.8, 0.9], [0.7, 0.9]]
    found = equivalent("largest", "random", 2, [0.1, 0.2], better, [1, 2])
    assert (found.equals, found.low, found.high) == (0, 0, 0)
    level = equivalent("largest", "random", 2, [0.8, 0.7], better, [1, 2])
    assert level.equals == 1


@pytest.mark.parametrize("comparisons", [*range(1, 13), 29])  # of eleven samplers there are ten
def test_as_many_pairs_as_are_needed_can_be_significant_and_one_less_cannot(comparisons):
    def least(pairs: int) -> float:
        p = signed_rank([seed + 1.0 for seed in range(pairs)])  # all are won
        return min(holm({str(sampler): p for sampler in range(comparisons)}).values())

    enough = pairs_needed(comparisons)
    assert least(enough) <= SIGNIFICANCE
    assert enough == TEST_PAIRS or least(enough - 1) > SIGNIFICANCE
