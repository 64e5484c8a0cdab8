import numpy as np
import pytest

from nasopt import Conv, Space, categorical
from nasopt.analysis.noise import SAMPLE_SEED, recorded_noise, variance_components
from nasopt.errors import RecipeError, SpaceError
from nasopt.search.noise import NoiseStudy
from tests.examples import small


def planted(between: float, within: float, networks: int, seeds: int, random: int = 0):
    rng = np.random.default_rng(random)
    means = rng.normal(0.9, between, (networks, 1))
    return means + rng.normal(0, within, (networks, seeds))


def test_planted_variance_that_is_all_architecture_is_found():
    noise = variance_components(planted(0.05, 0.0, 8, 3))
    assert (noise.share, noise.low, noise.high) == (1, 1, 1)
    assert noise.within == pytest.approx(0, abs=1e-12)
    assert noise.smallest_difference == pytest.approx(0, abs=1e-12)
    assert noise.verdict.startswith("A good signal")


def test_planted_variance_that_is_no_architecture_is_found():
    noise = variance_components(planted(0.0, 0.05, 400, 3))
    assert noise.share < 0.05
    assert noise.within == pytest.approx(0.05, rel=0.1)
    assert noise.verdict.startswith("A weak signal")
    assert any("more epochs" in remedy for remedy in noise.remedies)


def test_planted_variance_that_is_half_architecture_is_found():
    noise = variance_components(planted(0.05, 0.05, 400, 3))
    assert noise.share == pytest.approx(0.5, abs=0.05)
    assert noise.low < 0.5 < noise.high
    assert noise.between == pytest.approx(0.05, rel=0.1)
    assert noise.verdict.startswith("A fair signal")


def test_the_interval_holds_the_truth_as_often_as_it_says():
    held = 0
    for random in range(400):
        noise = variance_components(planted(0.05, 0.05, 8, 3, random))
        held += noise.low <= 0.5 <= noise.high
    assert held == pytest.approx(0.95 * 400, abs=18)  # 4 standard deviations of a binomial


def test_components_of_a_table_counted_by_hand():
    # rows (1, 3), (5, 7): within = 2, mean square between = 2 * var(2, 6) = 16
    noise = variance_components([[1, 3], [5, 7]])
    assert noise.within**2 == pytest.approx(2)
    assert noise.between**2 == pytest.approx((16 - 2) / 2)
    assert noise.share == pytest.approx(7 / 9)
    assert noise.smallest_difference == pytest.approx(1.959964 * 2)  # sqrt(2 * 2)
    assert noise.replicates == 2  # 4 * 2 / 7, rounded up


def test_trainings_that_are_all_alike_leave_nothing_to_search():
    noise = variance_components([[0.5, 0.5], [0.5, 0.5]])
    assert noise.share == 0
    assert "nothing to search for" in noise.verdict


def test_components_of_the_better_half_counted_by_hand():
    # the last two are never chosen; of the others, by the pairs of judging seeds:
    # seeds 0, 1: within (2 + 0) / 2, means 8 and 5, between 4.5 - 1 / 2
    # seeds 0, 2: within (1/2 + 0) / 2, means 8.5 and 5, between 6.125 - 1/4 / 2
    # seeds 1, 2: within (1/2 + 0) / 2, means 7.5 and 5, between 3.125 - 1/4 / 2
    better = variance_components([[9, 7, 8], [5, 5, 5], [0, 1, 2], [0, 0, 1]]).better
    assert better.architectures == 2
    assert better.within**2 == pytest.approx((1 + 1 / 4 + 1 / 4) / 3)
    assert better.between**2 == pytest.approx((4 + 6 + 3) / 3)
    assert better.share == pytest.approx(26 / 29)
    assert better.mean == pytest.approx(6.5)


def test_where_all_is_noise_the_better_half_shows_nothing_and_is_not_flattered():
    noise = variance_components(planted(0.0, 0.05, 4000, 3))
    assert noise.better.share < 0.05
    assert noise.better.within == pytest.approx(0.05, rel=0.05)
    assert noise.better.mean == pytest.approx(0.9, abs=0.002)  # the best of each seed have 0.94


def test_a_few_poor_networks_raise_the_share_of_all_and_not_that_of_the_better_half():
    """The truth is how the means of those networks differ that one seed would choose."""
    true, found = [], []
    for random in range(300):
        rng = np.random.default_rng(random)
        means = rng.normal(0.8, 0.02, 8) - [0.5, 0.5, 0, 0, 0, 0, 0, 0]
        accuracies = means[:, None] + rng.normal(0, 0.02, (8, 3))
        chosen = means[np.argsort(-accuracies, axis=0)[:4]]
        true.append(chosen.var(axis=0, ddof=1).mean())
        found.append(variance_components(accuracies))
    assert min(noise.share for noise in found) > 0.95
    share = np.mean(true) / (np.mean(true) + 0.02**2)
    between, within = (
        np.mean([getattr(noise.better, name) ** 2 for noise in found])
        for name in ("between", "within")
    )
    assert within == pytest.approx(0.02**2, rel=0.05)
    assert between / (between + within) == pytest.approx(share, abs=0.04)
    held = np.mean([noise.better.low <= share <= noise.better.high for noise in found])
    assert held >= 0.93
    assert {"weak", "fair", "good"} == {noise.verdict.split()[1] for noise in found}


def test_the_verdict_goes_by_the_better_half_and_its_doubts_are_said():
    accuracies = planted(0.0, 0.02, 8, 3) - 0.5 * (np.arange(8) < 2)[:, None]
    noise = variance_components(accuracies)
    assert noise.share > 0.95
    assert noise.verdict == (
        "A weak signal: among the better half of the networks the winner of a search is mostly the "
        "luckiest seed. It may be weak or good: 8 networks are too few to tell."
    )
    assert "more epochs" in " ".join(noise.remedies)
    told = noise.to_json()
    assert told["better"]["share"] == noise.better.share < 0.3
    assert f"among the better half of the networks {noise.better.share:.2f} (95 %" in noise.shares


@pytest.mark.parametrize(("networks", "seeds"), [(3, 3), (4, 2)])
def test_few_networks_or_seeds_have_no_better_half_and_that_is_said(networks, seeds):
    noise = variance_components(planted(0.2, 0.01, networks, seeds))
    assert noise.better is None
    assert noise.verdict == (
        "A good signal: among all networks most of what a search sees is architecture. A few poor "
        "ones may raise that; the better half can be judged from 4 networks and 3 seeds on."
    )
    assert noise.shares.endswith("of the variance of trainings is architecture.")


def test_good_networks_that_are_all_alike_leave_nothing_to_find():
    noise = variance_components([[1, 1, 1], [1, 1, 1], [0.1, 0.2, 0.1], [0.3, 0.1, 0.1]])
    assert noise.share > 0.9
    assert "better half of the networks gave the same accuracy" in noise.verdict


def test_a_noise_study_trains_networks_times_seeds_and_never_pays_twice(tmp_path):
    study = NoiseStudy(small(), tmp_path / "x.db", "cpu", architectures=3, seeds=2)
    progress = list(study)
    assert [each.training for each in progress] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert progress[-1].total == 6
    again = NoiseStudy(small(), tmp_path / "x.db", "cpu", architectures=3, seeds=2)
    again.evaluator.backend.trainer = lambda *_, **__: pytest.fail("it trains again")
    assert [each.result for each in again] == [each.result for each in progress]
    assert again.noise == study.noise


def test_what_was_measured_can_be_read_from_the_ledger_again(tmp_path):
    experiment = small()
    study = NoiseStudy(experiment, tmp_path / "x.db", "cpu", architectures=3, seeds=2)
    accuracies = study.evaluator.ledger.final_scores(2)
    draws = experiment.sample(30, SAMPLE_SEED)
    assert recorded_noise(draws, accuracies, limited=False) is None
    list(study)
    accuracies = study.evaluator.ledger.final_scores(2)
    assert recorded_noise(draws, accuracies, limited=False) == study.noise
    beyond = [*experiment.sample(60, 1), *draws]  # over a limit, and never trained
    assert recorded_noise(beyond, accuracies, limited=True) is not None
    assert recorded_noise(beyond, accuracies, limited=False) is None


def test_its_first_seed_is_that_of_the_search(tmp_path):
    experiment = small(seed=5)
    study = NoiseStudy(experiment, tmp_path / "x.db", "cpu", architectures=2, seeds=2)
    assert [each.seed for each in study.evaluations[0]] == [5, 6]


@pytest.mark.parametrize("field", ["architectures", "seeds"])
def test_a_variance_needs_two(tmp_path, field):
    with pytest.raises(RecipeError, match=f"{field}=1: a variance needs 2 or more"):
        NoiseStudy(small(), tmp_path / "x.db", "cpu", **{field: 1})
    assert not (tmp_path / "x.db").exists()


def test_a_space_with_too_few_networks_is_named(tmp_path):
    experiment = small(space=Space(Conv(filters=categorical(2, 4))))
    with pytest.raises(SpaceError, match="architectures=8: only 2 networks within the limits"):
        NoiseStudy(experiment, tmp_path / "x.db", "cpu")
