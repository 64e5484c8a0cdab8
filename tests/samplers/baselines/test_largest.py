import itertools
from dataclasses import replace
from pathlib import Path

import pytest

import nasopt
from nasopt import (  # fmt: skip
    Conv,
    Experiment,
    Recipe,
    Space,
    categorical,
    integer,
    load_experiment,
    macs,
    parameters,
    real,
    repeat,
)
from nasopt.errors import SpaceError
from nasopt.samplers.baselines.largest import Lattice
from nasopt.search.search import Search
from tests.examples import small

STUDIES = Path(__file__).parents[3] / "studies"


def sizes(experiment: Experiment, count: int) -> list[tuple[int, int]]:
    """(MACs, parameters) of the first networks."""
    walk = Lattice(experiment.problem).largest_first()
    networks = [experiment.space.decode(params) for params in itertools.islice(walk, count)]
    assert len({network.key for network in networks}) == len(networks)
    costs = [experiment.cost(network) for network in networks]
    assert all(limit.violation(cost) <= 0 for limit in experiment.limits for cost in costs)
    return [(cost.macs, cost.parameters) for cost in costs]


def all_sizes(experiment: Experiment) -> list[tuple[int, int]]:
    """Those of all networks within the limits, by trying every combination."""
    fields = experiment.space.hyperparameters
    networks = {}
    for values in itertools.product(*(field.candidates for field in fields.values())):
        network = experiment.space.decode(dict(zip(fields, values, strict=True)))
        networks[network.key] = experiment.cost(network)
    found = [
        (cost.macs, cost.parameters)
        for cost in networks.values()
        if all(limit.violation(cost) <= 0 for limit in experiment.limits)
    ]
    return sorted(found, reverse=True)


@pytest.mark.parametrize(
    "limits", [(), (parameters <= 400,), (macs <= 20_000,), (parameters <= 300, macs <= 9_000)]
)
def test_all_networks_of_a_small_space_come_in_the_order_of_their_size(limits):
    experiment = small(limits=limits)
    expected = all_sizes(experiment)
    assert len(expected) > 50
    assert sizes(experiment, 1_000) == expected


def test_residual_networks_of_any_depth_come_in_the_order_of_their_size():
    conv = Conv(filters=integer(2, 4), kernel_size=categorical(3, 1), op="residual")
    experiment = small(space=Space(repeat(conv, 1, 3)))
    assert sizes(experiment, 1_000) == all_sizes(experiment)


def test_in_the_lectures_space_of_4e27_networks_the_largest_is_found_at_once():
    experiment = replace(load_experiment(STUDIES / "cifar10.py"), limits=())
    lattice = Lattice(experiment.problem)
    first, second = itertools.islice(lattice.largest_first(), 2)
    largest = {"filters": 64, "kernel_size": 7, "stride": 1}
    assert all(value == largest[name.partition(".")[2]] for name, value in first.items())
    assert sum(first[name] != second[name] for name in first) == 1
    assert len(lattice._networks) < 1_000


def test_within_a_limit_the_first_is_as_large_as_any_but_for_a_hundredth():
    experiment = load_experiment(STUDIES / "digits.py")
    found = sizes(experiment, 3)
    exact = 184_872  # MACs, by dynamic programming over (layer, shape, parameters)
    assert 0.99 * exact < found[0][0] <= exact
    assert all(parameters <= 3_000 for _, parameters in found)


def test_a_study_begins_with_the_largest_network_and_ends_with_the_last(tmp_path):
    experiment = small(space=Space(Conv(filters=categorical(2, 8, 4))), trials=9)
    search = Search(experiment, sampler="largest", storage=tmp_path / "x.db", device="cpu")
    list(search)
    assert [trial.params["conv01.filters"] for trial in search.study.trials] == [8, 4, 2]
    assert search.ended == "all 3 networks of the space are known"


def test_what_was_enqueued_takes_no_networks_turn(tmp_path):
    experiment = small(space=Space(Conv(filters=categorical(2, 4, 8, 16))), trials=1)
    study = nasopt.run(experiment, sampler="largest", storage=tmp_path / "x.db", device="cpu")
    study.enqueue_trial({"conv01.filters": 2})
    study = nasopt.run(
        experiment, sampler="largest", trials=4, storage=tmp_path / "x.db", device="cpu"
    )
    assert [trial.params["conv01.filters"] for trial in study.trials] == [16, 2, 8, 4]


def test_open_fields_of_the_recipe_are_drawn_at_random(tmp_path):
    recipe = Recipe(epochs=1, batch_size=32, lr=real(0.01, 1, log=True))
    study = nasopt.run(
        small(recipe=recipe, trials=3), sampler="largest", storage=tmp_path / "x.db", device="cpu"
    )
    assert len({trial.params["recipe.lr"] for trial in study.trials}) == 3
    assert study.trials[0].params["conv01.filters"] == 8


def test_a_limit_that_nothing_meets_ends_the_run_and_names_the_smallest_network(tmp_path):
    experiment = small(limits=parameters <= 5)
    line = "limits: no network with parameters <= 5 was found; the smallest found has 52"
    with pytest.raises(SpaceError, match=line):
        nasopt.run(experiment, sampler="largest", storage=tmp_path / "x.db", device="cpu")
