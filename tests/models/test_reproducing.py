import json
import os
import shutil
import signal
import sys
import time

import pytest
import torch

import nasopt
from nasopt.cli.main import main
from nasopt.data import image_folder, tensors
from nasopt.errors import DataError, ModelError
from tests.commands import Command
from tests.models.small import RECIPE, SMALL, trained, untrained
from tests.models.test_loading import retold
from tests.models.test_model import NET, photos


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return nasopt.save(trained(), tmp_path_factory.mktemp("models") / "model")


def test_the_same_training_agrees_bit_for_bit(saved, capsys):
    assert main(["reproduce", str(saved), "--device", "cpu"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("[1/2] epoch 1, accuracy 0.")
    assert out[-1] == "The figures agree bit for bit: those of 2 epochs, and all weights."


def test_as_json(saved, capsys):
    assert main(["reproduce", str(saved), "--device", "cpu", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["exactly"], told["agrees"], told["differences"]) == (True, True, [])
    assert told["found"] == told["recorded"]


def test_a_training_with_the_validation_images_is_reproduced_too(tmp_path):
    model = nasopt.train(SMALL, "digits", recipe=RECIPE, device="cpu", validation_included=True)
    again = nasopt.reproduce(nasopt.save(model, tmp_path / "m"), device="cpu")
    assert again.exactly


def claimed(saved, folder, **entries):
    """A copy of the folder in which the training claims other things."""
    shutil.copytree(saved, folder)
    told = json.loads((folder / "architecture.json").read_text())["training"]
    retold(folder, training=told | entries)
    return folder


def test_figures_of_another_training_do_not_agree(saved, tmp_path):
    folder = claimed(saved, tmp_path / "m", epochs=[[0.1, 2.3, 2.3], [0.99, 0.1, 0.1]])
    again = nasopt.reproduce(folder, device="cpu")
    assert not again.agrees
    assert not again.same_figures
    assert again.same_weights
    assert again.verdict.startswith("The figures do not agree: an accuracy of ")
    assert "another processor may still be why" in again.verdict


def test_another_torch_is_why_it_cannot_be_bit_for_bit(saved, tmp_path):
    folder = claimed(saved, tmp_path / "m", torch="1.0", seed=1)
    again = nasopt.reproduce(folder, device="cpu")
    assert not again.exactly
    assert again.differences == (f"torch was 1.0 and is {torch.__version__}",)
    assert f"Bit for bit they could not: torch was 1.0 and is {torch.__version__}." in again.verdict


def test_images_that_moved_are_found_and_other_ones_refused(tmp_path):
    folder = photos(tmp_path / "photos")
    model = nasopt.train(NET, image_folder(folder, 8), recipe=RECIPE, device="cpu")
    saved = nasopt.save(model, tmp_path / "m")
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="no such folder"):
        nasopt.reproduce(saved, device="cpu")
    assert nasopt.reproduce(saved, data=tmp_path / "elsewhere", device="cpu").exactly
    (tmp_path / "elsewhere" / "day" / "1.png").unlink()
    with pytest.raises(DataError, match="other images or another split than described"):
        nasopt.reproduce(saved, data=tmp_path / "elsewhere", device="cpu")


def test_images_in_memory_are_given_again(tmp_path):
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (60, 1, 8, 8), generator=random, dtype=torch.uint8)
    mine = tensors(images, torch.arange(60) % 2)
    model = nasopt.train(NET, mine, recipe=RECIPE, device="cpu")
    saved = nasopt.save(model, tmp_path / "m")
    with pytest.raises(DataError, match=r"in memory; give them as dataset=\.\.\."):
        nasopt.reproduce(saved, device="cpu")
    assert nasopt.reproduce(saved, dataset=mine, device="cpu").exactly
    with pytest.raises(DataError, match="other images or another split"):
        nasopt.reproduce(saved, dataset=nasopt.data.digits(), device="cpu")


def test_a_model_whose_training_is_not_recorded_is_told(tmp_path):
    saved = nasopt.save(untrained(NET, 1), tmp_path / "m")
    with pytest.raises(ModelError, match="its training is not recorded"):
        nasopt.reproduce(saved)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_one_that_is_interrupted_says_that_it_begins_anew(saved, tmp_path, signum):
    recipe = {**RECIPE.to_json(), "epochs": 100_000}
    folder = claimed(saved, tmp_path / "m", recipe=recipe)
    command = Command(
        ("reproduce", str(folder), "--device", "cpu", "--json"), tmp_path, _unbuffered
    )
    while not command.said.exists() or "[1/100000] epoch 1" not in command.said.read_text():
        time.sleep(0.01)
    os.kill(command.process, signum)
    assert command.wait() == 128 + signum
    said = command.said.read_text().splitlines()[-1]
    assert said == f"nasopt: stopped by {signum.name}; the same command begins anew"


def _unbuffered():
    sys.stderr = os.fdopen(2, "w", buffering=1)
