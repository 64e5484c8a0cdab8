import json
import re
import sqlite3
from dataclasses import replace
from functools import partial

import optuna
import pytest
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState

import nasopt
from nasopt import Conv, Recipe, Space, categorical, integer, parameters, real
from nasopt.errors import SpaceError
from nasopt.samplers import SAMPLERS, make_sampler
from nasopt.search.search import Search
from tests.examples import small
from tests.trials import counted, told


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_trains_as_many_networks_as_were_asked_for(tmp_path, sampler):
    study = nasopt.run(small(), sampler=sampler, storage=tmp_path / "x.db", device="cpu")
    assert len(counted(study)) == 6
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    best = study.best_trial
    assert best.value == best.intermediate_values[2] > 0.1
    assert best.user_attrs["epochs"] == 2
    assert best.user_attrs["replayed_epochs"] == 0
    assert best.user_attrs["seconds"] > 0


def test_a_search_on_digits_finds_a_network_that_reads_them(tmp_path):
    space = Space(Conv(filters=integer(16, 32, 8)), Conv(filters=categorical(16, 32), stride=2))
    experiment = small(
        dataset="digits", space=space, recipe=Recipe(epochs=10, batch_size=64), trials=2
    )
    assert nasopt.run(experiment, storage=tmp_path / "x.db", device="cpu").best_value > 0.9


def test_plain_optuna_opens_the_study(tmp_path):
    nasopt.run(small(trials=2), storage=tmp_path / "x.db", device="cpu")
    study = optuna.load_study(
        study_name="experiment/surrogate/0", storage=f"sqlite:///{tmp_path}/x.db"
    )
    assert len(study.trials) == 2
    study.optimize(lambda trial: trial.suggest_float("elsewhere", 0, 1), n_trials=1)


def test_running_a_finished_study_again_changes_nothing(tmp_path):
    first = nasopt.run(small(), storage=tmp_path / "x.db", device="cpu")
    search = Search(small(), storage=tmp_path / "x.db", device="cpu")
    list(search)
    assert search.ran == 0
    assert told(search.study) == told(first)


def test_more_trials_may_be_asked_for_later_and_equal_those_of_one_run(tmp_path, caplog):
    nasopt.run(small(), trials=4, storage=tmp_path / "x.db", device="cpu")
    longer = nasopt.run(small(), trials=14, storage=tmp_path / "x.db", device="cpu")
    whole = nasopt.run(small(), trials=14, storage=tmp_path / "y.db", device="cpu")
    assert told(longer) == told(whole)
    assert "experiment/surrogate/0: trials is 14 from here on, was 4" in caplog.text


def test_tpe_learns_from_the_study_as_the_stock_sampler_does(tmp_path):
    experiment = small(trials=16, pruner="none")
    study = nasopt.run(experiment, sampler="tpe", storage=tmp_path / "x.db", device="cpu")
    stock = optuna.create_study(
        direction="maximize", sampler=make_sampler("tpe", experiment.problem, 0)
    )
    for trial in study.get_trials(deepcopy=False):
        stock.ask(experiment.problem.distributions)
        assert stock.trials[-1].params == trial.params
        stock.tell(trial.number, trial.value)
    random = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    assert [t.params for t in random.trials[:10]] == [t.params for t in study.trials[:10]]
    assert [t.params for t in random.trials[:16]] != [t.params for t in study.trials[:16]]


def test_a_repeat_is_told_the_known_result_and_is_free(tmp_path):
    experiment = small(space=Space(Conv(filters=categorical(2, 4, 8))), trials=3)
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    repeats = [trial for trial in study.trials if "repeat_of" in trial.user_attrs]
    assert repeats
    assert len(counted(study)) == 3
    for trial in repeats:
        known = study.trials[trial.user_attrs["repeat_of"]]
        assert "repeat_of" not in known.user_attrs
        assert (trial.state, trial.values, trial.intermediate_values) == (
            known.state, known.values, known.intermediate_values,
        )  # fmt: skip
        assert trial.user_attrs["epochs"] == trial.user_attrs["replayed_epochs"] == 2


def test_a_network_known_from_another_study_counts_but_is_not_trained(tmp_path):
    first = nasopt.run(small(), sampler="random", storage=tmp_path / "x.db", device="cpu")
    # the first ten trials of TPE are random ones, seeded alike
    second = nasopt.run(small(), sampler="tpe", storage=tmp_path / "x.db", device="cpu")
    assert [trial.values for trial in second.trials] == [trial.values for trial in first.trials]
    assert {trial.user_attrs["replayed_epochs"] for trial in counted(second)} == {2}
    assert [trial.user_attrs["seconds"] for trial in second.trials] == [
        trial.user_attrs["seconds"] for trial in first.trials
    ]


def test_an_exhausted_space_ends_the_run_with_a_line(tmp_path):
    space = Space(Conv(filters=2, stride=categorical(1, 2, 3)))
    search = Search(small(space=space), sampler="random", storage=tmp_path / "x.db", device="cpu")
    list(search)
    assert search.ended == "all 3 networks of the space are known"
    assert len(counted(search.study)) == 3


@pytest.mark.parametrize("sampler", ["random", "largest", "surrogate"])
def test_running_a_study_again_that_ended_early_changes_nothing(tmp_path, sampler):
    one = small(space=Space(Conv(filters=2, stride=categorical(1, 2))), trials=4)
    given = {"sampler": sampler, "storage": tmp_path / "x.db", "device": "cpu"}
    first = nasopt.run(one, **given)
    again = Search(one, **given)
    list(again)
    assert (again.ran, again.ended) == (0, first.user_attrs["ended"])
    assert told(again.study) == told(first)
    again.study.enqueue_trial({"conv01.stride": 2})
    asked = Search(one, **given)
    list(asked)
    assert (asked.ran, asked.ended) == (1, again.ended)


def test_a_study_that_ended_early_goes_on_within_other_limits(tmp_path):
    few = small(space=Space(Conv(filters=categorical(2, 4, 8))), limits=(parameters <= 60,))
    given = {"sampler": "largest", "storage": tmp_path / "x.db", "device": "cpu"}
    assert nasopt.run(few, **given).user_attrs["ended"]
    assert len(counted(nasopt.run(replace(few, limits=()), **given))) > 1


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_sampler_that_only_repeats_itself_ends_the_run_with_a_line(tmp_path):
    search = Search(
        small(trials=4),
        sampler=optuna.samplers.PartialFixedSampler(
            {"conv.depth": 1, "conv01.filters": 2, "conv01.stride": 1},
            optuna.samplers.RandomSampler(),
        ),
        storage=tmp_path / "x.db",
        device="cpu",
    )
    list(search)
    assert search.ended.startswith("the sampler proposed 100 known networks in a row")
    assert len(counted(search.study)) == 1


def test_networks_over_a_limit_are_never_trained_and_cost_nothing(tmp_path):
    experiment = small(limits=(parameters <= 200,), trials=5)
    for sampler in ("random", "tpe"):
        study = nasopt.run(experiment, sampler=sampler, storage=tmp_path / "x.db", device="cpu")
        trained = [trial for trial in study.trials if trial.user_attrs.get("epochs")]
        assert len(counted(study)) == 5
        assert all(trial.user_attrs["parameters"] <= 200 for trial in trained)
        assert all(trial.constraints["parameters <= 200"] <= 0 for trial in trained)
        assert any(trial.user_attrs.get("draws", 1) > 1 for trial in trained)


@pytest.mark.parametrize(
    ("sampler", "line"),
    [
        ("tpe", r"limits: none of 1,\d{3} networks drawn in a row has parameters <= 5;"),
        ("surrogate", "limits: no network with parameters <= 5 was found;"),
        ("evolution", "limits: no network with parameters <= 5 was found;"),
        ("local", "limits: no network with parameters <= 5 was found;"),
    ],
)
def test_a_limit_that_nothing_meets_ends_the_run_and_names_the_smallest_network(
    tmp_path, sampler, line
):
    experiment = small(limits=parameters <= 5)
    with pytest.raises(SpaceError) as error:
        nasopt.run(experiment, sampler=sampler, storage=tmp_path / "x.db", device="cpu")
    # 2 filters of 3x3, their norm, 10 classes
    smallest = 2 * 9 + 2 * 2 + (2 + 1) * 10
    assert re.match(line, str(error.value))
    assert f"the smallest found has {smallest} parameters; raise the limit" in str(error.value)


def test_open_fields_of_the_recipe_are_searched_too(tmp_path):
    recipe = Recipe(epochs=1, batch_size=32, lr=real(1e-3, 1, log=True))
    study = nasopt.run(small(recipe=recipe, trials=3), storage=tmp_path / "x.db", device="cpu")
    assert len({trial.params["recipe.lr"] for trial in study.trials}) == 3


def test_two_objectives_give_a_front_and_keep_the_scores_themselves(tmp_path):
    experiment = small(objectives=("accuracy", "macs"), pruner="none", trials=8)
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    assert study.directions == [
        optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE,
    ]  # fmt: skip
    assert all(trial.values[1] == trial.user_attrs["macs"] for trial in study.trials)
    assert not any(trial.intermediate_values for trial in study.trials)
    epochs = experiment.recipe.epochs
    assert all(len(trial.user_attrs["reports"]) == epochs for trial in study.trials)
    assert all(trial.user_attrs["reports"][-1] == trial.values[0] for trial in study.trials)
    assert 1 <= len(study.best_trials) <= 8


def test_a_loss_that_is_not_finite_prunes_the_trial_and_the_study_goes_on(tmp_path):
    recipe = Recipe(epochs=2, batch_size=32, lr=1e30)
    diverging = small(recipe=recipe, trials=2)
    study = nasopt.run(diverging, sampler="tpe", storage=tmp_path / "x.db", device="cpu")
    for trial in counted(study):
        assert trial.state is TrialState.PRUNED
        assert trial.user_attrs["reason"] == "loss not finite in epoch 1"
        assert trial.value == trial.intermediate_values[1]
    again = nasopt.run(diverging, sampler="random", storage=tmp_path / "x.db", device="cpu")
    assert [t.user_attrs["replayed_epochs"] for t in counted(again)] == [1, 1]


def test_a_network_out_of_memory_prunes_the_trial_and_the_study_goes_on(tmp_path):
    huge = Conv(filters=categorical(2, 10**9), kernel_size=31)  # 7 TB a layer
    experiment = small(space=Space(Conv(filters=2), huge), trials=2)
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    states = {t.params["conv02.filters"]: t for t in counted(study)}
    assert states[2].state is TrialState.COMPLETE
    assert states[10**9].state is TrialState.PRUNED
    assert states[10**9].user_attrs["reason"].startswith("out of memory on cpu; use a")
    assert states[10**9].value is None


def test_an_error_of_ours_fails_the_trial_and_keeps_its_traceback(tmp_path, monkeypatch):
    search = Search(small(trials=2), storage=tmp_path / "x.db", device="cpu")
    monkeypatch.setattr(search.worker.reports, "epochs", lambda evaluation: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(search)
    (failed,) = search.study.trials
    assert failed.state is TrialState.FAIL
    assert failed.user_attrs["reason"] == "ZeroDivisionError: division by zero"
    study = nasopt.run(small(trials=2), storage=tmp_path / "x.db", device="cpu")
    assert sum(trial.state is TrialState.COMPLETE for trial in study.trials) == 2


@pytest.mark.parametrize(
    ("name", "pruner"),
    [
        *((name, "median") for name in sorted(set(SAMPLERS) - {"gp"})),
        *((name, "hyperband") for name in ("random", "surrogate", "tpe")),
    ],
)
def test_every_sampler_resumes_as_if_it_had_not_stopped(tmp_path, name, pruner):
    experiment = small(trials=15, pruner=pruner, recipe=Recipe(epochs=4, batch_size=64))
    for done in (4, 9, 15):
        search = Search(experiment, sampler=name, seed=3, storage=tmp_path / "x.db", device="cpu")
        for progress in search:
            if progress.done == done and progress.number is None:
                break
    resumed = search.study
    whole = nasopt.run(experiment, sampler=name, seed=3, storage=tmp_path / "y.db", device="cpu")
    assert told(resumed) == told(whole)


def test_an_enqueued_network_is_tried_first(tmp_path):
    study = nasopt.run(small(trials=1), storage=tmp_path / "x.db", device="cpu")
    wanted = {"conv.depth": 1, "conv01.filters": 8, "conv01.stride": 2}
    study.enqueue_trial(wanted)
    study = nasopt.run(small(trials=2), storage=tmp_path / "x.db", device="cpu")
    assert wanted.items() <= study.trials[1].params.items()


def test_what_is_enqueued_but_not_in_the_space_is_left_to_the_sampler(tmp_path, caplog):
    study = nasopt.run(small(trials=1), storage=tmp_path / "x.db", device="cpu")
    study.enqueue_trial({"conv.depth": 99, "nonsense": 3, "conv01.filters": 8})
    study = nasopt.run(small(trials=2), storage=tmp_path / "x.db", device="cpu")
    assert study.trials[1].params["conv01.filters"] == 8
    assert study.trials[1].params["conv.depth"] <= 3
    assert "enqueued trial 1: conv.depth=99: not in integer(1, 3); left to the" in caplog.text
    assert "enqueued trial 1: nonsense=3: no such parameter; left to the sampler" in caplog.text


def test_the_ledger_can_be_read_without_the_studies(tmp_path):
    nasopt.run(small(trials=2), storage=tmp_path / "x.db", device="cpu")
    database = sqlite3.connect(tmp_path / "x.db")
    rows = database.execute(
        "SELECT architecture, recipe, dataset FROM nasopt_evaluations"
    ).fetchall()
    assert len(rows) == 2
    assert json.loads(rows[0][0])[0]["layer"] == "conv"
    assert json.loads(rows[0][1])["epochs"] == 2
    assert database.execute("SELECT count(*) FROM nasopt_epochs").fetchone() == (4,)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    "sampler",
    [
        optuna.samplers.BruteForceSampler,
        partial(optuna.samplers.GridSampler, {"conv01.filters": [2, 4], "conv01.stride": [1, 2]}),
    ],
)
def test_a_sampler_that_stops_the_study_ends_the_run_with_a_line(tmp_path, sampler):
    space = Space(Conv(filters=categorical(2, 4), stride=categorical(1, 2)))
    search = Search(
        small(space=space, trials=9), sampler=sampler(), storage=tmp_path / "x.db", device="cpu"
    )
    list(search)
    assert len(counted(search.study)) == 4
    assert search.ended
    assert {trial.state for trial in search.study.trials} == {TrialState.COMPLETE}


def test_a_space_with_nothing_open_is_one_network(tmp_path):
    search = Search(small(space=Space(Conv(filters=4))), storage=tmp_path / "x.db", device="cpu")
    list(search)
    assert search.ended == "all 1 networks of the space are known"
    assert len(counted(search.study)) == 1
    assert search.study.best_trial.user_attrs["parameters"] == 4 * 9 + 8 + (4 + 1) * 10


def test_a_study_on_a_server_equals_one_in_a_file(tmp_path, monkeypatch, postgresql):
    monkeypatch.chdir(tmp_path)  # checkpoints of a server's studies lie in the working folder
    url = postgresql()
    nasopt.run(small(), trials=3, storage=url, device="cpu")
    served = nasopt.run(small(), storage=url, device="cpu")
    assert told(served) == told(nasopt.run(small(), storage="x.db", device="cpu"))


def test_a_budget_of_epochs_ends_with_the_trial_that_reaches_it(tmp_path):
    search = Search(small(), epochs_budget=7, storage=tmp_path / "x.db", device="cpu")
    *_, last = search
    assert len(counted(search.study)) == 4  # of 2 epochs each
    assert last.epochs_spent == 8
    assert search.study.user_attrs["epochs_budget"] == 7
    assert "trials" not in search.study.user_attrs
    again = Search(small(), epochs_budget=7, storage=tmp_path / "x.db", device="cpu")
    list(again)
    assert again.ran == 0


def test_a_budget_of_epochs_resumed_equals_the_uninterrupted_study(tmp_path):
    experiment = small(recipe=Recipe(epochs=3, batch_size=32))
    for stop in (2, None):
        search = Search(
            experiment, sampler="one-epoch", epochs_budget=12, storage=tmp_path / "x.db",
            device="cpu",
        )  # fmt: skip
        for progress in search:
            if progress.done == stop:
                break
    whole = Search(
        experiment, sampler="one-epoch", epochs_budget=12, storage=tmp_path / "y.db", device="cpu"
    )
    list(whole)
    assert told(search.study) == told(whole.study)
    # 5 looks and 2 trainings cost 9, 6 and 2 cost 10, 7 and 2 cost 11, 6 and 3 cost 12
    assert [trial.last_step for trial in counted(whole.study)] == [1] * 6 + [3] * 3


@pytest.mark.parametrize(
    ("budgets", "line"),
    [
        ({"trials": 3, "epochs_budget": 9}, "trials=3 and epochs_budget=9: two budgets; give one"),
        ({"epochs_budget": 0}, "epochs_budget=0: use a whole number from 1"),
        ({"epochs_budget": 2.5}, "epochs_budget=2.5: use a whole number from 1"),
    ],
)
def test_a_budget_that_cannot_be_is_refused_before_a_study_exists(tmp_path, budgets, line):
    with pytest.raises(nasopt.Error) as raised:
        Search(small(), **budgets, storage=tmp_path / "x.db", device="cpu")
    assert str(raised.value).startswith(line)
    assert not (tmp_path / "x.db").exists()


def test_searches_may_share_a_workshop(tmp_path):
    first = Search(small(trials=2), storage=tmp_path / "x.db", device="cpu")
    list(first)
    second = Search(small(trials=2), sampler="random", evaluator=first.evaluator)
    list(second)
    assert second.storage is first.storage
    assert [len(search.study.trials) for search in (first, second)] == [2, 2]


def test_why_a_study_ended_early_is_noted_in_it(tmp_path):
    space = Space(Conv(filters=categorical(2, 4)))
    study = nasopt.run(small(space=space), storage=tmp_path / "x.db", device="cpu")
    assert study.user_attrs["ended"] == "all 2 networks of the space are known"


def test_callbacks_are_called_with_each_trial_that_has_ended(tmp_path):
    seen: list[tuple[str, int, TrialState]] = []

    def note(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        assert study.trials[trial.number].state is trial.state  # it is in the database by then
        seen.append((study.study_name, trial.number, trial.state))

    search = Search(small(trials=3), storage=tmp_path / "x.db", device="cpu", callbacks=[note])
    assert len([each for each in search if each.finished]) == len(seen) == 3
    assert seen == [("experiment/surrogate/0", n, TrialState.COMPLETE) for n in range(3)]


def test_a_callback_may_stop_the_study_which_the_next_call_goes_on_with(tmp_path):
    given = {"storage": tmp_path / "x.db", "device": "cpu"}
    at_two = [MaxTrialsCallback(2, states=(TrialState.COMPLETE,))]
    search = Search(small(trials=4), **given, callbacks=at_two)
    assert [each.done for each in search if each.finished] == [1, 2]
    assert search.ended == "a callback stopped the study"
    assert "ended" not in search.study.user_attrs
    assert len(nasopt.run(small(trials=4), **given, callbacks=at_two).trials) == 3  # as in Optuna
    study = nasopt.run(small(trials=4), **given)
    whole = nasopt.run(small(trials=4), storage=tmp_path / "y.db", device="cpu")
    assert told(study) == told(whole)


def test_an_error_of_a_callback_costs_no_trial(tmp_path):
    def fail(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        raise RuntimeError("the tracker is down")

    search = Search(small(trials=3), storage=tmp_path / "x.db", device="cpu", callbacks=[fail])
    with pytest.raises(RuntimeError, match="the tracker is down"):
        list(search)
    study = nasopt.run(small(trials=3), storage=tmp_path / "x.db", device="cpu")
    whole = nasopt.run(small(trials=3), storage=tmp_path / "y.db", device="cpu")
    assert told(study) == told(whole)
