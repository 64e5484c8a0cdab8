from itertools import permutations

import numpy as np
import optuna
import pytest

import nasopt
from nasopt import Experiment, categorical, load_benchmark
from nasopt.analysis.curves import Budget, Row, study_rows
from nasopt.analysis.record import Record
from nasopt.analysis.regret import random_search, truth, winners, with_true
from nasopt.benchmarks import Benchmark, TableSpace


def benchmark(rows: list[list[int]], accuracies: list[list[float]]) -> Benchmark:
    """Two parameters; two replicates a network, of one epoch."""
    choices = [categorical(*range(size)) for size in np.shape(rows)]
    table = np.array(accuracies, dtype=float)[:, :, None]
    return Benchmark(
        name="table",
        space=TableSpace(dict(zip("ab", choices, strict=True)), np.array(rows)),
        accuracies=table,
        seconds=np.zeros_like(table),
    )


SIX_SPELLINGS = benchmark([[0, 1, 1], [2, 3, 1]], [[3, 5], [7, 1], [4, 4], [6, 9]])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_search_is_expected_to_do_what_all_orders_do_on_average(seed):
    """Every order of the spellings is as likely as any other; known networks are passed over."""
    observed, true = SIX_SPELLINGS.observed(seed), SIX_SPELLINGS.true
    incumbents = []
    for order in permutations(SIX_SPELLINGS.space.rows.ravel()):
        networks = list(dict.fromkeys(order))
        best = [max(networks[:count], key=lambda row: observed[row]) for count in range(1, 5)]
        incumbents.append([true[row] for row in [*best, best[-1]]])  # a fifth there is not
    expected = np.mean(incumbents, axis=0)
    assert random_search(SIX_SPELLINGS, seed, 5) == pytest.approx(expected, abs=1e-9)


def test_random_search_meets_the_hypergeometric_formula_where_spellings_are_networks():
    table = benchmark(np.arange(400).reshape(20, 20), [[n, n + 0.5] for n in range(400)])
    observed = table.observed(0)
    worse = np.argsort(np.argsort(observed))  # distinct values: the place from below
    for count in (1, 10, 200):
        # the network is among the `count` drawn, and the others are all among the worse ones
        chance = np.ones(400) * count / 400
        for drawn in range(count - 1):
            chance *= np.maximum(worse - drawn, 0) / (399 - drawn)
        found = random_search(table, 0, 200)[count - 1]
        assert found == pytest.approx(chance @ table.true, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"), [("nasbench201:cifar10", 91.144), ("nasbench201:cifar100", 71.776)]
)
def test_random_search_on_nas_bench_201_is_as_it_is_known(name, expected):
    table = load_benchmark(name)
    assert with_first_replicate(table) == pytest.approx(expected, abs=1e-3)
    assert random_search(table, 0, 200)[-1] == pytest.approx(expected, abs=0.02)


def test_random_search_on_nas_bench_macro_is_as_it_is_known(macro):
    assert with_first_replicate(macro) == pytest.approx(92.863, abs=1e-3)
    assert random_search(macro, 0, 200)[-1] == pytest.approx(92.863, abs=0.03)


def with_first_replicate(table: Benchmark) -> float:
    """The figures above: 200 draws with repeats paid for, and all see the first replicate."""
    observed = table.accuracies[:, 0, -1]
    order = np.argsort(observed, kind="stable")
    spellings = table.space.spellings[order] / table.space.size
    up_to = spellings.cumsum()
    return float(table.true[order] @ (up_to**200 - (up_to - spellings) ** 200))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_network_is_as_likely_the_winner_as_among_all_orders(seed):
    observed = SIX_SPELLINGS.observed(seed)
    counts = np.zeros((4, 3))
    for order in permutations(SIX_SPELLINGS.space.rows.ravel()):
        networks = list(dict.fromkeys(order))
        for count in range(3):
            counts[max(networks[: count + 1], key=lambda row: observed[row]), count] += 1
    assert winners(SIX_SPELLINGS, seed, 3) == pytest.approx(counts / 720, abs=1e-9)


def test_networks_of_equal_value_share_their_chance_by_their_spellings():
    table = benchmark([[0, 1, 1], [2, 2, 2]], [[5, 5], [5, 5], [1, 1]])
    assert winners(table, 0, 1)[:, 0] == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert winners(table, 0, 3)[:, 2] == pytest.approx([1 / 3, 2 / 3, 0])


def test_once_all_networks_are_known_the_best_is_the_winner():
    table = benchmark([[0, 1], [2, 3]], [[n, n] for n in range(4)])
    assert winners(table, 0, 6)[:, 3:] == pytest.approx(np.array([[0, 0, 0, 1]] * 3).T)


def test_the_quartiles_of_random_search_are_those_of_its_chances():
    """Of four networks worth 0 to 3, two drawn: the better is worth 1, 2, 3 in 1, 2, 3 of 6."""
    table = benchmark([[0, 1], [2, 3]], [[n, n] for n in range(4)])
    exact = truth(table, {"x": {0: []}}, Budget(2), limits=[]).random
    assert [each[1] for each in (exact.lower, exact.median, exact.upper)] == [2, 2, 3]


def run(tmp_path, table: Benchmark, **fields) -> list[Row]:
    """The rows of a study by random search, with their true values."""
    record = Record.of(
        nasopt.run(
            Experiment.on_benchmark(table, trials=4, **fields),
            sampler="random", seed=1, storage=tmp_path / "x.db",
        )
    )  # fmt: skip
    return with_true(study_rows([record])["random"][1], record, table)


def test_the_winner_is_chosen_by_what_was_observed_and_is_worth_what_is_true(tmp_path):
    table = SIX_SPELLINGS
    rows = run(tmp_path, table, seed=2)
    observed = table.observed(2).tolist()
    assert np.argmax(observed) != table.true.argmax()
    networks = [observed.index(row.value) for row in rows]
    assert len(set(networks)) == len(rows) == 4  # repeats are left out
    for count, row in enumerate(rows, 1):
        best = max(networks[:count], key=lambda network: observed[network])
        assert (row.incumbent, row.true) == (observed[best], table.true[best])
        assert table.rank(row.true) == (1 if row.true == 7.5 else 2)


def test_a_pruned_trial_is_no_winner(tmp_path):
    curves = benchmark([[0, 1], [2, 3]], [[1, 1], [2, 2], [3, 3], [4, 4]])
    two = np.repeat(curves.accuracies, 2, axis=2)
    table = Benchmark(name="two", space=curves.space, accuracies=two, seconds=0 * two)
    pruner = optuna.pruners.ThresholdPruner(upper=3.5)  # all but the best are left
    rows = run(tmp_path, table, pruner=pruner)
    assert sorted(row.state for row in rows) == ["complete"] * 3 + ["pruned"]
    assert rows[-1].true == 3
    first = rows[0]
    assert (first.true is None) == (first.state == "pruned")
