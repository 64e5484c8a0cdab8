import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import optuna
import pytest
import sqlalchemy as sa

import nasopt
from nasopt import Experiment, load_benchmark, parameters
from nasopt.analysis.compared import ComparisonResult
from nasopt.analysis.regret import EXACT, random_search
from nasopt.analysis.selection import compare_records, compare_studies, studies_together
from nasopt.benchmarks import Benchmark
from nasopt.errors import StudyError, Unsuitable
from nasopt.samplers import SAMPLERS, SurrogateSampler, make_sampler
from nasopt.storage.ledger import EVALUATIONS
from nasopt.storage.opening import open_storage
from tests.examples import small

HEADER = "a,b,c,seed,epoch,accuracy,parameters,seconds"


def written(path: Path, epochs: int = 1, header: str = HEADER) -> str:
    """A table of 64 networks with two replicates each, which seldom agree on the best of them."""
    noise = np.random.default_rng(0)
    lines = [header]
    for a, b, c in product(range(4), repeat=3):
        for seed in range(2):
            final = 50 + 3 * a + 2 * b + c + 4 * noise.random()
            for epoch in range(1, epochs + 1):
                accuracy = final - 5 * (epochs - epoch)
                lines.append(f"{a},{b},{c},{seed},{epoch},{accuracy},{1 + a * b + c},0.5")
    path.write_text("\n".join(lines))
    return str(path)


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Benchmark:
    return load_benchmark(written(tmp_path_factory.mktemp("table") / "mine.csv"))


@pytest.fixture(scope="module")
def done(table, tmp_path_factory) -> tuple[Path, ComparisonResult]:
    """A finished comparison, only to be read."""
    database = tmp_path_factory.mktemp("comparison") / "x.db"
    return database, compare(table, database, replicates=3)


def compare(benchmark: Benchmark, database: Path, **fields) -> ComparisonResult:
    experiment = fields.pop("experiment", Experiment.on_benchmark(benchmark))
    defaults = {"samplers": "random,tpe", "seeds": 3, "trials": 16}
    return nasopt.compare(experiment, storage=database, **{**defaults, **fields})


def test_samplers_see_the_same_replicates_and_each_seed_other_ones(done, table):
    observed = [table.observed(seed) for seed in range(3)]
    assert not np.array_equal(observed[0], observed[1])
    for sampler, seed in product(("random", "tpe"), range(3)):
        study = optuna.load_study(
            study_name=f"mine/{sampler}/{seed}", storage=f"sqlite:///{done[0]}"
        )
        for trial in study.trials:
            assert trial.value == observed[seed][table.space.decode(trial.params).row]


def test_without_the_table_what_the_searches_saw_is_no_verdict(done):
    storage = open_storage(done[0], "read")
    records, others = studies_together(storage)
    assert (len(records), others) == (6, [])
    with pytest.raises(StudyError, match="of a benchmark, which is not in the database; name it"):
        compare_records(records, storage)


def test_winners_are_judged_by_the_mean_over_replicates_and_never_trained_again(done, table):
    database, result = done
    assert result.score == "fresh"
    assert result.replicates == 0
    last = {(w.sampler, w.seed): w for w in result.winners if w.quarter == 4}
    assert len(last) == 6
    for (sampler, seed), winner in last.items():
        study = optuna.load_study(
            study_name=f"mine/{sampler}/{seed}", storage=f"sqlite:///{done[0]}"
        )
        row = table.space.decode(study.trials[winner.number].params).row
        assert winner.seen == study.best_value
        assert winner.fresh == tuple(table.accuracies[row, :, 0])
        assert winner.fresh_mean == pytest.approx(table.true[row])
        shown = [each for each in result.rows if (each.sampler, each.seed) == (sampler, seed)]
        assert shown[-1].true == table.true[row]
        assert shown[-1].incumbent == winner.seen
    random = result.standings[0]
    assert random.fresh == pytest.approx(np.mean([last["random", s].fresh_mean for s in range(3)]))
    with open_storage(database, "read").engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(EVALUATIONS)).scalar() == 0


def test_regret_and_rank_are_to_the_known_optimum(done, table):
    result = compare(table, done[0], analyse_only=True)
    assert result == done[1]
    truth = result.truth
    assert truth.optimum == table.true.max()
    assert [(each.sampler, each.at) for each in truth.regrets] == [
        (sampler, at) for sampler in (EXACT, "random", "tpe") for at in (2, 4, 8, 16)
    ]
    for regret in truth.regrets[4:]:
        worth = [
            row.true
            for row in result.rows
            if (row.sampler, row.evaluation) == (regret.sampler, regret.at)
        ]
        assert regret.median == pytest.approx(table.optimum - np.median(worth))
        assert regret.lower <= regret.median <= regret.upper
        assert regret.rank == 1 + sum(table.true > np.median(worth))
    curve = next(each for each in result.curves if each.sampler == "tpe")
    assert table.optimum - curve.median[-1] == pytest.approx(truth.regrets[-1].median)


def test_what_random_search_does_is_computed_over_the_replicates_that_were_seen(done, table):
    truth = done[1].truth
    assert truth.expected == pytest.approx(
        np.mean([random_search(table, seed, 16) for seed in range(3)], axis=0)
    )
    assert truth.random.positions == tuple(range(1, 17))
    # after one evaluation the winner is any network: half of them are worth less than the median
    assert truth.random.median[0] == pytest.approx(np.median(table.true), abs=0.2)
    assert truth.random.lower[-1] < truth.random.median[-1] < truth.random.upper[-1]


def test_the_result_is_json(done):
    told = json.loads(json.dumps(done[1].to_json()))["truth"]
    assert told["benchmark"].startswith("mine: 64 networks, 2 replicates, 1 epoch, optimum 7")
    assert len(told["expected"]) == 16
    assert told["regrets"][0].keys() == {"sampler", "at", "lower", "median", "upper", "rank"}


def test_where_a_training_has_one_epoch_there_is_nothing_to_look_at_first(tmp_path, table):
    result = compare(table, tmp_path / "x.db", samplers="all", seeds=1, trials=4)
    samplers = [each.sampler for each in result.standings]
    assert set(samplers) == SAMPLERS.keys() - {"gp", "one-epoch"}
    assert result.notes[0].startswith("one-epoch is left out: sampler='one-epoch': a training has")


def test_on_a_table_that_knows_no_seconds_none_can_be_weighed(tmp_path, table):
    without = replace(table, seconds=np.zeros_like(table.seconds))
    samplers = ["random", SurrogateSampler(cost_aware=True)]
    result = compare(without, tmp_path / "x.db", samplers=samplers, seeds=1, trials=8)
    assert [each.sampler for each in result.standings] == ["random"]
    assert result.notes[0] == (
        "SurrogateSampler is left out: cost_aware=True: the table does not know seconds; "
        "leave it out."
    )
    result = compare(table, tmp_path / "y.db", samplers=samplers, seeds=1, trials=8)
    assert len(result.standings) == 2


def test_learning_curves_of_a_table_are_pruned_and_looked_at_for_an_epoch(tmp_path):
    curves = load_benchmark(written(tmp_path / "mine.csv", epochs=3))
    result = compare(curves, tmp_path / "x.db", samplers="random,one-epoch", seeds=2)
    one_epoch = result.standings[1]
    assert (one_epoch.evaluations, one_epoch.pruned, one_epoch.epochs) == (16, 12, 12 + 4 * 2)
    assert one_epoch.fresh is not None
    after = {each.at for each in result.truth.regrets if each.sampler == "one-epoch"}
    assert after == {16}  # before, nothing is trained to its end


def test_within_a_budget_of_epochs_or_limits_nothing_is_computed_of_random_search(tmp_path, table):
    result = compare(table, tmp_path / "x.db", trials=None, epochs_budget=8)
    assert result.truth.random is None
    assert result.truth.expected == ()
    assert {each.at for each in result.truth.regrets} == {1, 2, 4, 8}
    limited = Experiment.on_benchmark(table, limits=parameters <= 5, name="limited")
    result = compare(table, tmp_path / "x.db", experiment=limited)
    assert result.truth.random is None


def test_a_study_that_knows_all_networks_ends_and_keeps_its_winner(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text("a,accuracy\n" + "".join(f"{n},{n}\n" for n in range(6)))
    result = compare(load_benchmark(str(path)), tmp_path / "x.db", trials=20)
    assert {each.evaluations for each in result.standings} == {6}
    assert (
        "tpe ended early with seed 0, 1, 2: all 6 networks of the space are known." in result.notes
    )
    assert [each.median for each in result.truth.regrets if each.at == 20] == [0, 0, 0]
    curve = next(each for each in result.curves if each.axis == "evaluation")
    assert (curve.positions[-1], curve.median[-1]) == (20, 5)


def test_two_objectives_of_a_table_are_compared_by_their_fronts(tmp_path, table):
    experiment = Experiment.on_benchmark(table, objectives=("accuracy", "parameters"))
    result = compare(table, tmp_path / "x.db", experiment=experiment, samplers="all", seeds=1)
    found = {each.sampler for each in result.standings}
    assert found >= {"random", "tpe", "nsga2", "surrogate"}
    assert not found & {"one-epoch", "evolution", "local"}
    assert result.score == "hypervolume"
    assert result.truth.regrets == ()
    assert result.noise is None


def test_without_any_cost_there_is_no_largest_network(tmp_path):
    bare = load_benchmark(written(tmp_path / "bare.csv", header=HEADER.replace("para", "_para")))
    problem = Experiment.on_benchmark(bare).problem
    with pytest.raises(Unsuitable, match="sampler='largest': this table knows neither parameters"):
        make_sampler("largest", problem, 0)
    result = compare(bare, tmp_path / "x.db", samplers="random,largest", seeds=1, trials=2)
    assert [each.sampler for each in result.standings] == ["random"]


def test_without_macs_the_largest_network_is_the_one_with_most_parameters(tmp_path, table):
    compare(table, tmp_path / "x.db", samplers="random,largest", seeds=1, trials=3)
    study = optuna.load_study(study_name="mine/largest/0", storage=f"sqlite:///{tmp_path}/x.db")
    assert [trial.user_attrs["parameters"] for trial in study.trials] == [13, 12, 11]
    assert study.trials[0].params == {"a": 3, "b": 3, "c": 3}


def test_a_database_of_searches_is_compared_on_as_far_as_it_is_known(tmp_path):
    searched = small(trials=30, pruner="none")
    nasopt.run(searched, sampler="random", storage=tmp_path / "searched.db", device="cpu")
    known = load_benchmark(f"ledger:{tmp_path}/searched.db")
    result = compare(known, tmp_path / "x.db", seeds=2, trials=8)
    assert known.share < 1
    assert all(each.evaluations == 8 for each in result.standings)
    assert len(result.truth.expected) == 8  # all that is drawn again is not in the table either


def test_a_comparison_may_be_kept_on_a_server(empty_database, table):
    result = compare(table, empty_database, seeds=2, trials=5)
    assert [each.evaluations for each in result.standings] == [5, 5]
    assert compare(table, empty_database, seeds=2, trials=5, analyse_only=True) == result


def test_another_table_of_the_same_name_is_refused(done, tmp_path):
    other = load_benchmark(written(tmp_path / "mine.csv", epochs=2))
    for analyse_only in (True, False):
        with pytest.raises(StudyError, match=r"study=mine/random/0: recipe.epochs is 2 now, was 1"):
            compare(other, done[0], analyse_only=analyse_only)


def test_studies_of_a_benchmark_are_not_compared_without_it(done):
    with pytest.raises(StudyError) as raised:
        compare_studies(done[0], "mine/*")
    assert str(raised.value) == (
        "study=mine/random/0: of a benchmark, which is not in the database; name it: "
        "nasopt compare --benchmark NAME --storage DB --analyse-only"
    )
