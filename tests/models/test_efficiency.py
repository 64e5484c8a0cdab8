import pytest
import torch

import nasopt
from nasopt import Architecture, Conv, Recipe
from nasopt.analysis.final_test import Contender
from nasopt.models.efficiency import efficiency
from nasopt.space.model import build
from nasopt.storage.latencies import Latencies
from nasopt.storage.opening import open_storage
from nasopt.training import latency
from nasopt.training.latency import processor

CPU = torch.device("cpu")
SMALL = Architecture((Conv(filters=4), Conv(filters=8, stride=2)))


@pytest.fixture
def latencies(tmp_path):
    return Latencies(open_storage(tmp_path / "x.db").engine)


def contender(architecture=SMALL):
    return Contender("it", "", architecture, 10, 20, ("k",))


def test_latencies_are_measured_at_both_batch_sizes_and_their_threads_are_said(latencies):
    found = efficiency(contender(), (1, 8, 8), 10, latencies, CPU, threads=1)
    assert [(each.batch_size, each.threads) for each in found.latencies] == [(1, 1), (256, 1)]
    assert {each.device for each in found.latencies} == {f"cpu ({processor()})"}
    for each in found.latencies:
        assert 0 < each.median <= each.p95


def test_what_was_measured_is_not_measured_again(latencies, monkeypatch):
    first = efficiency(contender(), (1, 8, 8), 10, latencies, CPU, threads=1)
    monkeypatch.setattr(latency, "WARM_UP", None)  # a measurement would fail
    assert efficiency(contender(), (1, 8, 8), 10, latencies, CPU, threads=1) == first
    with pytest.raises(TypeError):
        efficiency(contender(), (1, 9, 9), 10, latencies, CPU, threads=1)


def test_memory_is_the_weights_and_the_largest_maps_counted_by_hand(latencies):
    found = efficiency(contender(), (1, 8, 8), 10, latencies, CPU, threads=1)
    state = build(SMALL, (1, 8, 8), 10).state_dict()
    weights = sum(each.numel() * each.element_size() for each in state.values())
    # batch norm of the first layer: 4 maps of 8x8 in and out, of a batch of 256, 4 bytes each
    assert found.latencies[1].memory == weights + 256 * 2 * 4 * 8 * 8 * 4
    assert weights < found.disk < weights + 2_000  # and a header that names them
    assert not found.memory_is_measured


class Both(nasopt.Layer):
    """The input beside itself, made by a module that takes a list and gives a tuple."""

    def build(self, in_shape):
        return Sequence2()


class Sequence2(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cat, self.pick = Cat(), Pick()

    def forward(self, maps):
        return self.pick(named=self.cat([maps, maps]))


class Cat(torch.nn.Module):
    def forward(self, maps):
        return torch.cat(maps, 1), {"again": maps[0]}


class Pick(torch.nn.Module):
    def forward(self, named):
        return named[0]


def test_memory_is_counted_where_modules_take_lists_and_give_tuples(latencies):
    network = Architecture((Conv(filters=4), Both(), Conv(filters=1)))
    found = efficiency(contender(network), (1, 8, 8), 10, latencies, CPU, threads=1)
    weights = sum(each.nbytes for each in build(network, (1, 8, 8), 10).state_dict().values())
    maps = 256 * 4 * 8 * 8 * 4
    assert found.latencies[1].memory == weights + (2 * maps) + (2 * maps + maps)


def test_what_has_a_third_dimension_is_measured_and_trained(latencies):
    network = Architecture((Conv(filters=4), Deep()))
    assert efficiency(contender(network), (1, 8, 8), 10, latencies, CPU, threads=1)
    model = nasopt.train(network, nasopt.data.digits(limit=100), recipe=Recipe(epochs=1))
    assert model.training.epochs[0][1] > 0


class Deep(nasopt.Layer):
    def build(self, in_shape):
        return torch.nn.Sequential(
            torch.nn.Unflatten(1, (1, in_shape[0])),
            torch.nn.Conv3d(1, 1, 3, padding=1),
            torch.nn.Flatten(1, 2),
        )
