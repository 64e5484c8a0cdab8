import json
import pickle

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nasopt
from nasopt.errors import ModelError
from nasopt.models.loading import digest, digest_of
from tests.models.small import changed, trained

READ = ("model.safetensors", "architecture.json", "preprocessing.json", "trained-on.txt")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return nasopt.save(trained(), tmp_path_factory.mktemp("models") / "model")


@pytest.fixture
def folder(saved, tmp_path):
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def retold(folder, **entries):
    """Change architecture.json as somebody would who knows how its digests are made."""
    file = folder / "architecture.json"
    told = json.loads(file.read_text()) | entries
    told["digests"] = {name: digest((folder / name).read_bytes()) for name in told["digests"]}
    file.write_text(json.dumps({**told, "digest": digest_of(told)}))


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="no such folder; give one that nasopt finals has written"):
        nasopt.load(tmp_path / "nothing")


@pytest.mark.parametrize("name", READ)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: missing; get the whole folder again"):
        nasopt.load(folder)


def same_json(one, other):
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


@pytest.mark.parametrize("name", READ)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(data=st.data())
def test_any_changed_or_missing_byte_is_told_in_one_line(folder, saved, name, data):
    content = (saved / name).read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        damaged = content[:place]
    else:
        bit = 1 << data.draw(st.integers(0, 7))
        damaged = content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]
    (folder / name).write_bytes(damaged)
    if name == "architecture.json" and same_json(damaged, content):  # white space
        assert nasopt.load(folder).classes == tuple("0123456789")
    else:
        with pytest.raises(ModelError, match=name) as raised:
            nasopt.load(folder)
        assert "\n" not in str(raised.value)
    (folder / name).write_bytes(content)


def test_a_newer_format_is_told_with_the_remedy(folder):
    retold(folder, format=3, nasopt="9.1")
    with pytest.raises(ModelError, match=r"newer nasopt, 9\.1 .* run: pip install -U nasopt"):
        nasopt.load(folder)


def test_class_names_exchanged_are_noticed(folder):
    changed(folder / "preprocessing.json", b'"3"', b'"8"')
    with pytest.raises(ModelError, match=r"preprocessing\.json: damaged, or not of this model"):
        nasopt.load(folder)


def test_a_stride_that_fits_the_weights_as_well_is_noticed(folder):
    changed(folder / "architecture.json", b'"stride": 2', b'"stride": 1')
    with pytest.raises(ModelError, match=r"architecture\.json: changed since it was written"):
        nasopt.load(folder)


@pytest.mark.parametrize(
    "layers",
    [
        [],
        {},
        None,
        "conv",
        [None],
        [{"layer": "conv"}],
        [{"layer": "os.system", "filters": 4}],
        [{"layer": "conv", "filters": {"categorical": [1, 2]}}],
        [{"layer": "conv", "filters": {"__reduce__": ["os.system", "true"]}}],
        [{"layer": "conv", "filters": 10**30}],
        [{"layer": "conv", "filters": 10**9, "kernel_size": 31}],
        [{"layer": "conv", "filters": 4, "stride": -1}],
        [{"layer": "conv", "filters": 5}],
        [{"layer": "pool", "kernel_size": 99}, {"layer": "conv", "filters": 4}],
        [{"layer": "dense", "width": 4}, {"layer": "conv", "filters": 4}],
    ],
)
def test_other_layers_with_digests_that_fit_are_told_in_one_line(folder, layers):
    retold(folder, layers=layers)
    with pytest.raises(ModelError, match="get the whole folder again") as raised:
        nasopt.load(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "entry",
    [
        {"size": [8, -8]}, {"size": [8]}, {"size": "8x8"}, {"mean": []}, {"mean": [float("nan")]},
        {"mean": [1.0, 2.0]}, {"deviation": [0]}, {"classes": []}, {"classes": [1, 2]},
        {"classes": ["a"]}, {"size": [10**12, 10**12]},
    ],
)  # fmt: skip
def test_another_preprocessing_with_digests_that_fit_is_told_in_one_line(folder, entry):
    file = folder / "preprocessing.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entry))
    retold(folder)
    with pytest.raises(ModelError, match="get the whole folder again"):
        nasopt.load(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, "null", "[]", "{", "", "NaN", '{"format": true}'])
def test_an_architecture_of_anything_is_told_in_one_line(folder, text):
    (folder / "architecture.json").write_text(text)
    with pytest.raises(ModelError, match=r"architecture\.json: damaged"):
        nasopt.load(folder)


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


def test_nothing_is_unpickled_and_nothing_executed(folder):
    for name in ("model.pt2", "model.onnx"):
        (folder / name).write_bytes(pickle.dumps(Bomb()))
    (folder / "network.py").write_text("raise SystemExit('executed')")
    (folder / "nasopt.py").write_text("raise SystemExit('executed')")
    assert nasopt.load(folder).classes == tuple("0123456789")  # it reads none of these
    torch.save(Bomb(), folder / "model.safetensors")
    retold(folder)
    with pytest.raises(ModelError, match=r"model\.safetensors: damaged"):
        nasopt.load(folder)
