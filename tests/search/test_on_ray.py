"""`nasopt.search.on_ray`: workers on a real Ray cluster of two nodes, of which one is killed."""

import importlib.util
import pickle
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
import torch
from torchvision.transforms.functional import to_pil_image

from nasopt.cli.main import main
from nasopt.data import digits
from nasopt.search.deadline import Deadline
from nasopt.search.on_ray import Share
from nasopt.storage.opening import open_storage
from tests.examples import study_file
from tests.hosts import rows
from tests.nodes import Nodes

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not here")
RUN = ("--sampler", "random", "--device", "cpu")
# A study with a layer of its own and pictures beside it; who loads it notes where that is.
LAYERS = """
import nasopt
from torch import nn

class Narrow(nasopt.Layer):
    filters: int

    def build(self, in_shape):
        return nn.Sequential(nn.Conv2d(in_shape[0], self.filters, 1), nn.ReLU())
"""
STUDY = """
import os
from pathlib import Path

from beside import Narrow
from nasopt import Experiment, Recipe, Space, categorical
from nasopt.data import image_folder

with open({log!r}, "a") as log:
    print(os.environ.get("XDG_STATE_HOME"), Path(__file__).resolve().parent, file=log)

experiment = Experiment(
    dataset=image_folder("pictures", 8),
    space=Space(*[Narrow(filters=categorical(*range(2, 40)))] * 2),
    recipe=Recipe(epochs={epochs}),
    trials={trials},
)
"""


def write_study(folder: Path, epochs: int = 2, trials: int = 6) -> Path:
    folder.mkdir(parents=True)
    (folder / "beside.py").write_text(LAYERS)
    (folder / ".gitignore").write_text("pictures/\n")
    split = digits(limit=60).load().train
    for number, (image, label) in enumerate(zip(split.images[:40], split.labels[:40], strict=True)):
        place = folder / "pictures" / str(int(label) % 2)
        place.mkdir(parents=True, exist_ok=True)
        to_pil_image(torch.as_tensor(image)).save(place / f"{number}.png")
    study = folder / "mine.py"
    study.write_text(STUDY.format(log=str(folder / "log"), epochs=epochs, trials=trials))
    return study


def loaded(study: Path) -> dict[str, set[str]]:
    """The node of who loaded the study (or where the command ran) -> from which folders."""
    found: dict[str, set[str]] = {}
    for line in (study.parent / "log").read_text().splitlines():
        state, folder = line.split(" ", 1)
        found.setdefault(Path(state).name, set()).add(folder)
    return found


def trials_of(url: str) -> list[optuna.trial.FrozenTrial]:
    storage = open_storage(url, "read")
    (study,) = storage.get_all_studies()
    return sorted(storage.get_all_trials(study._study_id), key=lambda trial: trial.number)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Two nodes, a core each: each holds one worker."""
    nodes = Nodes(tmp_path_factory.mktemp("two"), 2)
    yield nodes
    nodes.close()


@needs_ray
@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_when_a_node_is_killed_its_trial_goes_on_elsewhere_under_its_own_number(
    tmp_path, postgresql
):
    url = postgresql()
    study = write_study(tmp_path / "studies", epochs=400, trials=8)
    nodes = Nodes(tmp_path / "nodes", 2)
    try:
        words = ("run", str(study), *RUN, "--workers", "2", "--storage", url)
        process = nodes.command(*words, cwd=tmp_path)
        in_hand = (
            "SELECT DISTINCT number FROM trials JOIN trial_intermediate_values USING (trial_id) "
            "JOIN trial_system_attributes a USING (trial_id) "
            "JOIN nasopt_workers w ON a.value_json = '\"' || w.token || '\"' "
            "WHERE state = 'RUNNING' AND strpos(w.lease, '/node1/') > 0"
        )
        while not (found := rows(url, in_hand)):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        nodes.kill(1)
        out, err = process.communicate(timeout=900)
    finally:
        nodes.close()
    ((number,),) = found
    assert process.returncode == 0, err
    assert "a worker was killed by the end of its" in err
    assert f"trial {number} was left by a worker that died; it goes on" in err
    trials = trials_of(url)
    assert [trial.number for trial in trials] == list(range(8))
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert all(len(trial.intermediate_values) == 400 for trial in trials)
    assert "8 of 8 trials" in out
    assert out.count(f"trial {number}: ") == 1  # it was told once
    places = loaded(study)
    assert set(places) == {"node0", "node1", Path(nodes.environment["XDG_STATE_HOME"]).name}
    for node in ("node0", "node1"):  # each has a copy that Ray has made
        assert str(study.parent) not in places[node]


@needs_ray
@pytest.mark.long
def test_ctrl_c_stops_the_workers_of_all_nodes_and_their_trials_wait(tmp_path, two, postgresql):
    url = postgresql()
    study = write_study(tmp_path / "studies", epochs=100_000, trials=2)
    process = two.command("run", str(study), *RUN, "--workers", "2", "--storage", url, cwd=tmp_path)
    both = (
        "SELECT 1 WHERE (SELECT count(DISTINCT trial_id) FROM trials "
        "JOIN trial_intermediate_values USING (trial_id) WHERE state = 'RUNNING') = 2"
    )
    while not rows(url, both):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (
        130,
        "nasopt: stopped by SIGINT; the same command goes on\n",
    )
    assert [trial.state.name for trial in trials_of(url)] == ["WAITING", "WAITING"]
    assert rows(url, "SELECT token FROM nasopt_workers") == []  # they ended by themselves


@needs_ray
@pytest.mark.long
def test_a_comparison_spreads_its_studies_over_the_nodes(tmp_path, two, postgresql):
    url = postgresql()
    study = write_study(tmp_path / "studies", epochs=1, trials=3)
    words = ("compare", str(study), "--samplers", "random,tpe", "--seeds", "2", "--replicates", "1")
    process = two.command(*words, "--device", "cpu", "--storage", url, cwd=tmp_path)
    out, err = process.communicate(timeout=600)
    assert (process.returncode, err) == (0, ""), err
    assert "tpe" in out
    assert {"node0", "node1"} <= set(loaded(study))
    counts = rows(url, "SELECT study_id, count(*) FROM trials GROUP BY study_id ORDER BY study_id")
    assert [count for _, count in counts] == [3, 3, 3, 3]


@needs_ray
@pytest.mark.long
def test_what_the_cluster_cannot_give_is_told_in_a_line(tmp_path, two, postgresql):
    study = study_file(tmp_path)

    def said(*words: str) -> tuple[int, str]:
        process = two.command("run", str(study), *RUN, *words, cwd=tmp_path)
        _, err = process.communicate(timeout=300)
        return process.returncode, err

    code, err = said("--storage", "x.db")
    assert code == 2
    assert err == (
        "nasopt: storage=x.db: SQLite's file, which the 2 nodes of the Ray cluster cannot share "
        "safely; use --storage postgresql+psycopg://USER@HOST/NAME\n"
    )
    assert not (tmp_path / "x.db").exists()
    url = postgresql()
    code, err = said("--storage", url, "--cpus-per-worker", "2")
    assert (code, err) == (
        2,
        "nasopt: ray: a worker takes 2 CPUs, and no node of the cluster has that (the largest: "
        "1 CPU); ask for less, or add a node\n",
    )
    code, err = said("--storage", url, "--workers", "4")
    assert (code, err) == (
        0,
        "nasopt: workers=4: the Ray cluster has room for 2, of 1 CPU each; the others begin once a "
        "node joins\n",
    )
    assert [trial.number for trial in trials_of(url)] == list(range(4))


@needs_ray
@pytest.mark.long
def test_one_node_may_use_a_file_and_a_card_is_shared(tmp_path):
    """Ray deals cards by number alone: that none is here matters only to who trains on one."""
    study = study_file(tmp_path)
    study.write_text(
        study.read_text() + f"import os; print(os.environ.get('CUDA_VISIBLE_DEVICES'), "
        f"file=open({str(tmp_path / 'cards')!r}, 'a'))"
    )
    nodes = Nodes(tmp_path / "nodes", 1, cpus=2, gpus=1)
    try:
        words = ("run", str(study), "--sampler", "random", "--gpus-per-worker", "0.5")
        process = nodes.command(*words, cwd=tmp_path)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 2
        assert err.endswith(
            "nasopt: device='cuda': torch finds no such device here; use auto or cpu\n"
        )
        assert (tmp_path / "cards").read_text().split() == ["None", "0", "0"]
        process = nodes.command("run", str(study), *RUN, cwd=tmp_path)
        _, err = process.communicate(timeout=300)
        assert (process.returncode, err) == (0, "")
        assert len(trials_of(str(tmp_path / "runs" / "mine.db"))) == 4
    finally:
        nodes.close()


@needs_ray
@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("banana", "ray=banana: not an address; write HOST:PORT, or auto"),
        ("127.0.0.1:9", "ray=127.0.0.1:9: no answer (Connection refused); see whether the cluster"),
    ],
)
def test_an_address_without_a_cluster_is_told_at_once(tmp_path, monkeypatch, capsys, address, line):
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    assert main(["run", str(study_file(tmp_path)), "--ray", address]) == 2
    assert capsys.readouterr().err.startswith(f"nasopt: {line}")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--ray",), 'ray is not installed; run: pip install "nasopt[ray]"'),
        (
            ("--ray", "ray://head:10001"),
            "ray=ray://head:10001: an address of Ray Client, which this does not speak; run the "
            "command on a node of the cluster, or hand it in there: ray job submit -- nasopt run "
            "...",
        ),
        (
            ("--gpus-per-worker", "0.5"),
            "gpus_per_worker: of workers on Ray; give --ray, or leave it out",
        ),
        (
            ("--ray", "--workers-per-gpu", "2"),
            "workers_per_gpu: Ray deals parts of a GPU; use --gpus-per-worker 0.5",
        ),
        (("--profile", "--ray"), "profile: needs no workers on Ray; leave out --ray"),
    ],
)
def test_what_ray_is_not_asked_for_is_refused_in_a_line(tmp_path, monkeypatch, capsys, words, line):
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(study_file(tmp_path)), *words]) == 2
    assert capsys.readouterr().err == f"nasopt: {line}\n"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("share", "resources", "workers"),
    [
        (Share(), {"CPU": 3.0}, 3),
        (Share(2), {"CPU": 3.0}, 1),
        (Share(1, 0.5), {"CPU": 8.0, "GPU": 2.0}, 4),
        (Share(1, 0.1), {"CPU": 20.0, "GPU": 1.0}, 10),
        (Share(1, 1), {"CPU": 8.0}, 0),
        (Share(), {}, 0),
    ],
)
def test_a_node_has_room_for_as_many_shares_as_fit_into_what_it_has(share, resources, workers):
    assert share.fits(resources) == workers


def test_a_deadline_means_the_same_on_a_host_that_started_at_another_time(monkeypatch):
    sent = pickle.dumps(Deadline.after(100))
    none = pickle.dumps(Deadline.after(None))
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 5_000)
    assert pickle.loads(sent).left == pytest.approx(100, abs=5)
    assert not pickle.loads(none).is_set
