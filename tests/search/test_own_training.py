"""Training by the user's function in the place of nasopt's trainer, and what it gets wrong."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState

import nasopt
from nasopt import Conv, Experiment, Recipe, Space, categorical, load_experiment, repeat
from nasopt.cli.main import main
from nasopt.data import digits, external
from nasopt.errors import DataError, RecipeError, StudyError
from nasopt.search.noise import NoiseStudy
from tests import forked
from tests.examples import small
from tests.trials import told

MINE = external("mine", (1, 8, 8), 10)
STUDY = """
import os, signal
from nasopt import Conv, Experiment, Recipe, Space, categorical
from nasopt.data import external


def my_epochs(architecture, recipe, seed):
    for epoch in range(1, 4):
        with open("calls", "a") as file:
            print(architecture.layers[0].filters, epoch, file=file)
        if epoch == 3 and os.path.exists("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        yield architecture.layers[0].filters / 10 + epoch / 100


experiment = Experiment(
    dataset=external("mine", (1, 8, 8), 10),
    space=Space(Conv(filters=categorical(2, 4, 8))),
    recipe=Recipe(epochs=3),
    trials=3,
    train=my_epochs,
)
if __name__ == "__main__":
    import nasopt

    print(experiment.record.dataset)
"""


def by_depth(architecture, recipe, seed):
    """Make deeper networks better, and every epoch and seed a little."""
    for epoch in range(1, recipe.epochs + 1):
        yield len(architecture.layers) / 5 + epoch / 100 + seed / 1000


def by_width(architecture, recipe, seed):
    yield from by_depth(architecture, recipe, seed)


def own(train=by_depth, **fields) -> Experiment:
    return small(**{"dataset": MINE, "train": train, **fields})


def run(experiment: Experiment, folder: Path, **given) -> optuna.Study:
    given = {"sampler": "random", "storage": folder / "x.db", "device": "cpu", **given}
    return nasopt.run(experiment, **given)


def test_a_search_trains_by_the_function(tmp_path):
    study = run(own(), tmp_path)
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    for trial in study.trials:
        depth = trial.params["conv.depth"]
        assert trial.intermediate_values == pytest.approx(
            {1: depth / 5 + 0.01, 2: depth / 5 + 0.02}
        )
    assert study.best_trial.user_attrs["parameters"] > 0


def test_it_is_given_the_network_the_chosen_recipe_and_the_seed(tmp_path):
    seen = []

    def noting(architecture, recipe, seed):
        seen.append((nasopt.build(architecture, (1, 8, 8), 10), recipe.lr, seed))
        yield 0.5
        yield 0.5

    recipe = Recipe(epochs=2, lr=nasopt.real(0.01, 0.1))
    study = run(own(noting, recipe=recipe, seed=7, trials=1), tmp_path)
    network, lr, seed = seen[0]
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert (lr, seed) == (study.trials[0].params["recipe.lr"], 7)


def test_the_images_of_a_data_set_are_not_loaded(tmp_path):
    cannot_be_loaded = digits(limit=100_000)
    with pytest.raises(DataError):
        run(small(dataset=cannot_be_loaded), tmp_path)
    assert run(own(dataset=cannot_be_loaded), tmp_path).best_value > 0.2


def test_a_pruner_prunes_and_what_was_paid_is_kept(tmp_path):
    calls = []

    def noting(architecture, recipe, seed):
        calls.append(architecture)
        yield from by_depth(architecture, recipe, seed)

    pruner = optuna.pruners.ThresholdPruner(lower=0.5)
    recipe = Recipe(epochs=3)
    study = run(own(noting, pruner=pruner, recipe=recipe), tmp_path)
    for trial in study.trials:
        deep = trial.params["conv.depth"] == 3
        assert trial.state is (TrialState.COMPLETE if deep else TrialState.PRUNED)
    assert not list(tmp_path.rglob("*.pt"))  # of a state that nobody could load
    before = len(calls)
    again = run(own(noting, pruner=pruner, recipe=recipe, name="other"), tmp_path)
    assert len(calls) == before
    assert [trial.values for trial in again.trials] == [trial.values for trial in study.trials]


def test_numbers_of_numpy_and_torch_and_dicts_are_taken(tmp_path):
    def mixed(architecture, recipe, seed):
        yield np.float32(0.25)
        yield torch.tensor(0.5)
        yield {"accuracy": np.array(0.75), "loss": torch.tensor(0.5), "train_loss": 1}
        yield 1

    study = run(own(mixed, recipe=Recipe(epochs=4), trials=1), tmp_path)
    assert list(study.trials[0].intermediate_values.values()) == [0.25, 0.5, 0.75, 1.0]


def test_a_loss_that_is_no_number_ends_the_trial_as_diverged(tmp_path):
    def diverging(architecture, recipe, seed):
        yield {"accuracy": 0.1, "loss": float("nan")}
        raise AssertionError("it is not asked for more")

    study = run(own(diverging, trials=1), tmp_path)
    assert study.trials[0].state is TrialState.PRUNED
    assert study.trials[0].user_attrs["ended_by"] == "diverged"


def test_memory_that_is_not_enough_ends_the_trial_alone(tmp_path):
    def greedy(architecture, recipe, seed):
        yield 0.1
        raise torch.OutOfMemoryError("CUDA out of memory")

    study = run(own(greedy, trials=2), tmp_path)
    assert [trial.user_attrs["ended_by"] for trial in study.trials] == ["memory"] * 2


def test_a_killed_trial_goes_on_by_replay_and_ends_as_an_uninterrupted_one(tmp_path):
    (tmp_path / "mine.py").write_text(STUDY)
    (tmp_path / "deadly").touch()
    words = ["run", "mine.py", "--sampler", "random", "--json", "--storage", "x.db"]
    killed = forked.run(words, tmp_path)
    assert killed.returncode == -signal.SIGKILL
    (tmp_path / "deadly").unlink()
    done = forked.run(words, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["best"][0]["accuracy"] == pytest.approx(0.83)
    calls = (tmp_path / "calls").read_text().split("\n")[:-1]
    assert calls[:6] == [calls[0], calls[1], calls[2], *calls[:3]]  # trained again from the start
    assert len(calls) == 3 + 3 * 3
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "mine.py").write_text(STUDY)
    assert forked.run(words, whole).returncode == 0
    names = {"study_name": "mine/random/0"}
    one, other = (
        optuna.load_study(storage=f"sqlite:///{folder}/x.db", **names)
        for folder in (tmp_path, whole)
    )
    assert told(one) == told(other)


def test_a_request_to_stop_is_met_after_the_epoch_and_the_trial_goes_on(tmp_path):
    asked = []

    def my_epochs(architecture, recipe, seed):
        for epoch in range(1, recipe.epochs + 1):
            if epoch == 2 and not asked:
                asked.append(os.kill(os.getpid(), signal.SIGINT))
            yield epoch / 10

    experiment = own(my_epochs, recipe=Recipe(epochs=4), trials=1)
    with pytest.raises(nasopt.Interrupted):
        run(experiment, tmp_path)
    study = run(experiment, tmp_path)
    assert study.trials[0].value == 0.4
    assert study.trials[0].user_attrs["replayed_epochs"] == 2


def test_results_are_of_the_function_by_its_name(tmp_path):
    run(own(), tmp_path)
    with pytest.raises(StudyError, match=r"train=tests\.search\.test_own_training\.by_width now"):
        run(own(by_width), tmp_path)
    other = run(own(by_width, name="other"), tmp_path)
    assert {trial.user_attrs["replayed_epochs"] for trial in other.trials} == {0}
    keys = {each.evaluation(other.trials[0].params).key for each in (own(), own(by_width), small())}
    assert len(keys) == 3


def test_a_study_file_and_a_script_are_one_experiment(tmp_path):
    (tmp_path / "mine.py").write_text(STUDY)
    script = subprocess.run(
        [sys.executable, "mine.py"], cwd=tmp_path, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    dataset = load_experiment(tmp_path / "mine.py").record.dataset
    assert script.stdout.strip() == dataset
    assert dataset.endswith(" train=mine.my_epochs")


def test_winners_are_trained_again_and_noise_is_measured_with_other_seeds(tmp_path):
    storage = tmp_path / "x.db"
    given = {"samplers": "random,tpe", "seeds": 1, "trials": 4, "replicates": 2, "device": "cpu"}
    result = nasopt.compare(own(), storage=storage, **given)
    assert {row.sampler for row in result.rows} == {"random", "tpe"}
    noise = NoiseStudy(own(), storage, "cpu", architectures=3, seeds=2)
    list(noise)
    assert noise.noise.within == pytest.approx(0.001 / 2**0.5)  # of seeds 0 and 1


def test_describe_leaves_out_the_seconds(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(STUDY)
    assert main(["describe", str(tmp_path / "mine.py"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seconds_per_trial"] is None
    assert main(["describe", str(tmp_path / "mine.py")]) == 0


def returns_a_list(architecture, recipe, seed):
    return [0.1, 0.2]


def returns_nothing(architecture, recipe, seed):
    pass


def yields(*values):
    def values_of(architecture, recipe, seed):
        yield from values

    return values_of


def raises(architecture, recipe, seed):
    yield 0.1
    _ = [][recipe.epochs]


@pytest.mark.parametrize(
    ("train", "line"),
    [
        (returns_a_list, "returned [0.1, 0.2]; yield an accuracy after each epoch"),
        (returns_nothing, "returned None; yield an accuracy after each epoch"),
        (yields(0.1), "yielded 1 of 2 epochs; yield an accuracy after each epoch"),
        (yields(), "yielded 0 of 2 epochs; yield an accuracy after each epoch"),
        (yields(0.1, 0.2, 0.3), "yielded more than 2 epochs; yield an accuracy after each epoch"),
        (yields("0.1"), "yielded '0.1' after epoch 1; yield an accuracy after each epoch"),
        (yields(True), "yielded True after epoch 1; yield an accuracy after each epoch"),
        (yields(torch.ones(2)), "yielded tensor([1., 1.]) after epoch 1; yield an accuracy"),
        (yields(0.1, 93.1), "yielded the accuracy 93.1 after epoch 2; give a fraction from 0 to 1"),
        (yields(float("nan")), "yielded the accuracy nan after epoch 1; give a fraction"),
        (yields({"acuracy": 0.1}), "yielded 'acuracy' after epoch 1; did you mean accuracy?"),
        (yields({"loss": 0.1}), "yielded no accuracy after epoch 1; yield an accuracy"),
        (
            raises,
            "IndexError: list index out of range in epoch 2, test_own_training.py:"
            f"{raises.__code__.co_firstlineno + 2}; fix it and run the same command again",
        ),
    ],
)
def test_what_cannot_be_an_epoch_is_one_line_and_the_trial_waits(tmp_path, train, line):
    with pytest.raises(RecipeError) as raised:
        run(own(train, trials=1), tmp_path)
    text = str(raised.value)
    assert text.startswith(
        f"Experiment.train=tests.search.test_own_training.{train.__qualname__}: "
    )
    assert line in text
    assert "\n" not in text
    storage = f"sqlite:///{tmp_path}/x.db"
    trial = optuna.load_study(study_name="experiment/random/0", storage=storage).trials[0]
    assert trial.state is TrialState.WAITING


def test_the_trial_that_met_an_error_goes_on_once_the_function_is_fixed(tmp_path):
    broken = True

    def my_epochs(architecture, recipe, seed):
        yield 0.25
        if broken:
            raise ValueError("not yet")
        yield 0.5

    with pytest.raises(RecipeError, match="ValueError: not yet in epoch 2"):
        run(own(my_epochs, trials=1), tmp_path)
    broken = False
    study = run(own(my_epochs, trials=1), tmp_path)
    assert study.trials[0].intermediate_values == {1: 0.25, 2: 0.5}
    assert study.trials[0].user_attrs["replayed_epochs"] == 1


def two_arguments(architecture, recipe):
    yield 0.1


@pytest.mark.parametrize(
    ("train", "line"),
    [
        (
            lambda a, r, s: iter([0.1]),
            r"its name says which training .* give a function, def my_ep",
        ),
        ("my_epochs", r"give a function, def my_epochs\(architecture, recipe, seed\)"),
        (two_arguments, r"two_arguments: too many positional arguments; it is called \(architect"),
    ],
)
def test_what_is_no_function_of_three_is_refused_at_once(train, line):
    with pytest.raises(RecipeError, match=line):
        own(train)


def test_a_benchmark_trains_nothing(tmp_path):
    (tmp_path / "mine.csv").write_text("a,epoch,accuracy\n0,1,10\n1,1,15\n")
    with pytest.raises(RecipeError, match=r"Experiment\.train: a benchmark trains nothing; leave"):
        Experiment.on_benchmark(str(tmp_path / "mine.csv"), train=by_depth)


def test_images_that_only_the_function_has_need_the_function(tmp_path):
    with pytest.raises(DataError, match=r"mine: images .* give Experiment\(train=...\)"):
        run(small(dataset=MINE), tmp_path)
    assert not (tmp_path / "x.db").exists()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("", (1, 8, 8), 10), "external.name='': give it a name"),
        (("mine", (8, 8), 10), r"external.input_shape=\(8, 8\): give \(channels, height, width\)"),
        (("mine", 8, 10), "external.input_shape=8: give"),
        (("mine", (1, 8, 8), 1), "external.classes=1: use 2, 3, 4"),
    ],
)
def test_what_no_data_set_can_be_is_refused(given, line):
    with pytest.raises(DataError, match=line):
        external(*given)


def test_the_keys_of_studies_without_a_function_are_as_they_were():
    experiment = Experiment(
        dataset=digits(),
        space=Space(repeat(Conv(filters=categorical(8, 16)), 1, 2)),
        recipe=Recipe(epochs=3),
    )
    params = {name: field.boundary_values[0] for name, field in experiment.hyperparameters.items()}
    assert experiment.evaluation(params).key == "0fe31a9222dd62f9c432c7da6b53c5aa"


def test_another_metric_and_finals_are_refused_where_nasopt_does_not_train(tmp_path):
    with pytest.raises(RecipeError, match=r"metric='macro_f1': train=\.\.\. yields one score"):
        small(train=by_depth, metric="macro_f1")
    experiment = small(train=by_depth, trials=1)
    nasopt.run(experiment, storage=tmp_path / "x.db", device="cpu")
    with pytest.raises(StudyError, match="whose weights nasopt does not have"):
        nasopt.finals(experiment, storage=tmp_path / "x.db", device="cpu")
