import pytest

from nasopt import Conv, Experiment, Recipe, Space, categorical, parameters, repeat
from nasopt.data import cifar10, digits
from nasopt.errors import SpaceError
from nasopt.search.describe import describe
from tests.examples import small


def test_the_lectures_space_in_numbers_needs_no_images(tmp_path, monkeypatch):
    monkeypatch.setenv("NASOPT_DATA", str(tmp_path / "none"))
    conv = Conv(
        filters=categorical(24, 36, 48, 64),
        kernel_size=categorical(3, 5, 7),
        stride=categorical(1, 2),
    )
    experiment = Experiment(dataset=cifar10(), space=Space(repeat(conv, 20)))
    description = describe(experiment, device=None)
    assert description.size == 24**20
    assert description.distinct < description.size
    assert len(description.parameters) == 60
    assert description.parameters["conv20.stride"] == "categorical(1, 2)"
    assert description.seconds_per_trial is None
    assert not (tmp_path / "none").exists()


def test_ranges_hold_every_network_of_a_small_space():
    experiment = small(space=Space(Conv(filters=categorical(2, 4, 8), stride=categorical(1, 2))))
    description = describe(experiment, device=None)
    # 2 or 8 filters of 3x3, their norms, ten classes
    assert description.network_parameters.low == 2 * 9 + 4 + (2 + 1) * 10
    assert description.network_parameters.high == 8 * 9 + 16 + (8 + 1) * 10
    assert description.macs.low == 4 * 4 * 2 * 9 + 2 * 10
    assert (description.resolution.low, description.resolution.high) == (4, 8)


def test_time_per_trial_is_measured_and_grows_with_the_epochs():
    short, long = (
        describe(small(recipe=Recipe(epochs=epochs, batch_size=32)), "cpu").seconds_per_trial
        for epochs in (1, 1_000)
    )
    assert short is not None
    assert long is not None
    assert 0 < short.low <= short.median <= short.high
    assert long.high > 10 * short.high
    assert describe(small(), "cpu").device == "cpu"


def test_a_limit_leaves_a_share_of_the_networks():
    assert 0 < describe(small(limits=parameters <= 300), device=None).feasible < 1
    with pytest.raises(SpaceError, match="limits: none of 200 random networks has parameters <= 5"):
        describe(small(limits=parameters <= 5), "cpu")


def test_a_data_set_of_unknown_size_is_read_for_it():
    assert digits().counts == tuple(len(split.labels) for split in digits().load()[:2])
