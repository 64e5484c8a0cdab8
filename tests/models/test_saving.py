import itertools
import json
import logging
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import nasopt
from nasopt.errors import DataError, ModelError
from nasopt.models import saving
from tests.models.small import SMALL, architectures, trained, untrained

FILES = {
    "README.md", "architecture.json", "model.onnx", "model.pt2", "model.safetensors", "network.py",
    "network.svg",
    "preprocessing.json", "trained-on.txt",
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return trained()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return nasopt.save(model, tmp_path_factory.mktemp("models") / "digits-model")


def pictures(model, count=7):
    shape = (count, *model.input_shape)
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_a_loaded_model_answers_bit_for_bit_as_the_saved_one(model, folder):
    loaded = nasopt.load(folder)
    assert {file.name for file in folder.iterdir()} == FILES
    assert torch.equal(loaded.logits(pictures(model)), model.logits(pictures(model)))
    assert loaded.architecture == model.architecture
    assert loaded.preprocessing == model.preprocessing
    assert loaded.training == model.training


def test_the_same_model_is_the_same_bytes(model, folder, tmp_path):
    again = nasopt.save(nasopt.load(folder), tmp_path / "digits-model")
    for file in folder.iterdir():
        assert file.read_bytes() == (again / file.name).read_bytes(), file.name


def test_the_saved_model_sees_pictures_as_the_training_did(model):
    from nasopt.models.fitting import Fit

    fit = Fit(SMALL, nasopt.data.digits(), nasopt.Recipe(epochs=1), 0, "cpu")
    list(fit)
    images = pictures(model)
    assert torch.equal(
        fit.model.preprocessing.normalised(images), fit.trainer.batches_of.normalised(images)
    )


OUTSIDE = """
import pathlib, sys
sys.path[:] = [each for each in sys.path if not pathlib.Path(each, "nasopt/errors.py").exists()]
try:
    import nasopt.errors
except ModuleNotFoundError:
    pass
else:
    sys.exit(f"it is {nasopt.errors.__file__}")
import numpy, torch
sys.path.insert(0, sys.argv[1])
from network import load, normalised
torch.set_num_threads(1)
with torch.no_grad():
    logits = load()(normalised(torch.from_numpy(numpy.load(sys.argv[2]))))
numpy.save(sys.argv[3], logits.numpy())
assert "nasopt.errors" not in sys.modules
"""


def answers_outside(folder: Path, images: torch.Tensor, scratch: Path) -> torch.Tensor:
    """The logits of network.py in a process that can import no nasopt."""
    given, answered = scratch / "images.npy", scratch / "logits.npy"
    np.save(given, images.numpy())
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P", "-c", OUTSIDE, str(folder), str(given), str(answered)]
    subprocess.run(command, cwd=scratch, env=environment, check=True)
    return torch.from_numpy(np.load(answered))


def test_network_py_answers_the_same_where_there_is_no_nasopt(model, folder, tmp_path):
    images = pictures(model, 50)
    assert torch.equal(answers_outside(folder, images, tmp_path), model.logits(images))


def test_the_onnx_file_takes_bytes_in_any_number_and_knows_the_classes(model, folder):
    proto = onnx.load(folder / "model.onnx")
    told = {each.key: each.value for each in proto.metadata_props}
    assert json.loads(told["classes"]) == list("0123456789")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (entry,) = session.get_inputs()
    assert (entry.name, entry.type, entry.shape[1:]) == ("images", "tensor(uint8)", [1, 8, 8])
    for count in (1, 2, 300):
        images = pictures(model, count)
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        assert np.allclose(logits, model.logits(images), rtol=1e-4, atol=1e-4)


def test_no_file_names_the_machine_that_wrote_it(folder):
    here = [str(Path(nasopt.__file__).parents[1]), str(Path(torch.__file__).parents[1])]
    for file, place in itertools.product(folder.iterdir(), [*here, str(folder.parent)]):
        assert place.encode() not in file.read_bytes(), file.name


# an export takes seconds, so that grey and coloured pictures take turns
@pytest.mark.parametrize(
    ("architecture", "channels"), list(zip(architectures(), itertools.cycle((1, 3)), strict=False))
)
def test_every_layer_is_exported_in_every_form(architecture, channels, tmp_path):
    saved = untrained(architecture, channels)
    folder = nasopt.save(saved, tmp_path / "model")  # compares the answers of all forms
    assert {file.name for file in folder.iterdir()} == FILES - {"trained-on.txt"}


@pytest.mark.parametrize("name", ["model.safetensors", "network.py", "model.pt2", "model.onnx"])
def test_a_form_that_answers_differently_is_not_written(model, name, tmp_path, monkeypatch):
    def answers(*_):
        return lambda images: model.logits(images) + 1e-3

    if name == "model.safetensors":
        monkeypatch.setattr(saving, "load", lambda _: untrained(SMALL, 1, side=8, classes=10))
    else:
        runner = {"network.py": "_run_source", "model.pt2": "run_pt2", "model.onnx": "run_onnx"}
        monkeypatch.setattr(saving, runner[name], answers)
    with pytest.raises(ModelError, match=f"{name}: its answers differ by up to"):
        nasopt.save(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_all_but_the_onnx_file_is_written(model, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with caplog.at_level(logging.WARNING, "nasopt"):
        folder = nasopt.save(model, tmp_path / "model")
    assert {file.name for file in folder.iterdir()} == FILES - {"model.onnx"}
    (said,) = caplog.messages
    assert said == (
        'model.onnx: not written, onnx is not installed; run: pip install "nasopt[onnx]"'
    )
    assert "model.onnx" not in (folder / "README.md").read_text()


def test_a_folder_with_something_in_it_is_left_alone(model, tmp_path):
    (tmp_path / "theirs").write_text("precious")
    with pytest.raises(ModelError, match=r"not empty; name another folder with -o, or remove it"):
        nasopt.save(model, tmp_path)
    with pytest.raises(ModelError, match="a file; name another"):
        nasopt.save(model, tmp_path / "theirs")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["precious"]


def test_an_empty_folder_and_missing_parents_will_do(model, tmp_path):
    (tmp_path / "empty").mkdir()
    nasopt.save(model, tmp_path / "empty")
    assert nasopt.load(nasopt.save(model, tmp_path / "a" / "b")).classes == model.classes
    assert {each.name for each in tmp_path.iterdir()} == {"empty", "a"}


def test_a_folder_that_cannot_be_made_is_one_line(model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="cannot be written"):
        nasopt.save(model, tmp_path / "file" / "model")


def killed_at(model: nasopt.Model, folder: Path, writes: int) -> bool:
    """Save into `folder` in a process that is killed before its n-th file; True if it was."""
    child = os.fork()
    if not child:
        count = itertools.count()

        def audited(event, arguments):
            made = event == "open" and "w" in str(arguments[1]) and ".partial-" in str(arguments[0])
            if (made or event == "os.rename") and next(count) == writes:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(audited)
        nasopt.save(model, folder)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_kill_in_the_middle_leaves_no_half_folder(model, tmp_path):
    target = tmp_path / "model"
    kills = 0
    while killed_at(model, target, kills):
        assert not target.exists()
        assert len(list(tmp_path.iterdir())) == 1  # what the last has left, the next removes
        kills += 1
    assert kills >= len(FILES) - 1
    assert {file.name for file in target.iterdir()} == FILES
    assert list(tmp_path.iterdir()) == [target]


def saved_within(model: nasopt.Model, folder: Path, most: int) -> str:
    """What is raised by saving in a process whose files may have so many bytes at most."""
    told = folder.with_name("told")
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        told.touch()
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        try:
            nasopt.save(model, folder)
        except BaseException as error:
            told.write_text(f"{type(error).__name__}: {error}")
        os._exit(0)
    os.waitpid(child, 0)
    text = told.read_text()
    told.unlink()
    return text


@pytest.mark.parametrize("most", [500, 4_900, 6_000, 20_000])
def test_a_disk_that_takes_no_more_is_one_line_and_leaves_nothing(model, tmp_path, most):
    told = saved_within(model, tmp_path / "model", most)
    assert told == (
        f"ModelError: {tmp_path / 'model'}: cannot be written (File too large); name another "
        "folder with -o"
    )
    assert list(tmp_path.iterdir()) == []


def test_pictures_to_compare_by_are_checked(model, tmp_path):
    with pytest.raises(DataError, match="give uint8 of shape"):
        nasopt.save(model, tmp_path / "model", pictures=torch.zeros(5, 1, 8, 8))
    assert list(tmp_path.iterdir()) == []


def test_what_another_process_writes_beside_is_not_removed(model, tmp_path):
    busy = tmp_path / ".model.partial-other"
    busy.mkdir()
    with saving._locked(busy):
        nasopt.save(model, tmp_path / "model")
    assert busy.exists()
