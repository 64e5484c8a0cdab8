"""Blocks of one's own: what they are counted as, known by and told of."""

import copy
import itertools
import json
import linecache
import pickle
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import nasopt
from nasopt import Architecture, Conv, Dense, Pool, Space, categorical, integer, repeat
from nasopt.errors import SpaceError
from nasopt.space import own
from nasopt.space.fields import RandomTrial
from nasopt.space.layers import Layer, layer_from_json
from nasopt.space.model import cost, layer_cost
from nasopt.space.vectorized import Networks
from tests.space.blocks_of_a_user import OPEN, Attending, Plain, Scaled2

HEAD = "import torch, nasopt\nfrom torch import nn\nfrom nasopt import *\n"
BLOCK = """
GAIN = 2


def helper(channels):
    '''What it is for.'''
    return nn.Conv2d(channels, channels, 1)  # a comment


class Mine(nasopt.Layer):
    filters: int
    stride: int = 1

    def build(self, in_shape):
        return nn.Sequential(helper(in_shape[0]), nn.Conv2d(in_shape[0], GAIN * self.filters, 1))
"""


def run(text, folder, name="mine.py"):
    """The names of a file with that text, run as a study file is."""
    file = folder / name
    file.write_text(HEAD + textwrap.dedent(text))
    names = {"__name__": f"nasopt-study:{file.stem}"}
    exec(compile(file.read_text(), str(file), "exec"), names)
    return names


def code(cls):
    return own.digest_of(cls, Layer)


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2)])
def test_a_block_costs_what_a_conv_does_that_builds_the_same(kernel, stride):
    fields = {"filters": 6, "kernel_size": kernel, "stride": stride}
    for shape in ((3, 8, 8), (1, 5, 9), (4, 1, 1)):
        block, conv = (layer_cost(each(**fields), shape) for each in (Plain, Conv))
        assert (block.out_shape, block.parameters, block.macs) == (
            conv.out_shape, conv.parameters, conv.macs,
        )  # fmt: skip


def test_products_of_matrices_are_counted_whoever_asks_for_them():
    tokens, width = 64, 4
    found = layer_cost(Attending(heads=2), (width, 8, 8))
    assert found.macs == 4 * tokens * width**2 + 2 * tokens**2 * width
    assert found.parameters == 4 * width**2 + 4 * width


MIXED = Space(
    OPEN[0],
    repeat(OPEN[1], 0, 2),
    Conv(filters=2, stride=categorical(1, 2)),
    OPEN[2],
    Pool(),
    Dense(width=integer(3, 5)),
).on((1, 9, 7))


def test_parameters_are_named_after_the_class():
    assert [*MIXED.hyperparameters] == [
        "Plain01.filters", "Plain01.kernel_size", "Plain01.stride",
        "Scaled2.depth", "Scaled2_01.width", "Scaled2_01.filters",
        "Scaled2_02.width", "Scaled2_02.filters",
        "conv01.stride", "Attending01.heads", "dense01.width",
    ]  # fmt: skip


def test_different_networks_are_counted_as_they_are_listed():
    fields = MIXED.hyperparameters
    listed = itertools.product(*(field.candidates for field in fields.values()))
    keys = {MIXED.decode(dict(zip(fields, each, strict=True))).key for each in listed}
    assert len(keys) == MIXED.distinct


def test_many_networks_at_once_cost_what_they_do_one_by_one():
    networks, fields = Networks(MIXED, 10), MIXED.hyperparameters
    drawn = [{n: f.suggest(RandomTrial(i), n) for n, f in fields.items()} for i in range(40)]
    places = np.array([[list(fields[n].candidates).index(v) for n, v in d.items()] for d in drawn])
    survey = networks.survey(places)
    singly = [cost(MIXED.decode(each), (1, 9, 7), 10) for each in drawn]
    assert survey.costs["parameters"].tolist() == [each.parameters for each in singly]
    assert survey.costs["macs"].tolist() == [each.macs for each in singly]


def test_a_stride_acts_as_in_a_conv():
    block, conv = Plain(filters=3, stride=4), Conv(filters=3, stride=4)
    for resolution, least in itertools.product(((8, 8), (3, 2), (1, 1)), (1, 2)):
        assert block.effective(resolution, least).stride == conv.effective(resolution, least).stride


def test_a_block_is_a_frozen_dataclass_with_or_without_saying_so():
    @dataclass(frozen=True)
    class Said(nasopt.Layer):
        filters: int
        ratio: float = 0.5

    for made in (Plain(filters=4), Said(filters=4)):
        assert made == copy.deepcopy(made)
        assert hash(made) == hash(copy.copy(made))
        with pytest.raises(AttributeError):
            made.filters = 5
    assert pickle.loads(pickle.dumps(OPEN)) == OPEN
    assert repr(Said(filters=4)).endswith("Said(filters=4, ratio=0.5)")


# What it is known by


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("GAIN = 2", "GAIN = 3"),
        ("channels, channels, 1)  #", "channels, channels, 3, padding=1)  #"),
        ("helper(in_shape[0]), ", ""),
        ("from torch import nn\n", "from torch import nn as nn\nimport torch.nn.functional as F\n"),
        ("GAIN * self", "int(GAIN) * self"),
    ],
)
def test_another_code_is_another_network(tmp_path, old, new):
    before, after = (
        run(text, tmp_path, name)["Mine"]
        for text, name in ((BLOCK, "a.py"), (BLOCK.replace(old, new), "b.py"))
    )
    keys = [Architecture((each(filters=2),)).key for each in (before, after)]
    assert (keys[0] == keys[1]) == (old.startswith("from"))  # an import that nothing uses


def test_comments_docstrings_layout_and_the_file_are_left_aside(tmp_path):
    other = BLOCK.replace("  # a comment", "").replace("'''What it is for.'''", "'''Else.'''")
    other = other.replace("nn.Sequential(", "nn.Sequential(\n            ")
    found = {
        code(run(text, tmp_path, name)["Mine"])
        for text, name in ((BLOCK, "a.py"), (other, "b.py"), ("ELSE = 3\n" + BLOCK, "c.py"))
    }
    assert len(found) == 1


def test_the_key_is_the_same_on_every_machine():
    # another digest here would lose the results of all databases with such blocks
    assert code(Plain) == "07996c17782010e4"
    assert code(Scaled2) == "159c254c131a8575"


def test_two_files_may_have_blocks_of_one_name(tmp_path):
    first = run(BLOCK, tmp_path, "a.py")["Mine"]
    second = run(BLOCK.replace("GAIN = 2", "GAIN = 4"), tmp_path, "b.py")["Mine"]
    for cls in (first, second):
        assert layer_from_json(cls(filters=2).to_json()) == cls(filters=2)
    with pytest.raises(SpaceError, match="two classes are called Mine; rename one of them"):
        Space(first(filters=2), second(filters=2))


def test_a_block_of_a_notebook_is_known_by_its_cells():
    names = {"__name__": "__main__"}
    for number, cell in enumerate((HEAD, *BLOCK.split("\n\n\n"))):
        file = f"/tmp/ipykernel_1/{number}.py"  # as ipykernel calls cells, and keeps their text
        linecache.cache[file] = (len(cell), None, cell.splitlines(keepends=True), file)
        exec(compile(cell, file, "exec"), names)
    assert layer_cost(names["Mine"](filters=2), (1, 4, 4)).out_shape == (4, 4, 4)
    assert len(code(names["Mine"])) == 16


def test_a_block_of_another_file_is_read_there(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "blocks_beside_it.py").write_text(HEAD + BLOCK)
    study = "from blocks_beside_it import Mine, helper as other\nclass More(Mine):\n    def build("
    study += "self, in_shape):\n        return nn.Sequential(super().build(in_shape), other(4))\n"
    cls = run(study, tmp_path)["More"]
    text = "\n".join(own.source_of(cls, Layer).definitions)
    for part in ("class Mine(NasoptLayer)", "other = helper", "GAIN = 2"):
        assert part in text
    assert layer_cost(cls(filters=2), (1, 4, 4)).parameters == 2 + 8 + 20


def test_what_is_read_where_the_class_is_not_is_the_same_but_not_built():
    written = json.loads(json.dumps(MIXED.to_json()).replace(code(Plain), "0" * 16))
    read = Space.from_json(written).on(MIXED.input_shape)
    assert read.to_json() == written
    assert read.hyperparameters == MIXED.hyperparameters
    assert read.distinct == MIXED.distinct
    params = {n: f.suggest(RandomTrial(3), n) for n, f in MIXED.hyperparameters.items()}
    shown, built = read.decode(params).layers[0], MIXED.decode(params).layers[0]
    assert (shown.wording, own.values(shown)) == (built.wording, own.values(built))
    assert shown.shrink((9, 7)) == built.shrink((9, 7))
    with pytest.raises(SpaceError, match="Plain: the class of that name here has other code"):
        shown.build((1, 8, 8))
    with pytest.raises(SpaceError, match=r"Gone: .* whose code is not here; give that file"):
        layer_from_json({"layer": "Gone", "code": "1", "fields": {}}).build((1, 8, 8))


@pytest.mark.parametrize(
    ("layer", "code", "fields"),
    [("a b", "1", {}), ("A", "1", {"for": 1}), ("A", 3, {}), ("A", "1", {"f": [1]}), (3, "1", {})],
)
def test_what_no_block_can_have_written_is_refused(layer, code, fields):
    with pytest.raises((SpaceError, TypeError)):
        layer_from_json({"layer": layer, "code": code, "fields": fields})


# Mistakes

BUILDS = "    def build(self, in_shape):\n        "


@pytest.mark.parametrize(
    ("block", "layer", "told"),
    [
        ("    filters: int\n", "Mine(filters=2)", "Mine.build: missing; define build"),
        (f"    a: int = 1\n{BUILDS}return 1 / 0\n", "Mine()",
         r"Mine\(a=1\).build\(\(1, 4, 4\)\): ZeroDivisionError: .*, mine.py:8; fix it"),
        (f"{BUILDS}raise SystemExit(3)\n", "Mine()", r"SystemExit: 3, mine.py:7; fix it"),
        (f"{BUILDS}return 3\n", "Mine()", r"Mine\(\).build returns a int; return a torch.nn.Mod"),
        (f"{BUILDS}return nn.Conv2d(7, 7, 1)\n", "Mine()", r"Mine\(\) on maps of \(1, 4, 4\): Ru"),
        (f"{BUILDS}return nn.BatchNorm2d(7)\n", "Mine()", r"ValueError: a BatchNorm2d\(7\) on"),
        (f"{BUILDS}return nn.Flatten()\n", "Mine()", r"makes \(2, 16\) .* return \(2, channels, 4"),
        (f"{BUILDS}return nn.MaxPool2d((2, 1))\n", "Mine()", r"makes \(2, 1, 2, 4\) .* only a"),
        (f"    stride: int = 2\n{BUILDS}return nn.Identity()\n", "Mine()",
         r"makes \(2, 1, 4, 4\) of 2 maps .*; return \(2, channels, 2, 2\)"),
        (f"{BUILDS}return width\n", "Mine()", "Mine: it uses width, which is not at the top"),
        ("    wording: str = ''\n", "Mine()", "Mine.wording: a name of nasopt.Layer's own; rename"),
        (f"    build: int\n{BUILDS}return 3\n", "Mine()", "Mine.build: a name of nasopt.Layer"),
        ("    def shrink(self):\n        pass\n", "Mine()", "Mine.shrink: a name of nasopt.Layer"),
        ("    a: float\n", "Mine(a=real(0, 1))", r"Mine.a=real\(0.0, 1.0\): use a number, text"),
        ("    a: tuple = (1, 2)\n", "Mine()", r"Mine.a=\(1, 2\): use a number, text or boolean"),
        ("    a: float\n", "Mine(a=float('nan'))", "Mine.a=nan: not finite; use a number"),
        ("    a: str\n", "Mine(a=categorical('x', '\\x1b[2J'))", "a text that cannot be shown"),
        (f"{BUILDS}return nn.LazyConv2d(3, 1)\n", "Mine()", "returns a lazy module; in_shape"),
        ("    stride: int\n", "Mine(stride=integer(0, 2))", r"stride=integer\(0, 2\): use whole"),
        ("    filters: int\n", "Mine(filtres=2)", "Mine.filtres: no such field; did you mean filt"),
        ("    filters: int\n", "Mine()", "Mine.filters: missing; give filters="),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(tmp_path, block, layer, told):
    def counted():
        made = eval(layer, run(f"\nclass Mine(nasopt.Layer):\n{block}", tmp_path))
        made.to_json()
        layer_cost(made, (1, 4, 4))

    with pytest.raises(SpaceError, match=told) as error:
        counted()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["Conv", "dense", "Recipe"])
def test_the_names_of_nasopts_own_layers_are_taken(name):
    with pytest.raises(SpaceError, match=f"{name}: a name of nasopt's own"):
        type(name, (nasopt.Layer,), {})


def test_a_class_whose_text_is_nowhere_cannot_be_told_from_another():
    names = {"__name__": "__main__"}
    exec(HEAD + BLOCK, names)
    with pytest.raises(SpaceError, match="the code of Mine is not to be found; write it into"):
        Space(names["Mine"](filters=2)).on((1, 4, 4))


def test_a_module_that_computes_with_numbers_is_built_all_the_same(tmp_path):
    text = """
    class Rated(nasopt.Layer):
        def build(self, in_shape):
            rates = [rate.item() for rate in torch.linspace(0, 0.5, 2)]
            return nn.Sequential(nn.Conv2d(in_shape[0], 2, 1), nn.Dropout(rates[1]))
    """
    cls = run(text, tmp_path)["Rated"]
    assert layer_cost(cls(), (3, 4, 4)).parameters == 8
    network = nasopt.build(Architecture((cls(),)), (3, 4, 4), 2)
    assert network(torch.zeros(1, 3, 4, 4)).shape == (1, 2)


def test_the_example_of_the_how_to_is_a_study_file(tmp_path):
    page = (Path(nasopt.__file__).parents[1] / "docs/how-to/own-block.md").read_text()
    (tmp_path / "squeezed.py").write_text(page.split("```")[1].partition("\n")[2])
    experiment = nasopt.load_experiment(tmp_path / "squeezed.py")
    assert [*experiment.hyperparameters][:2] == ["Squeezed.depth", "Squeezed01.filters"]
    assert experiment.distinct == 104_589
    assert "·ratio" in experiment.sample(1, 0)[0].architecture.layers[1].wording.type


class Deepening(nasopt.Layer):
    filters: int
    depth: int = 1

    def build(self, in_shape):
        return torch.nn.Conv2d(in_shape[0], self.filters, 1)


def test_a_field_that_has_the_name_of_the_number_of_layers_is_refused():
    block = Deepening(filters=4, depth=categorical(1, 2))
    assert "Deepening.depth" in Space(repeat(block, 1, 3)).hyperparameters  # alone it has its own
    with pytest.raises(SpaceError) as raised:
        Space(repeat(block, 1, 3), Conv(filters=4), repeat(block, 1, 3))
    assert str(raised.value) == (
        "Deepening.depth: the number of layers of its repeat is called Deepening01.depth, too; "
        "rename the field"
    )
