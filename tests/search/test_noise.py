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
