import os
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

import nasopt
from nasopt import Conv, Interrupted, Recipe, Space, categorical, integer, parameters
from nasopt.analysis.compared import ComparisonResult
from nasopt.analysis.curves import csv_output, write_csv
from nasopt.analysis.outcome import studies_of
from nasopt.analysis.selection import compare_records, compare_studies, studies_together
from nasopt.errors import StorageError, StudyError
from nasopt.search.comparison import Comparison
from nasopt.search.noise import NoiseStudy
from nasopt.search.search import Search
from nasopt.storage.ledger import Ledger
from nasopt.storage.opening import folders, open_storage
from tests.examples import small

SAMPLERS = ("random", "one-epoch", "tpe")
WIDE = Space(Conv(filters=integer(2, 40), stride=2), Conv(filters=integer(2, 40)))


def compare(database: Path, **fields) -> ComparisonResult:
    """A comparison of a few seconds; `fields` replace its arguments."""
    experiment = fields.pop("experiment", small(trials=4))
    defaults = {"samplers": SAMPLERS, "seeds": 2, "replicates": 1, "device": "cpu"}
    return nasopt.compare(experiment, storage=database, **{**defaults, **fields})


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Path, ComparisonResult]:
    """A finished comparison, only to be read."""
    database = tmp_path_factory.mktemp("comparison") / "x.db"
    return database, compare(database)


def test_there_is_a_study_a_sampler_and_seed_in_one_database(done):
    names = optuna.get_all_study_names(f"sqlite:///{done[0]}")
    assert names == [f"experiment/{sampler}/{seed}" for seed in range(2) for sampler in SAMPLERS]
    assert {row.study for row in done[1].rows} == set(names)


def test_a_standing_agrees_with_the_studies(done):
    database, result = done
    assert [each.sampler for each in result.standings] == list(SAMPLERS)
    for standing in result.standings:
        studies = [
            optuna.load_study(
                study_name=f"experiment/{standing.sampler}/{seed}",
                storage=f"sqlite:///{database}",
            )
            for seed in range(2)
        ]
        best = [study.best_value for study in studies]
        assert standing.seen == pytest.approx(sum(best) / 2)
        assert standing.quarters[-1] == (standing.seen, standing.fresh)
        assert standing.evaluations == 4
        assert standing.epochs == (4 if standing.sampler == "one-epoch" else 8)
        assert standing.pruned == (2 if standing.sampler == "one-epoch" else 0)
    assert (result.score, result.budget.amount, result.budget.unit) == ("fresh", 4, "evaluations")
    assert result.standings[0].difference is None
    assert result.standings[2].difference.pairs == 2
    assert sum(each.rank for each in result.standings) == pytest.approx(1 + 2 + 3)


def test_the_winners_that_samplers_are_compared_by_are_trained_again_first(tmp_path):
    database, experiment = tmp_path / "x.db", small(trials=8, space=WIDE)
    compare(database, experiment=experiment, samplers=("random", "surrogate"), replicates=0)
    comparison = Comparison(
        experiment, samplers=("random", "surrogate"), seeds=2, replicates=1, storage=database,
        device="cpu",
    )  # fmt: skip
    again, scores = [], []
    for progress in comparison:
        if progress.again:
            again.append(progress.study)
            scores.append(compare_studies(database, "*", replicates=1).score)
    finals = scores.index("fresh") + 1
    assert finals == len(set(again[:finals])) == 4 < len(again)


def test_the_winner_of_each_quarter_is_trained_again_with_another_seed(done):
    database, result = done
    storage = open_storage(database, "read")
    ledger = Ledger(storage.engine, folders(storage).checkpoints)
    experiment = small(trials=4)
    last = [each for each in result.winners if each.quarter == 4]
    assert len(last) == 6
    assert len([each for each in result.winners if each.sampler == "random"]) == 2 * 4
    by_evaluation = {(row.study, row.evaluation): row for row in result.rows}
    for winner in result.winners:
        row = by_evaluation[winner.study, winner.quarter]  # of four evaluations, one a quarter
        assert (winner.number, winner.seen) == (row.winner, row.incumbent)
        study = optuna.load_study(study_name=winner.study, storage=storage)
        trial = study.trials[winner.number]
        assert winner.seen == trial.value
        fresh = replace(experiment.evaluation(trial.params), seed=experiment.seed + 1)
        assert winner.fresh == (ledger.results(fresh.key)[-1].accuracy,)
    standing = result.standings[0]
    random = [each.fresh_mean for each in last if each.sampler == "random"]
    assert standing.fresh == pytest.approx(sum(random) / 2)


def test_a_second_comparison_trains_nothing_and_tells_the_same(done):
    database, result = done
    comparison = Comparison(
        small(trials=4), samplers=SAMPLERS, seeds=2, replicates=1, storage=database, device="cpu"
    )
    comparison.evaluator.backend.trainer = lambda *_, **__: pytest.fail("it trains again")
    assert [(each.number, each.search) for each in comparison] == [(n, None) for n in range(1, 7)]
    assert comparison.result == result


def test_analysing_reads_what_is_there_and_makes_nothing(done, tmp_path, monkeypatch):
    database, result = done
    before = database.read_bytes()
    assert compare(database, analyse_only=True) == result
    assert database.read_bytes() == before
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="no such file"):
        compare(Path("no.db"), analyse_only=True)
    assert list(tmp_path.iterdir()) == []


def test_studies_that_are_there_are_compared_by_pattern(done):
    database, result = done
    assert compare_studies(database, "experiment/*", replicates=1) == result
    two = compare_studies(database, ["experiment/random/?", "experiment/tpe/*"], replicates=1)
    assert [each.sampler for each in two.standings] == ["random", "tpe"]
    assert two.standings[1].fresh == result.standings[2].fresh


def test_winners_that_were_not_trained_again_are_compared_by_what_was_seen(done):
    database, _ = done
    result = compare_studies(database, "experiment/*", replicates=2)
    assert (result.score, result.replicates) == ("seen", 0)
    assert {each.fresh for each in result.standings} == {None}
    assert any("were not all trained again with" in note for note in result.notes)


def test_a_smaller_budget_is_a_part_of_what_is_there(done):
    database, result = done
    part = compare(database, samplers=("random", "tpe"), trials=2, analyse_only=True)
    assert {row.evaluation for row in part.rows} == {1, 2}
    assert part.rows == tuple(
        row for row in result.rows if row.sampler != "one-epoch" and row.evaluation <= 2
    )


def test_the_result_is_json_and_its_rows_a_table(done, tmp_path):
    result = done[1]
    value = result.to_json()
    assert value["budget"] == {"evaluations": 4}
    assert value["verdict"] == result.verdict
    assert len(value["rows"]) == 6 * 4
    assert {each["axis"] for each in value["curves"]} == {
        "evaluation", "total_epochs", "total_seconds",
    }  # fmt: skip
    write_csv(tmp_path / "x.csv", result.rows)
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert len(lines) == 1 + 6 * 4
    assert lines[0].startswith("study,sampler,seed,evaluation,number,state,value,cost,incumbent,")
    assert lines[1].startswith("experiment/random/0,random,0,1,0,complete,")
    with pytest.raises(StorageError, match="cannot be written"):
        write_csv(tmp_path / "no" / "x.csv", result.rows)


def test_what_was_interrupted_goes_on_and_equals_the_uninterrupted_comparison(done, tmp_path):
    experiment = small(trials=4)
    arguments = {"samplers": SAMPLERS, "seeds": 2, "replicates": 1, "device": "cpu"}
    comparison = Comparison(experiment, storage=tmp_path / "x.db", **arguments)
    with pytest.raises(Interrupted):  # noqa: PT012
        for progress in comparison:
            if progress.search and progress.search.number == progress.search.epoch == 1:
                os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Interrupted):  # noqa: PT012
        for progress in comparison:
            if progress.again:
                os.kill(os.getpid(), signal.SIGTERM)
    *_, last = comparison
    assert last.number == last.total
    told = [(s.sampler, s.seen, s.fresh, s.difference) for s in comparison.result.standings]
    assert told == [(s.sampler, s.seen, s.fresh, s.difference) for s in done[1].standings]


def test_a_budget_of_epochs_counts_what_is_finished_within_it(tmp_path):
    recipe = Recipe(epochs=3, batch_size=32)
    result = compare(tmp_path / "x.db", experiment=small(recipe=recipe), seeds=1, epochs_budget=10)
    by_sampler = {each.sampler: each for each in result.standings}
    assert by_sampler["random"].evaluations == 3  # the fourth ends at epoch 12
    assert by_sampler["random"].epochs == 9
    assert by_sampler["one-epoch"].epochs == 10  # 6 looks, and 2 epochs more of 2 of them
    assert compare_studies(tmp_path / "x.db", "*", replicates=1) == result


def test_two_objectives_are_compared_by_their_fronts(tmp_path):
    experiment = small(trials=3, objectives=("accuracy", "macs"))
    result = compare(tmp_path / "x.db", experiment=experiment, seeds=1)
    assert [each.sampler for each in result.standings] == ["random", "tpe"]
    assert result.score == "hypervolume"
    assert result.winners == ()
    assert 0 < result.standings[0].seen < 1
    assert result.notes[0] == (
        "one-epoch is left out: sampler='one-epoch': it goes on with the most accurate networks, "
        "which with two objectives are not all that is sought; choose another sampler."
    )


def test_a_sampler_that_cannot_do_with_the_experiment_is_left_out_with_a_line(tmp_path):
    experiment = small(recipe=Recipe(epochs=1), trials=2)
    comparison = Comparison(experiment, storage=tmp_path / "x.db", device="cpu")
    assert list(comparison.samplers) == ["random", "largest", "tpe", "surrogate"]
    assert comparison.left_out[0].startswith("one-epoch is left out: sampler='one-epoch': a train")


def test_a_study_that_ends_early_is_compared_and_named(tmp_path):
    experiment = small(space=Space(Conv(filters=categorical(2, 4))), trials=5)
    result = compare(tmp_path / "x.db", experiment=experiment, samplers="random,largest", seeds=1)
    assert [each.evaluations for each in result.standings] == [2, 2]
    assert "largest ended early with seed 0: all 2 networks of the space are known." in result.notes
    again = Comparison(
        experiment, samplers="random,largest", seeds=1, replicates=1, storage=tmp_path / "x.db",
        device="cpu",
    )  # fmt: skip
    assert [each.search for each in again] == [None, None]


def test_the_noise_that_was_measured_stands_in_the_result(tmp_path):
    experiment = small(trials=2)
    noise = NoiseStudy(experiment, tmp_path / "x.db", "cpu", architectures=4, seeds=3)
    list(noise)
    result = compare(tmp_path / "x.db", experiment=experiment, samplers="random,tpe")
    assert result.noise == noise.noise
    told = result.to_json()["noise"]
    assert (told["share"], told["better"]["architectures"]) == (noise.noise.share, 2)
    better = noise.noise.better
    assert 0 <= better.low <= better.share <= better.high <= 1
    assert noise.noise.mean < better.mean < 1


def test_the_noise_of_a_limited_space_is_found_among_its_draws(tmp_path):
    experiment = small(trials=2, limits=parameters <= 300)
    noise = NoiseStudy(experiment, tmp_path / "x.db", "cpu", architectures=3, seeds=2)
    list(noise)
    result = compare(
        tmp_path / "x.db", experiment=experiment, samplers="random", seeds=1, replicates=0
    )
    assert result.noise == noise.noise


def test_samplers_may_be_objects_and_all_of_the_registry(tmp_path):
    comparison = Comparison(
        small(), samplers=["random", optuna.samplers.TPESampler()], storage=tmp_path / "x.db",
        device="cpu",
    )  # fmt: skip
    assert "experiment/TPESampler/0" in comparison.studies
    everything = Comparison(small(), samplers="all", storage=tmp_path / "x.db", device="cpu")
    assert {"random", "largest", "one-epoch", "tpe", "nsga2"} <= set(everything.samplers)
    assert "gp" not in everything.samplers


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"seeds": 0}, "seeds=0: use a whole number from 1"),
        ({"seeds": 2.0}, "seeds=2.0: use a whole number from 1"),
        ({"replicates": -1}, "replicates=-1: use a whole number from 0"),
        ({"trials": 0}, "trials=0: use a whole number from 1"),
        ({"trials": 3, "epochs_budget": 9}, "trials=3 and epochs_budget=9: two budgets; give one"),
        ({"samplers": "random,tbe"}, "sampler='tbe': unknown; did you mean tpe?"),
        ({"samplers": ""}, "samplers: none; choose from random, tpe"),
        ({"samplers": "tpe"}, "baseline='random': not among the samplers; choose from tpe"),
        ({"baseline": "tpee"}, "baseline='tpee': not among the samplers; did you mean tpe?"),
        (
            {"samplers": ["random", *[optuna.samplers.TPESampler() for _ in range(2)]]},
            "samplers: 2 are called TPESampler; give each a name, as in {\"mine\": ..., ",
        ),
        ({"device": "cup"}, "device='cup': unknown; did you mean cpu?"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_before_a_database_exists(tmp_path, arguments, line):
    with pytest.raises(nasopt.Error) as raised:
        compare(tmp_path / "x.db", **arguments)
    assert str(raised.value).startswith(line)
    assert list(tmp_path.iterdir()) == []


def run(database: Path, sampler: str = "random", trials: int = 2, **fields) -> None:
    nasopt.run(small(**fields), sampler=sampler, trials=trials, storage=database, device="cpu")


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({"trials": 3}, "study=other/tpe/0: its budget is 3 evaluations, but 2 evaluations in"),
        ({"recipe": Recipe(epochs=3)}, "study=other/tpe/0: recipe."),
        ({"limits": parameters <= 900}, "study=other/tpe/0: limits is 1 entries, but 0 entries in"),
        ({"pruner": "median"}, "study=other/tpe/0: pruner is median, but surrogate in exper"),
        ({"sampler": "random"}, "study=other/random/0: by random with seed 0, as experiment/rando"),
    ],
)  # fmt: skip
def test_studies_that_are_not_alike_are_not_compared(tmp_path, other, line):
    run(tmp_path / "x.db")
    run(tmp_path / "x.db", **{"sampler": "tpe", "name": "other", **other})
    with pytest.raises(StudyError) as raised:
        compare_studies(tmp_path / "x.db", "*")
    assert str(raised.value).startswith(line)


def test_finished_studies_of_another_experiment_are_not_taken_for_this_ones(tmp_path):
    compare(tmp_path / "x.db", samplers="random", seeds=1, trials=2)
    other = small(recipe=Recipe(epochs=3))
    for analyse_only in (True, False):
        with pytest.raises(StudyError, match=r"study=experiment/random/0: recipe\."):
            compare(
                tmp_path / "x.db", experiment=other, samplers="random", seeds=1, trials=2,
                analyse_only=analyse_only,
            )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (
            {"limits": parameters <= 900},
            r"limits=\['parameters <= 900'\] now, but \[\] when it was run",
        ),
        ({"pruner": "median"}, "pruner=median now, but surrogate when it was run"),
    ],
)
def test_studies_that_were_run_in_another_way_are_refused_before_anything_is_trained(
    tmp_path, change, place
):
    compare(tmp_path / "x.db", experiment=small(trials=2), samplers="random,one-epoch", seeds=1)
    before = len(studies_of(open_storage(tmp_path / "x.db", "read")))
    with pytest.raises(StudyError, match=f"study=experiment/random/0: {place}; set it back, or"):
        compare(tmp_path / "x.db", experiment=small(trials=2, **change), seeds=2)
    assert len(studies_of(open_storage(tmp_path / "x.db", "read"))) == before


def test_a_smaller_budget_is_no_part_of_first_looks(tmp_path):
    given = {"samplers": "random,one-epoch", "seeds": 1}
    compare(tmp_path / "x.db", experiment=small(trials=9), **given)
    line = "study=experiment/one-epoch/0: run with 9 evaluations, so its first looks are not those"
    with pytest.raises(StudyError, match=line):
        compare(tmp_path / "x.db", experiment=small(trials=4), **given)
    assert compare(
        tmp_path / "x.db", experiment=small(trials=4), samplers="random", seeds=1
    ).standings


def test_a_study_that_is_missing_or_unfinished_is_named(tmp_path):
    run(tmp_path / "x.db")
    with pytest.raises(StudyError, match="study=experiment/tpe/0: not in this database; run the"):
        compare(tmp_path / "x.db", samplers="random,tpe", trials=2, seeds=1, analyse_only=True)
    with pytest.raises(StudyError) as raised:
        compare(tmp_path / "x.db", samplers="random", trials=7, seeds=1, analyse_only=True)
    assert str(raised.value) == ("study=experiment/random/0: 2 of 7 evaluations; run it to its end")
    with pytest.raises(StudyError, match=r"studies='nothing/\*': none of that name"):
        compare_studies(tmp_path / "x.db", "nothing/*")


@pytest.mark.parametrize(
    ("name", "reason"), [("no/x.csv", "no such folder"), ("there", "a folder; name a file in it")]
)
def test_a_table_that_cannot_be_written_is_named_before_anything_is_trained(tmp_path, name, reason):
    (tmp_path / "there").mkdir()
    with pytest.raises(StorageError, match=f"csv={tmp_path / name}: {reason}"):
        csv_output(tmp_path / name).check()


def test_studies_of_different_devices_are_compared_with_a_word_on_that(tmp_path):
    database = tmp_path / "x.db"
    assert not any("trained on" in note for note in compare(database, seeds=1).notes)
    with closing(sqlite3.connect(database)) as connection, connection:  # as if trained elsewhere
        connection.execute(
            "UPDATE trial_user_attributes SET value_json = '\"NVIDIA H200\"' WHERE key = 'device' "
            "AND trial_id IN (SELECT trial_id FROM trials JOIN studies USING (study_id) "
            "WHERE study_name = 'experiment/tpe/0')"
        )
    notes = compare_studies(database, "experiment/*", replicates=1).notes
    (note,) = [note for note in notes if "trained on" in note]
    assert note.startswith("The networks were trained on ")
    assert "(8 trials) and NVIDIA H200 (4 trials): what differs may be due to that, too." in note


def test_a_signal_that_comes_while_a_study_is_opened_stops_it(tmp_path, monkeypatch):
    class Asked(Search):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("nasopt.search.comparison.Search", Asked)
    comparison = Comparison(
        small(), samplers="random", seeds=1, storage=tmp_path / "x.db", device="cpu"
    )
    with pytest.raises(Interrupted, match="SIGTERM"):
        list(comparison)
    assert comparison._read(*comparison.studies).trials == []


def test_after_the_largest_seed_of_trainings_comes_the_first(tmp_path):
    last = small(seed=2**63 - 1, trials=2)
    where = {"storage": tmp_path / "x.db", "device": "cpu"}
    result = nasopt.compare(last, samplers="random", seeds=1, replicates=1, **where)
    assert all(len(winner.fresh) == 1 for winner in result.winners)
    assert nasopt.noise(last, architectures=3, seeds=2, **where).seeds == 2


def test_a_study_without_a_winner_does_not_hide_that_the_others_were_trained_again(tmp_path):
    database = tmp_path / "x.db"
    given = {"samplers": "random,tpe", "seeds": 2, "replicates": 1}
    nasopt.compare(small(), storage=database, device="cpu", **given)
    with closing(sqlite3.connect(database)) as connection, connection:
        of = "SELECT study_id FROM studies WHERE study_name = 'experiment/tpe/1'"
        connection.execute(f"UPDATE trials SET state = 'FAIL' WHERE study_id = ({of})")
    storage = open_storage(database, "read")
    result = compare_records(studies_together(storage)[0], storage)
    assert (result.score, result.replicates) == ("fresh", 1)
    assert any("has no complete training within the budget with seed 1" in n for n in result.notes)


def test_a_callback_that_stops_a_study_ends_the_comparison_which_goes_on(tmp_path):
    def stop(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        study.stop()

    given = {"samplers": "random,tpe", "seeds": 1, "replicates": 1, "device": "cpu"}
    with pytest.raises(StudyError) as raised:
        nasopt.compare(small(), storage=tmp_path / "x.db", callbacks=[stop], **given)
    assert str(raised.value) == (
        "study=experiment/random/0: a callback stopped the study; run the same command again"
    )
    assert studies_of(open_storage(tmp_path / "x.db")) == ["experiment/random/0"]
    result = nasopt.compare(small(), storage=tmp_path / "x.db", **given)
    whole = nasopt.compare(small(), storage=tmp_path / "y.db", **given)
    assert [row.value for row in result.rows] == [row.value for row in whole.rows]
