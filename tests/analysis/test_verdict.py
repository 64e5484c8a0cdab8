import pytest

from nasopt.analysis.curves import study_rows
from nasopt.analysis.noise import variance_components
from nasopt.analysis.statistics import Difference
from nasopt.analysis.verdict import limits, verdict, without_model
from tests.analysis.test_curves import CLIMBING, COMPLETE, PRUNED, planted


def difference(sampler: str, mean: float, p: float | None = None, pairs: int = 8) -> Difference:
    low, high = mean - 0.01, mean + 0.01
    return Difference(sampler, "random", pairs, mean, low, high, p, p, superiority=0.5)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ([], "There is nothing to compare with random."),
        (
            [difference("tpe", 0.02, 0.016)],
            "After 40 evaluations tpe (+0.0200, p = 0.016) is better than random.",
        ),
        (
            [difference("a", -0.02, 0.016), difference("b", 0.02, 0.5), difference("c", 0.0, 1.0)],
            "After 40 evaluations a (-0.0200, p = 0.016) is worse than random, b (+0.0200, p = "
            "0.5) and c (+0.0000, p = 1) are not told apart from random.",
        ),
        (
            [difference("a", 0.02, pairs=5), difference("b", -0.02, pairs=5),
             difference("c", 0.0, pairs=5)],
            "After 40 evaluations 5 pairs of studies cannot tell: there is no verdict on a "
            "(+0.0200), b (-0.0200) and c (+0.0000), since a test needs 8 seeds.",
        ),
        (
            [difference("a", 0.02, 0.016), difference("b", 0.0, pairs=1)],
            "After 40 evaluations a (+0.0200, p = 0.016) is better than random; 1 pair of studies "
            "cannot tell: there is no verdict on b (+0.0000), since a test needs 8 seeds.",
        ),
    ],
)  # fmt: skip
def test_a_verdict_claims_what_was_tested_and_nothing_else(found, sentence):
    assert verdict(found, "random", "40 evaluations", None) == sentence


def test_where_the_signal_is_weak_nothing_can_be_told():
    weak = variance_components([[0.1, 0.9], [0.9, 0.2], [0.5, 0.4]])
    assert weak.share < 0.3
    assert verdict([difference("tpe", 0.02, 0.01)], "random", "40 evaluations", weak) == (
        "Which sampler is better cannot be told here: of the variance between trainings only 0.00 "
        "is architecture, the rest is the luck of their seeds."
    )
    good = variance_components([[0.1, 0.1], [0.9, 0.8]])
    assert "is better" in verdict([difference("tpe", 0.02, 0.01)], "random", "4 epochs", good)


def test_what_limits_the_claims_is_said():
    studies = [planted("random", seed, [(COMPLETE, [seed / 10], 2)]) for seed in range(2)]
    studies += [planted("largest", seed, CLIMBING) for seed in range(2)]
    studies += [planted("one-epoch", 0, CLIMBING), planted("one-epoch", 1, [(PRUNED, [0.1], 1)])]
    rows = study_rows(studies)
    scores = {"random": {0: 0.1, 1: 0.2}, "largest": {0: 0.7, 1: 0.7}, "one-epoch": {0: 0.7}}
    assert limits(rows, scores, "random", "seen", replicates=3) == [
        "The studies by largest are all alike, whatever their seed.",
        "one-epoch has no complete training within the budget with seed 1, and is left out there.",
        "The winners were not all trained again with 3 other seeds, so luck flatters what they are "
        "compared by.",
        "The least p of 5 pairs is 0.0625, so there is no test below 8 seeds.",
    ]
    many = dict.fromkeys(range(8), 0.1)
    (line,) = limits({}, {"random": many}, "random", "hypervolume", replicates=0)
    assert line.startswith("With two objectives the fronts are compared as the searches saw them")
    assert limits({}, {"random": many}, "random", "fresh", replicates=3) == []
    nine = {f"sampler {number}": many for number in range(8)} | {"random": many}
    assert limits({}, nine, "random", "fresh", replicates=3) == [
        "With 8 seeds none of 8 differences can be significant once their p are corrected for "
        "their number: that takes 9 seeds, or fewer samplers."
    ]
    del nine["sampler 7"], nine["sampler 6"]
    assert limits({}, nine, "random", "fresh", replicates=3) == []


@pytest.mark.parametrize(("trials", "told"), [(9, True), (10, True), (11, False)])
def test_within_its_start_up_a_sampler_is_random_sampling_and_that_is_said(trials, told):
    rows = study_rows([planted("tpe", 0, [(COMPLETE, [0.5], 2)] * trials)])
    assert without_model(rows, {"tpe": 10, "random": 0}) == told * [
        f"tpe has nothing to go by in its first 10 trials, and no study has more than {trials}: "
        "here it is random sampling."
    ]
    assert without_model(rows, {}) == []


def test_one_study_beyond_the_start_up_is_enough_and_free_trials_count():
    short, long = [(COMPLETE, [0.5], 2)] * 4, [(COMPLETE, [0.5], 2), (COMPLETE, [0.5], 0)] * 6
    rows = study_rows([planted("tpe", 0, short), planted("tpe", 1, [*long, *short])])
    assert without_model(rows, {"tpe": 10}) == []
