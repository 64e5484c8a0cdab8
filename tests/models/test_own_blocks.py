"""Networks with blocks of the user's own, out of the house and back."""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import nasopt
from nasopt import Architecture, Conv, Dense, Recipe
from nasopt.cli.main import main
from nasopt.errors import ModelError, SpaceError
from nasopt.models.loading import digest_of as digest_of_told
from nasopt.space.layers import Layer
from nasopt.space.own import digest_of
from nasopt.space.own_module import refuse_unsaved
from nasopt.storage.looks import Looks
from nasopt.storage.opening import open_storage
from nasopt.training.batches import generator
from tests.commands import Command, fails
from tests.examples import small
from tests.models.small import untrained
from tests.models.test_saving import FILES, answers_outside, pictures
from tests.space import blocks_of_a_user
from tests.space.blocks_of_a_user import Attending, OfConvs, Plain, Scaled2

MIXED = Architecture(
    (Plain(filters=4, stride=2), Scaled2(filters=4), Attending(heads=2), Conv(filters=4),
     Scaled2(filters=4, width="wide", stride=2), Dense(width=6))
)  # fmt: skip

UNTRAINED = FILES - {"trained-on.txt"}


@pytest.fixture(scope="module")
def model():
    return nasopt.train(MIXED, nasopt.data.digits(limit=100), recipe=Recipe(epochs=1), device="cpu")


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return nasopt.save(model, tmp_path_factory.mktemp("models") / "own")


def test_it_is_saved_in_every_form_and_loaded_bit_for_bit(model, folder):
    assert {file.name for file in folder.iterdir()} == FILES
    loaded = nasopt.load(folder)
    assert torch.equal(loaded.logits(pictures(model)), model.logits(pictures(model)))
    assert loaded.architecture == model.architecture
    assert nasopt.reproduce(folder, device="cpu").exactly


def test_network_py_has_the_code_of_the_blocks(model, folder, tmp_path):
    images = pictures(model, 20)
    assert torch.equal(answers_outside(folder, images, tmp_path), model.logits(images))


ELSEWHERE = """
import sys
import nasopt
from nasopt.errors import ModelError
try:
    nasopt.load(sys.argv[1])
except ModelError as error:
    print(error)
import tests.space.blocks_of_a_user
print(nasopt.load(sys.argv[1]))
"""


def test_a_folder_gives_no_code_but_says_what_is_missing(folder):
    words = [sys.executable, "-c", ELSEWHERE, str(folder)]
    root = Path(nasopt.__file__).parents[1]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True)
    told, loaded = done.stdout.splitlines()
    assert told.startswith(f"{folder}: Plain: a block of a study file's own, whose code is not")
    assert loaded.startswith("<Model: 6 layers")
    assert "nasopt predict own --blocks STUDY.py picture.jpg" in (folder / "README.md").read_text()


def test_other_code_of_the_same_name_is_not_taken_for_it(folder, tmp_path):
    written = (folder / "architecture.json").read_text()
    other = shutil.copytree(folder, tmp_path / "other")
    code = digest_of(Plain, Layer)
    rewritten = json.loads(written.replace(code, "0123456789abcdef"))
    rewritten["digest"] = digest_of_told(rewritten)
    (other / "architecture.json").write_text(json.dumps(rewritten))
    told = "other: Plain: the class of that name here has other code"
    with pytest.raises(ModelError, match=told):
        nasopt.load(other)


def test_a_block_that_needs_nasopt_is_left_out_of_network_py(tmp_path, caplog):
    saved = untrained(Architecture((OfConvs(), Conv(filters=4))), channels=1)
    with caplog.at_level(logging.WARNING):
        folder = nasopt.save(saved, tmp_path / "model")
    assert {file.name for file in folder.iterdir()} == UNTRAINED - {"network.py"}
    assert "network.py: not written, the block OfConvs uses nasopt itself (Conv)" in caplog.text
    assert "`network.py`" not in (folder / "README.md").read_text()
    assert torch.equal(nasopt.load(folder).logits(pictures(saved)), saved.logits(pictures(saved)))


class Fickle(nasopt.Layer):
    def build(self, in_shape):
        return Sorting()


class Sorting(torch.nn.Module):
    def forward(self, x):
        if x.is_meta or x.sum() > 0:  # which cannot be exported: it depends on the numbers
            return x
        return -x


def test_a_block_that_cannot_be_exported_is_told_and_all_else_written(tmp_path, caplog, capfd):
    saved = untrained(Architecture((Conv(filters=4), Fickle())), channels=1)
    with caplog.at_level(logging.WARNING):
        folder = nasopt.save(saved, tmp_path / "model")
    assert {file.name for file in folder.iterdir()} == UNTRAINED - {"model.pt2", "model.onnx"}
    assert (
        "model.pt2 and model.onnx: not written, a network with Fickle cannot be ex" in caplog.text
    )


STUDY = """
from nasopt import Dense, Experiment, Recipe, Space
from nasopt.data import digits
from tests.space.blocks_of_a_user import OPEN
experiment = Experiment(
    dataset=digits(limit=100),
    space=Space(*OPEN[:2], Dense(width=4)),
    recipe=Recipe(epochs=1, batch_size=50),
    trials=3,
)
"""


def test_a_database_is_read_without_the_study_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = Path(blocks_of_a_user.__file__).read_text().replace("Plain", "Elsewhere")
    study = STUDY.replace("from tests.space.blocks_of_a_user import OPEN", blocks)
    Path("mine.py").write_text(study)
    Command(["run", "mine.py", "--device", "cpu"], tmp_path).end()  # which alone has the classes

    assert main(["show", "runs/mine.db"]) == 0
    assert "Elsewhere" in capsys.readouterr().out
    assert main(["report", "runs/mine.db", "-o", "r.html"]) == 0
    assert "1 Elsewhere layer" in Path("r.html").read_text()
    capsys.readouterr()
    assert fails(capsys, "finals", "runs/mine.db") == (
        "nasopt: study=mine/surrogate/0: the code of its block Elsewhere is not in the database; "
        "give its file instead: nasopt finals mine.py"
    )
    Path("mine.py").write_text(study.replace("SLOPE = 0.125", "SLOPE = 0.25"))
    assert "space.layers[1].code, the block's own, is another now than when it began; set it" in (
        fails(capsys, "run", "mine.py", "--device", "cpu")
    )


class Wired(nasopt.Layer):
    """A block whose wiring is drawn, and in no state_dict."""

    def build(self, in_shape):
        return Shuffle(torch.randperm(in_shape[0]))


class Rezero(nasopt.Layer):
    """A block that is the identity at first, whatever it has drawn."""

    def build(self, in_shape):
        return Gated(torch.randperm(in_shape[0]))


class Gated(torch.nn.Module):
    def __init__(self, order):
        super().__init__()
        self.order, self.gate = order, torch.nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x + self.gate * x[:, self.order]


def test_what_is_drawn_is_seen_though_it_counts_for_nothing_at_first():
    with pytest.raises(SpaceError, match=r"^Rezero\(\): two of the same state_dict answer diff"):
        refuse_unsaved(Rezero(), (8, 4, 4))


@pytest.mark.parametrize("block", MIXED.layers[:3])
def test_blocks_that_their_state_dict_holds_are_taken(block):
    refuse_unsaved(block, (4, 8, 8))


class Drawn(nasopt.Layer):
    def build(self, in_shape):
        width = int(torch.randint(1, 99, ()))
        return torch.nn.Sequential(
            torch.nn.Conv2d(in_shape[0], width, 1), torch.nn.Conv2d(width, in_shape[0], 1)
        )


def test_a_block_that_draws_its_shapes_is_told_as_well():
    with pytest.raises(SpaceError, match=r"^Drawn\(\): two of them differ in their weights; keep"):
        refuse_unsaved(Drawn(), (4, 8, 8))


class Shuffle(torch.nn.Module):
    def __init__(self, order):
        super().__init__()
        self.order = order

    def forward(self, x):
        return x[:, self.order]


def test_a_block_that_its_state_dict_does_not_hold_is_told_before_the_finals_train(tmp_path):
    space = nasopt.Space(Conv(filters=8), Wired())
    experiment = small(space=space, trials=1)
    nasopt.run(experiment, storage=tmp_path / "x.db", device="cpu")
    with pytest.raises(SpaceError) as raised:
        nasopt.finals(experiment, storage=tmp_path / "x.db", output=tmp_path / "m", device="cpu")
    assert str(raised.value) == (
        "Wired(): two of the same state_dict answer differently, so it cannot be saved; keep what "
        "it draws in a parameter or a buffer"
    )
    assert Looks(open_storage(tmp_path / "x.db").engine).count() == 0


def test_a_strided_convolution_of_1x1_may_be_another_kernel_in_network_py(tmp_path):
    class Halving(nasopt.Layer):
        filters: int
        stride: int = 2

        def build(self, in_shape):
            return torch.nn.Conv2d(in_shape[0], self.filters, 1, self.stride)

    network = Architecture((Conv(filters=32), Halving(filters=32), Conv(filters=8)))
    saved = untrained(network, channels=3, side=32)
    assert (nasopt.save(saved, tmp_path / "model") / "architecture.json").exists()


def test_a_final_training_that_diverges_is_one_line_and_no_look_at_the_test_split(tmp_path):
    space = nasopt.Space(Exploding(filters=nasopt.categorical(2, 4)))
    experiment = small(space=space, trials=2)
    nasopt.run(experiment, storage=tmp_path / "x.db", device="cpu")
    with pytest.raises(
        ModelError, match=r"^seed=1: the loss of the final training of .* is not fi"
    ):
        nasopt.finals(experiment, storage=tmp_path / "x.db", output=tmp_path / "m", device="cpu")
    assert Looks(open_storage(tmp_path / "x.db").engine).count() == 0


def first_draw(seed: int) -> float:
    return float(torch.rand((), generator=generator(seed, "weights", 0)))


class Exploding(nasopt.Layer):
    """A convolution whose weights are infinite in trainings of the seeds after the first."""

    filters: int

    def build(self, in_shape):
        unlucky = float(torch.rand(())) in {first_draw(seed) for seed in (1, 2, 3)}
        module = torch.nn.Conv2d(in_shape[0], self.filters, 3, padding=1)
        if unlucky:
            torch.nn.init.constant_(module.weight, float("inf"))
        return module
