"""The published tables: their size, their optimum, and networks of several spellings."""

import json

import numpy as np
import pytest

from nasopt import load_benchmark
from nasopt.benchmarks import Entry
from nasopt.errors import BenchmarkError


@pytest.mark.parametrize(
    ("name", "optimum"), [("cifar10", 91.607), ("cifar100", 73.493), ("imagenet16-120", 46.733)]
)
def test_nas_bench_201_has_its_published_size_and_optimum(name, optimum):
    benchmark = load_benchmark(f"nasbench201:{name}")
    assert benchmark.space.size == benchmark.space.distinct == 5**6
    assert benchmark.optimum == pytest.approx(optimum, abs=5e-4)
    assert benchmark.recipe.epochs == 1
    assert benchmark.costs == ("parameters",)
    assert benchmark.summary.startswith(
        f"nasbench201-{name}: 15,625 networks, 2 or 3 replicates, 1 epoch, optimum {optimum:.2f}"
    )


def test_networks_of_nas_bench_201_are_found_under_their_operations():
    benchmark = load_benchmark("nasbench201:cifar10")
    only = {f"edge{n}": "nor_conv_3x3" for n in range(1, 7)}
    none = dict.fromkeys(only, "none")
    full, empty = benchmark.space.decode(only), benchmark.space.decode(none)
    assert benchmark.cost(empty).parameters < benchmark.cost(full).parameters == 1_531_546
    assert benchmark.true[empty.row] == pytest.approx(10, abs=0.5)  # chance
    assert benchmark.true[full.row] > 90


@pytest.mark.parametrize(
    ("edges", "depth"),
    [
        (["nor_conv_3x3"] * 6, 3),
        (["nor_conv_1x1", "none", "skip_connect", "none", "none", "nor_conv_3x3"], 2),
        (["nor_conv_3x3", "none", "none", "none", "none", "nor_conv_3x3"], -1),  # 0 to 1, 2 to 3
        (["none", "none", "none", "avg_pool_3x3", "nor_conv_3x3", "nor_conv_3x3"], 0),
        (["none"] * 6, -1),
    ],
)
def test_the_depth_of_a_cell_is_its_longest_way(edges, depth):
    benchmark = load_benchmark("nasbench201:cifar10")
    params = {f"edge{n + 1}": each for n, each in enumerate(edges)}
    entry = benchmark.space.decode(params)
    assert benchmark.depth is not None
    assert benchmark.depth[entry.row] == depth
    place = [[benchmark.space.hyperparameters[n].candidates.index(v) for n, v in params.items()]]
    survey = benchmark.survey(np.array(place))
    assert dict(zip(benchmark.features, survey.features[0], strict=True))["depth"] == depth
    if depth < 0:
        assert benchmark.true[entry.row] < 11  # guesses


def test_nas_bench_macro_has_its_published_size_and_optimum(macro):
    assert macro.space.size == 3**8
    # stages of 2, 3 and 3 layers: three first layers, and behind them 3, 7 and 7 sequences of two
    # operations that are as long as there is room
    assert macro.space.distinct == 3**3 * 3 * 7 * 7 == 3_969
    assert macro.optimum == pytest.approx(93.127, abs=5e-4)
    assert macro.costs == ("parameters", "macs")


def test_identities_change_places_within_a_stage_but_not_with_its_first_layer(macro):
    def network(name: str) -> Entry:
        operations = {"0": "identity", "1": "mb3_3x3", "2": "mb6_5x5"}
        return macro.space.decode({f"layer{n}": operations[op] for n, op in enumerate(name, 1)})

    assert network("11201102") == network("11210120") != network("11021102")
    assert network("11201102").key == network("11210120").key
    assert network("11201102").row == network("11210120").row


def test_spellings_of_one_network_of_nas_bench_macro_have_the_same_results(macro, macro_file):
    published = json.loads(macro_file.read_text())
    for index, row in zip(sorted(published), macro.space.rows.ravel(), strict=True):
        assert macro.accuracies[row, :, 0].tolist() == published[index]["test_acc"]
        assert (macro.parameters[row], macro.macs[row]) == (
            published[index]["params"], published[index]["flops"],
        )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        lambda networks: networks.pop("00000012"),
        lambda networks: networks["00000012"].pop("params"),
        lambda networks: networks["00000012"].update(test_acc="good"),
        lambda networks: networks["00000012"].update(test_acc=[]),
        lambda networks: networks["00000012"].update(test_acc=[1, float("nan"), 2]),
        lambda networks: networks["00000012"].update(flops="many"),
    ],
)
def test_a_file_that_is_not_nas_bench_macro_is_named(tmp_path, macro_file, change):
    networks = json.loads(macro_file.read_text())
    change(networks)
    path = tmp_path / "macro.json"
    path.write_text(json.dumps(networks))
    with pytest.raises(BenchmarkError) as error:
        load_benchmark(f"nasbenchmacro:{path}")
    assert str(error.value).startswith(
        f"{path}: no test_acc, params and flops of network '00000012'; give the JSON file"
    )
