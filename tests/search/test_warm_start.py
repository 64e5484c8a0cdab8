"""A search that begins with what earlier searches of its space have seen."""

import logging
import pickle
from dataclasses import replace

import optuna
import pytest

import nasopt
from nasopt import Conv, Experiment, Recipe, Space, categorical, load_benchmark, parameters
from nasopt.cli.main import main
from nasopt.errors import Error, RecipeError, StorageError, StudyError
from nasopt.samplers import SurrogateSampler
from nasopt.search.search import Search
from nasopt.search.warm_start import MOST, _some, earlier_searches
from nasopt.space.fields import real
from tests.benchmarks.tables import rows, written
from tests.commands import fails
from tests.examples import small, study_file

SHORT = small(recipe=Recipe(epochs=1, batch_size=32), name="short", trials=8)
GIVEN = {"sampler": "surrogate", "device": "cpu"}


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """Return the database of a search of the same space with half the epochs."""
    path = tmp_path_factory.mktemp("before") / "short.db"
    nasopt.run(SHORT, storage=path, sampler="random", device="cpu")
    return path


def after(before, **fields) -> Experiment:
    return small(warm_start=before, name="after", trials=6, **fields)


def params(study: optuna.Study) -> list[dict]:
    return [trial.params for trial in study.trials]


def test_it_goes_by_them_from_the_first_trial_and_without_them_as_ever(before, tmp_path):
    plain = replace(after(before), warm_start=())
    cold = nasopt.run(plain, storage=tmp_path / "cold.db", **GIVEN)
    warm = nasopt.run(after(before), storage=tmp_path / "warm.db", **GIVEN)
    assert warm.trials[0].params != cold.trials[0].params
    assert "warm_start" not in cold.user_attrs
    (search,) = warm.user_attrs["warm_start"]
    assert (search["from"], search["studies"]) == (str(before), ["short/random/0"])
    assert len(search["points"]) == len(search["values"]) > 2


def test_an_interrupted_study_goes_on_as_if_it_was_not_though_the_sources_are_gone(tmp_path):
    copy = tmp_path / "short.db"
    nasopt.run(SHORT, storage=copy, sampler="random", device="cpu")
    whole = nasopt.run(after(copy), storage=tmp_path / "whole.db", **GIVEN)
    nasopt.run(after(copy), storage=tmp_path / "parts.db", trials=2, **GIVEN)
    copy.unlink()
    nasopt.run(after(copy), storage=tmp_path / "parts.db", trials=4, **GIVEN)
    parts = nasopt.run(
        replace(after(copy), warm_start=()), storage=tmp_path / "parts.db", trials=6, **GIVEN
    )
    assert params(parts) == params(whole)
    assert [trial.values for trial in parts.trials] == [trial.values for trial in whole.trials]


def test_what_is_known_of_a_table_saves_trainings_on_another_and_the_contrary_is_overcome(
    tmp_path,
):
    def table(name: str, worth) -> str:
        path = tmp_path / name
        lines = [{**row, "accuracy": worth(row)} for row in rows(seeds=1, epochs=1)]
        return str(written(path, lines))

    def worth(row):
        return 10 * "abc".index(row["op"]) - abs(row["width"] - 2)

    def trials_until_the_best(location: str, **fields) -> int:
        experiment = Experiment.on_benchmark(load_benchmark(location), trials=9, **fields)
        search = Search(experiment, storage=tmp_path / f"{len(list(tmp_path.iterdir()))}.db")
        list(search)
        best = {"op": "c", "width": 2}
        return next(trial.number for trial in search.study.trials if trial.params == best) + 1

    like, unlike = (
        table("like.csv", lambda row: worth(row) + 3),
        table("unlike.csv", lambda row: -worth(row)),
    )
    target = table("target.csv", worth)
    for location in (like, unlike):
        experiment = Experiment.on_benchmark(load_benchmark(location), trials=9)
        list(Search(experiment, storage=f"{location}.db"))
    assert trials_until_the_best(target, warm_start=f"{like}.db") == 1
    assert trials_until_the_best(target, warm_start=f"{unlike}.db") <= 9
    both = (f"{like}.db", f"{unlike}.db")
    assert trials_until_the_best(target, warm_start=both) <= 4


def test_it_stays_within_limits_that_the_earlier_search_had_not(before, tmp_path):
    limited = after(before, limits=(parameters <= 150,))
    study = nasopt.run(limited, storage=tmp_path / "x.db", **GIVEN)
    assert all(trial.user_attrs["parameters"] <= 150 for trial in study.trials)


def test_two_objectives_begin_with_them_as_well(before, tmp_path):
    both = after(before, objectives=("accuracy", "macs"))
    study = nasopt.run(both, storage=tmp_path / "x.db", **GIVEN)
    assert len({str(each) for each in params(study)}) == 6


def test_of_many_trainings_the_best_and_some_others_are_taken(before):
    found = earlier_searches(SHORT.hyperparameters, [before, before])
    assert [each["from"] for each in found] == [str(before)] * 2
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, direction="maximize")
    for number in range(2 * MOST):
        study.add_trial(optuna.trial.create_trial(value=float(number)))
    values = [trial.values[0] for trial in _some(study.get_trials(deepcopy=False))]
    assert len(set(values)) == len(values) == MOST
    assert set(range(2 * MOST - MOST // 3, 2 * MOST)) <= set(values)
    assert min(values) < MOST / 10


def test_hyperparameters_of_a_recipe_that_was_open_before_are_left_aside(tmp_path):
    open_lr = small(recipe=Recipe(epochs=1, lr=real(0.01, 0.1)), name="open", trials=3)
    nasopt.run(open_lr, storage=tmp_path / "x.db", sampler="random", device="cpu")
    (found,) = earlier_searches(small().hyperparameters, [tmp_path / "x.db"])
    assert "recipe.lr" not in found["parameters"]
    nasopt.run(small(), storage=tmp_path / "y.db", sampler="random", device="cpu", trials=2)
    with pytest.raises(StudyError, match=r"recipe\.lr not at all, not real"):
        earlier_searches(open_lr.hyperparameters, [tmp_path / "y.db"])


def test_another_sampler_says_that_it_leaves_them_aside(before, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "nasopt"):
        study = nasopt.run(
            after(before), storage=tmp_path / "x.db", sampler="random", device="cpu", trials=1
        )
    assert "random does not learn from earlier searches" in caplog.text
    assert "warm_start" not in study.user_attrs


WIDER = Space(Conv(filters=categorical(2, 4, 8, 16)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"space": WIDER}, "none of its 1 study searched this space, as short/random/0 has"),
        ({"warm_start": "nowhere.db"}, "nowhere.db: no such file"),
        ({"warm_start": "sqlite://"}, "sqlite://"),
        ({"warm_start": 7}, "Experiment.warm_start=7: give a tuple"),
        ({"warm_start": [7]}, "Experiment.warm_start=7: give the path or URL of a database"),
        ({"warm_start": ""}, "Experiment.warm_start='': give the path or URL of a database"),
    ],
)
def test_what_cannot_be_is_refused_and_no_study_begun(before, tmp_path, fields, message):
    with pytest.raises(Error) as raised:
        nasopt.run(small(**{"warm_start": before, **fields}), storage=tmp_path / "x.db", **GIVEN)
    assert isinstance(raised.value, RecipeError | StorageError | StudyError)
    assert str(raised.value).count("warm_start=") == 1
    assert message in str(raised.value)
    assert not (tmp_path / "x.db").exists() or not optuna.get_all_study_names(
        f"sqlite:///{tmp_path / 'x.db'}"
    )


def test_a_study_does_not_go_on_with_others_than_it_began_with(before, tmp_path):
    nasopt.run(replace(after(before), warm_start=()), storage=tmp_path / "x.db", trials=1, **GIVEN)
    with pytest.raises(StudyError, match=r"warm_start is .*short\.db now, was nothing when it beg"):
        nasopt.run(after(before), storage=tmp_path / "x.db", **GIVEN)


def test_the_command_line_names_databases(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study = study_file(tmp_path)
    main(["run", str(study), "--trials", "2", "--sampler", "random"])
    again = study.rename("again.py")
    again.write_text(again.read_text().replace("epochs=2", "epochs=3"))
    main(["run", str(again), "--trials", "2", "--warm-start", "runs/mine.db"])
    (_,) = optuna.get_all_study_names("sqlite:///runs/again.db")
    begun = nasopt.open("runs/again.db").study("again/surrogate/0")
    assert len(begun.trials) == 2
    capsys.readouterr()
    words = ["run", str(again), "--seed", "1", "--warm-start", "runs/mine.db,gone.db"]
    assert "storage=gone.db: no such file" in fails(capsys, *words)


def test_a_database_without_a_study_of_nasopt_s_is_refused_the_study_s_own_among_them(tmp_path):
    foreign = f"sqlite:///{tmp_path / 'foreign.db'}"
    optuna.create_study(storage=foreign, study_name="theirs")
    for location in (foreign, tmp_path / "x.db"):
        with pytest.raises(StudyError, match=r"warm_start=.*: no study of nasopt's in it; name an"):
            nasopt.run(after(location), storage=tmp_path / "x.db", **GIVEN)
    assert not optuna.get_all_study_names(f"sqlite:///{tmp_path / 'x.db'}")


def test_a_database_named_twice_is_one_and_the_study_goes_on(before, tmp_path):
    for trials in (1, 2):
        study = nasopt.run(
            after((before, str(before))), storage=tmp_path / "x.db", trials=trials, **GIVEN
        )
    assert len(study.trials) == 2
    assert len(study.user_attrs["warm_start"]) == 1


def test_databases_may_be_named_in_another_order_and_spelling_when_it_goes_on(
    before, tmp_path, monkeypatch
):
    other = tmp_path / "other.db"
    nasopt.run(replace(SHORT, seed=1), storage=other, sampler="random", device="cpu")
    monkeypatch.chdir(tmp_path)
    nasopt.run(after((before, "other.db")), storage="x.db", trials=1, **GIVEN)
    study = nasopt.run(after(("./other.db", before)), storage="x.db", trials=2, **GIVEN)
    assert len(study.trials) == 2
    assert [each["from"] for each in study.user_attrs["warm_start"]] == [str(before), "other.db"]
    with pytest.raises(StudyError, match=r"is other\.db now, was .*short\.db, other\.db"):
        nasopt.run(after("other.db"), storage="x.db", trials=3, **GIVEN)


def test_what_several_studies_or_repeats_tell_again_counts_once(tmp_path):
    short = replace(SHORT, space=Space(Conv(filters=categorical(2, 4, 8))), trials=5)
    for seed in (0, 1):
        nasopt.run(short, storage=tmp_path / "x.db", sampler="random", seed=seed, device="cpu")
    (found,) = earlier_searches(short.hyperparameters, [tmp_path / "x.db"])
    assert len(found["studies"]) == 2
    assert len(found["points"]) == len({*map(str, found["points"])}) <= 3


def test_scores_of_two_metrics_or_other_fixed_fields_are_no_one_search(tmp_path):
    one = replace(SHORT, space=Space(Conv(filters=categorical(2, 4, 8))), trials=2)
    other = Space(Conv(filters=categorical(2, 4, 8), kernel_size=5))
    for each in (
        one, replace(one, metric="macro_f1", name="f1"), replace(one, space=other, name="five"),
    ):  # fmt: skip
        nasopt.run(each, storage=tmp_path / "x.db", sampler="largest", device="cpu")
    found = earlier_searches(one.hyperparameters, [tmp_path / "x.db"])
    assert sorted(each["studies"] for each in found) == [
        ["f1/largest/0"], ["five/largest/0"], ["short/largest/0"],
    ]  # fmt: skip


DAMAGED = [
    {"points": [["no number"]]},
    {"points": [[9]]},
    {"points": [[[2]]]},
    {"points": [], "values": []},
    {"parameters": ["another"]},
    {"values": [float("nan")]},
    {"values": [1.0, 2.0]},
    {"studies": []},
]


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_record_of_earlier_searches_is_refused(tmp_path, damage):
    one = replace(SHORT, space=Space(Conv(filters=categorical(2, 4, 8))), trials=1)
    study = nasopt.run(one, storage=tmp_path / "x.db", **GIVEN)
    ((name, _),) = one.hyperparameters.items()
    right = {"from": "y.db", "studies": ["y"], "parameters": [name], "points": [[2]], "values": [1]}
    study.set_user_attr("warm_start", [right])
    nasopt.run(one, storage=tmp_path / "x.db", **GIVEN)
    study.set_user_attr("warm_start", [right | damage])
    with pytest.raises(StudyError, match=r"its warm_start.*changed by hand"):
        nasopt.run(one, storage=tmp_path / "x.db", trials=2, **GIVEN)


@pytest.mark.parametrize("mine", [True, "yes", {"a": 1}, [1], [{}]])
def test_an_attribute_of_that_name_of_somebody_else_s_in_plain_optuna_is_left_alone(mine):
    plain, marked = (optuna.create_study(sampler=SurrogateSampler(seed=0)) for _ in range(2))
    marked.set_user_attr("warm_start", mine)
    for study in (plain, marked):
        study.optimize(lambda trial: trial.suggest_int("n", 1, 9) ** 2, n_trials=4)
    assert params(plain) == params(marked)


def test_a_sampler_that_has_read_earlier_searches_can_be_pickled(before, tmp_path):
    nasopt.run(after(before), storage=tmp_path / "x.db", trials=1, **GIVEN)
    study = optuna.load_study(
        study_name="after/surrogate/0",
        storage=f"sqlite:///{tmp_path / 'x.db'}",
        sampler=SurrogateSampler(seed=0),
    )
    study.ask()
    assert isinstance(pickle.loads(pickle.dumps(study.sampler)), SurrogateSampler)
