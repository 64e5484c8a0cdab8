"""Trials in TensorBoard and MLflow, read back by these; and trackers that fail."""

import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

import nasopt
from nasopt import Objective, Recipe
from nasopt.cli.main import main
from nasopt.errors import StudyError
from nasopt.trackers import MLflow, TensorBoard, Tracker
from tests.examples import small

pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),  # in mlflow
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(mlflow|tensorboard)"),
]


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """A folder with x.db, and what both trackers were told while its study ran."""
    folder = tmp_path_factory.mktemp("ran")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nasopt.run(
            small(trials=5),
            sampler="random",
            storage=folder / "x.db",
            device="cpu",
            callbacks=[TensorBoard(folder / "tb"), MLflow(f"sqlite:///{folder}/ml.db")],
        )
    return folder


@pytest.fixture
def study(ran) -> optuna.Study:
    return optuna.load_study(study_name="experiment/random/0", storage=f"sqlite:///{ran}/x.db")


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.trials if trial.state.is_finished()]


class Events:
    """The event files of a folder, as TensorBoard reads them."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        self.read = EventAccumulator(str(folder))
        self.read.Reload()
        self.scalars = self.read.Tags()["scalars"]

    def curve(self, name: str) -> dict[int, float]:
        return {event.step: event.value for event in self.read.Scalars(name)}

    @property
    def hyperparameters(self) -> dict[str, object]:
        from tensorboard.plugins.hparams import plugin_data_pb2

        content = self.read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        data = plugin_data_pb2.HParamsPluginData.FromString(content)
        given = data.session_start_info.hparams
        return {name: getattr(v, v.WhichOneof("kind")) for name, v in given.items()}

    @property
    def first_metric(self) -> str:
        """The one that the page HParams shows of each trial, unless one asks for more."""
        from tensorboard.plugins.hparams import plugin_data_pb2

        content = self.read.SummaryMetadata("_hparams_/experiment").plugin_data.content
        data = plugin_data_pb2.HParamsPluginData.FromString(content)
        return str(data.experiment.metric_infos[0].name.tag)

    @property
    def text(self) -> str:
        tensors = self.read.Tensors("outcome/text_summary")
        return tensors[0].tensor_proto.string_val[0].decode()


def client(folder: Path):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{folder}/ml.db")


def runs(folder: Path) -> tuple[list, list]:
    """The runs of studies, and those of trials in their order."""
    mlflow = client(folder)
    found = [
        run
        for experiment in mlflow.search_experiments()
        for run in mlflow.search_runs([experiment.experiment_id])
    ]
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in found if run not in parents]
    return parents, sorted(children, key=lambda run: int(run.data.tags["nasopt.trial"]))


def test_tensorboard_has_each_trial_with_its_curves_costs_and_hyperparameters(ran, study):
    trials = finished(study)
    assert len(trials) >= 5
    for trial in trials:
        events = Events(ran / f"tb/experiment/random/0/trial-{trial.number:04d}")
        assert events.curve("accuracy") == pytest.approx(trial.intermediate_values)
        assert events.curve("loss").keys() == events.curve("train_loss").keys()
        assert events.curve("parameters") == {0: trial.user_attrs["parameters"]}
        assert events.curve("macs") == {0: trial.user_attrs["macs"]}
        assert events.hyperparameters == trial.params
        assert events.first_metric == "accuracy"
        assert "Validation accuracy" in events.text
    assert not [path for path in (ran / "tb").rglob(".*") if path.is_dir()]


def test_tensorboard_itself_lists_the_trials(ran, study):
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    shown = EventMultiplexer().AddRunsFromDirectory(str(ran / "tb")).Reload().Runs()
    assert set(shown) == {
        f"experiment/random/0/trial-{trial.number:04d}" for trial in finished(study)
    }


def test_mlflow_has_a_run_for_the_study_and_one_in_it_for_each_trial(ran, study):
    (parent,), children = runs(ran)
    assert parent.info.run_name == "experiment/random/0"
    assert parent.info.status == "FINISHED"
    assert parent.data.params["sampler"] == "random"
    assert parent.data.params["seed"] == "0"
    assert parent.data.metrics["best"] == study.best_value
    trials = finished(study)
    assert len(children) == len(trials)
    for trial, run in zip(trials, children, strict=True):
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.info.status == "FINISHED"
        assert run.data.params == {name: str(value) for name, value in trial.params.items()}
        assert run.data.metrics["parameters"] == trial.user_attrs["parameters"]
        assert run.data.metrics["seconds"] == trial.user_attrs["seconds"]
        assert run.data.tags["state"] == trial.state.name.lower()
        assert "Validation accuracy" in run.data.tags["mlflow.note.content"]
        history = client(ran).get_metric_history(run.info.run_id, "accuracy")
        assert {each.step: each.value for each in history} == trial.intermediate_values
        losses = client(ran).get_metric_history(run.info.run_id, "train_loss")
        assert len(losses) == trial.user_attrs["epochs"]
        assert all(
            run.info.start_time - 1 <= each.timestamp <= run.info.end_time + 1 for each in losses
        )


@pytest.mark.parametrize("to", ["tensorboard", "mlflow"])
def test_the_database_has_all_that_a_tracker_needs_afterwards(ran, study, tmp_path, capsys, to):
    place = {
        "tensorboard": ["-o", str(tmp_path / "tb")],
        "mlflow": ["--uri", f"sqlite:///{tmp_path}/ml.db"],
    }[to]
    words = ["log", str(ran / "x.db"), "--to", to, *place, "--json"]
    before = (ran / "x.db").read_bytes()
    assert main(words) == 0
    count = len(finished(study))
    assert json.loads(capsys.readouterr().out) == {"written": {"experiment/random/0": count}}
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == {"written": {"experiment/random/0": 0}}
    assert (ran / "x.db").read_bytes() == before
    if to == "mlflow":
        assert [contents(run) for run in runs(tmp_path)[1]] == [
            contents(run) for run in runs(ran)[1]
        ]
    else:
        for trial in finished(study):
            name = f"tb/experiment/random/0/trial-{trial.number:04d}"
            assert Events(tmp_path / name).curve("loss") == Events(ran / name).curve("loss")


def contents(run) -> tuple:
    tags = {k: v for k, v in run.data.tags.items() if k != "mlflow.parentRunId"}
    return run.data.params, run.data.metrics, tags, run.info.start_time, run.info.end_time


def test_log_prints_the_command_that_shows_it(ran, tmp_path, capsys):
    words = ["log", str(ran / "x.db"), "--to", "tensorboard", "-o", str(tmp_path / "tb")]
    assert main(words) == 0
    assert f"tensorboard --logdir {tmp_path}/tb" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--to", "tensorboard", "--uri", "x"], "nasopt: --uri=x: of mlflow; name a folder for"),
        (["--to", "mlflow", "-o", "x"], "nasopt: -o x: of tensorboard; say where mlflow is with"),
        (["--to", "tensorboard", "--study", "no"], "study='no': not in this database; choose from"),
        (["--to", "mlflow", "--uri", "sqlite:////dev/null/ml.db"], "nasopt: mlflow: "),
        (["--to", "mlflow", "--uri", "http://127.0.0.1:9"], "nasopt: mlflow: "),
        (["--to", "tensorboard", "-o", "/dev/null/x"], "nasopt: tensorboard: NotADirectoryError: "),
    ],
)
def test_what_log_cannot_do_is_one_line(ran, capsys, words, line):
    assert main(["log", str(ran / "x.db"), *words]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1


def test_a_study_that_was_begun_anew_is_not_taken_for_the_old_one(ran, tmp_path):
    tracker = TensorBoard(tmp_path / "tb")
    for place in ("a", "b"):
        nasopt.run(small(trials=1), storage=tmp_path / place, device="cpu", callbacks=[tracker])
    first, second = sorted((tmp_path / "tb/experiment/surrogate").iterdir())
    assert (first / "trial-0000").is_dir()
    assert (second / "trial-0000").is_dir()


def test_a_resumed_study_goes_on_in_its_run(tmp_path):
    uri = f"sqlite:///{tmp_path}/ml.db"
    for trials in (2, 3):
        nasopt.run(
            small(trials=trials), sampler="random", storage=tmp_path / "x.db", device="cpu",
            callbacks=[MLflow(uri, experiment="mine")],
        )  # fmt: skip
    (parent,), children = runs(tmp_path)
    assert len(children) == 3
    mlflow = client(tmp_path)
    assert mlflow.get_experiment(parent.info.experiment_id).name == "mine"
    best = [each.value for each in mlflow.get_metric_history(parent.info.run_id, "best")]
    assert best == sorted(best)
    assert len(best) == len(set(best))


def test_a_run_that_a_kill_left_unfinished_is_written_again(ran, tmp_path):
    words = ["log", str(ran / "x.db"), "--to", "mlflow", "--uri", f"sqlite:///{tmp_path}/ml.db"]
    assert main(words) == 0
    before = [run.info.run_id for run in runs(tmp_path)[1]]
    client(tmp_path).update_run(before[1], "RUNNING")
    assert main(words) == 0
    after = [run.info.run_id for run in runs(tmp_path)[1]]
    assert len(after) == len(before)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_plain_optuna_takes_them_as_well(tmp_path):
    study = optuna.create_study(study_name="plain", direction="minimize")
    callbacks = [TensorBoard(tmp_path / "tb"), MLflow(f"sqlite:///{tmp_path}/ml.db")]

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        trial.suggest_categorical("kind", ["a", None])
        trial.report(x + 1, step=1)
        if trial.number == 2:
            raise optuna.TrialPruned
        return x

    study.optimize(objective, n_trials=3, callbacks=callbacks)
    for each in callbacks:
        each.flush()
    assert Events(tmp_path / "tb/plain/trial-0001").curve("value") == pytest.approx(
        study.trials[1].intermediate_values
    )
    (parent,), children = runs(tmp_path)
    assert [run.data.tags["state"] for run in children] == ["complete", "complete", "pruned"]
    assert parent.data.metrics["best"] == study.best_value


def test_an_objective_in_plain_optuna_shows_its_costs(tmp_path):
    tracker = TensorBoard(tmp_path / "tb")
    study = optuna.create_study(study_name="mine", direction="maximize")
    study.optimize(Objective(small(recipe=Recipe(epochs=1))), n_trials=1, callbacks=[tracker])
    tracker.flush()
    events = Events(tmp_path / "tb/mine/trial-0000")
    assert events.curve("macs") == {0: study.trials[0].user_attrs["macs"]}
    assert events.curve("value") == pytest.approx({1: study.best_value})


def test_a_metric_has_its_own_name_beside_the_accuracy(tmp_path):
    study = nasopt.run(
        small(trials=1, metric="macro_f1"), storage=tmp_path / "x.db", device="cpu",
        callbacks=[TensorBoard(tmp_path / "tb"), MLflow(f"sqlite:///{tmp_path}/ml.db")],
    )  # fmt: skip
    (trial,) = study.trials
    events = Events(next((tmp_path / "tb").rglob("trial-0000")))
    assert events.curve("macro_f1") == pytest.approx(trial.intermediate_values)
    assert events.curve("accuracy").keys() == trial.intermediate_values.keys()
    assert events.curve("accuracy") != pytest.approx(trial.intermediate_values)
    (parent,), (run,) = runs(tmp_path)
    assert run.data.metrics["macro_f1"] == parent.data.metrics["best"] == study.best_value


def test_two_objectives_have_their_curves_too(tmp_path):
    experiment = small(trials=2, objectives=("accuracy", "macs"))
    nasopt.run(
        experiment, storage=tmp_path / "x.db", device="cpu", sampler="random",
        callbacks=[TensorBoard(tmp_path / "tb"), MLflow(f"sqlite:///{tmp_path}/ml.db")],
    )  # fmt: skip
    assert len(Events(tmp_path / "tb/experiment/random/0/trial-0000").curve("accuracy")) == 2
    (parent,), children = runs(tmp_path)
    assert len(children) == 2
    assert "best" not in parent.data.metrics


def test_a_table_has_its_own_unit_and_no_losses(tmp_path):
    (tmp_path / "mine.csv").write_text("a,epoch,accuracy\n0,1,10\n0,2,20\n1,1,15\n1,2,30\n")
    study = nasopt.run(
        nasopt.Experiment.on_benchmark(str(tmp_path / "mine.csv"), trials=2, name="of/mine"),
        storage=tmp_path / "x.db", sampler="random", callbacks=[TensorBoard(tmp_path / "tb")],
    )  # fmt: skip
    shown = [Events(path).curve("accuracy") for path in (tmp_path / "tb").rglob("trial-*")]
    assert {1: 15.0, 2: 30.0} in shown
    assert "loss" not in Events(tmp_path / "tb/of/mine/random/0/trial-0000").scalars
    uri = f"sqlite:///{tmp_path}/ml.db"
    assert main(["log", str(tmp_path / "x.db"), "--to", "mlflow", "--uri", uri]) == 0
    (parent,), _ = runs(tmp_path)
    assert parent.data.metrics["best"] == study.best_value
    assert client(tmp_path).get_experiment(parent.info.experiment_id).name == "of/mine"


def test_a_comparison_takes_callbacks(tmp_path):
    nasopt.compare(
        small(), samplers="random,tpe", seeds=1, trials=1, replicates=0, device="cpu",
        storage=tmp_path / "x.db", callbacks=[TensorBoard(tmp_path / "tb")],
    )  # fmt: skip
    assert (tmp_path / "tb/experiment/random/0/trial-0000").is_dir()
    assert (tmp_path / "tb/experiment/tpe/0/trial-0000").is_dir()


# what goes wrong


class Hanging(Tracker):
    """A tracker whose server never answers."""

    extra = module = "json"
    command, remedy = (), ""

    def write(self, study, trial) -> bool:
        import threading

        return threading.Event().wait()


def test_a_tracker_that_fails_is_one_warning_and_the_search_goes_on(tmp_path, caplog):
    (tmp_path / "tb").write_text("in the way")
    study = nasopt.run(
        small(trials=3), storage=tmp_path / "x.db", device="cpu",
        callbacks=[TensorBoard(tmp_path / "tb")],
    )  # fmt: skip
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    (warning,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert warning.getMessage().startswith("tensorboard: NotADirectoryError: ")
    assert "training goes on without it, and `nasopt log DB --to tensorboard`" in warning.message


def test_a_tracker_that_hangs_is_not_waited_for(tmp_path, caplog):
    tracker = Hanging()
    study = optuna.create_study()
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3, callbacks=[tracker])
    assert len(study.trials) == 3
    tracker.flush(seconds=0.01)
    tracker.flush(seconds=0.01)
    (warning,) = caplog.records
    assert warning.message.startswith("json: 3 trials not written; training goes on without it")


def test_what_is_left_is_written_when_the_process_ends(tmp_path):
    code = f"""
import optuna
from nasopt.trackers import TensorBoard
study = optuna.create_study(study_name="plain")
callbacks = [TensorBoard(r"{tmp_path}/tb")]
study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=5, callbacks=callbacks)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert len(list((tmp_path / "tb/plain").glob("trial-*"))) == 5


@pytest.mark.parametrize(("name", "extra"), [("TensorBoard", "tensorboard"), ("MLflow", "mlflow")])
def test_a_tracker_that_is_not_installed_is_refused_with_the_remedy(name, extra):
    code = f"""
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name == {extra!r}:
            raise ModuleNotFoundError(name)
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name == {extra!r} else find(name, *rest)
from nasopt.errors import TrackerError
from nasopt.trackers import {name}
try:
    {name}()
except TrackerError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == f'{extra} is not installed; run: pip install "nasopt[{extra}]"\n'


@pytest.mark.parametrize(
    ("callbacks", "line"),
    [
        ([TensorBoard], r"callbacks: TensorBoard is a class; give TensorBoard\(\.\.\.\)"),
        (["tensorboard"], "callbacks: 'tensorboard' cannot be called with a study and a trial"),
        (print, "give a list"),
    ],
)
def test_what_is_no_callback_is_refused_before_a_database_is_made(tmp_path, callbacks, line):
    with pytest.raises(StudyError, match=line):
        nasopt.run(small(), storage=tmp_path / "x.db", callbacks=callbacks)
    assert not (tmp_path / "x.db").exists()


def test_importing_them_loads_neither_tool():
    code = "import sys, nasopt.trackers; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"mlflow", "tensorboard", "torch"} & set(done.stdout.split())
