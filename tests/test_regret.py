from itertools import permutations

import numpy as np
import optuna
import pytest

import nasopt
from nasopt import Experiment, categorical, load_benchmark
from nasopt.analysis.regret import Score, random_search, scores
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


def test_the_incumbent_is_chosen_by_what_was_observed_and_scored_by_what_is_true(tmp_path):
    table = SIX_SPELLINGS
    study = nasopt.run(
        Experiment(dataset=table, trials=4, seed=2),
        sampler="random", seed=1, storage=tmp_path / "x.db",
    )  # fmt: skip
    observed = table.observed(2)
    assert observed.argmax() != table.true.argmax()
    rows = scores(study, table)
    assert len(study.trials) > len(rows) == 4  # repeats are left out
    for count, row in enumerate(rows, 1):
        networks = [table.space.decode(study.trials[each.number].params).row for each in rows]
        assert row.observed == observed[networks[count - 1]]
        assert row.true == table.true[networks[count - 1]]
        best = max(networks[:count], key=lambda network: observed[network])
        assert row.incumbent == table.true[best]
        assert row.regret == 7.5 - row.incumbent
        assert row.rank == (1 if row.incumbent == 7.5 else 2)
    assert rows[0].to_json().keys() == Score.__dataclass_fields__.keys()


def test_a_pruned_trial_is_no_incumbent(tmp_path):
    curves = benchmark([[0, 1], [2, 3]], [[1, 1], [2, 2], [3, 3], [4, 4]])
    two = np.repeat(curves.accuracies, 2, axis=2)
    table = Benchmark(name="two", space=curves.space, accuracies=two, seconds=0 * two)
    pruner = optuna.pruners.ThresholdPruner(upper=3.5)  # all but the best are left
    study = nasopt.run(
        Experiment(dataset=table, trials=4, pruner=pruner),
        sampler="random",
        storage=tmp_path / "x.db",
    )
    rows = scores(study, table)
    assert [row.observed for row in rows if row.true == 4] == [None]
    assert rows[-1].incumbent == 3
    assert rows[-1].regret == 1
    assert rows[-1].rank == 2
    first = rows[0]
    assert (first.incumbent is None) == (first.true == 4)
