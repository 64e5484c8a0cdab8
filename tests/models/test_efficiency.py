import pytest
import torch

from nasopt import Architecture, Conv
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
