"""`load`: a model from its folder. Nothing in it is unpickled, and nothing of it is executed."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_weights

from nasopt.errors import Error, ModelError, spelled
from nasopt.models.model import Model, Training
from nasopt.models.preprocessing import Preprocessing
from nasopt.models.trained_on import TRAINED_ON
from nasopt.space import own
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Shape
from nasopt.space.model import Network, empty, has_own, put_in_own
from nasopt.training.devices import find_device

# of the folder: raise it when an older nasopt could not read it
FORMAT = 1
FORMAT_WITH_OWN = 2  # if blocks of the user's are in the network
WEIGHTS, ARCHITECTURE, PREPROCESSING = (
    "model.safetensors",
    "architecture.json",
    "preprocessing.json",
)
GET_AGAIN = "get the whole folder again"
# what reading JSON of any content, and taking it for a network, may raise
DAMAGED = (
    Error, AttributeError, LookupError, OverflowError, RecursionError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip


@spelled(ModelError)
def load(folder: str | Path, device: str = "cpu") -> Model:
    """Return the model that `nasopt.save` or `nasopt finals` wrote into `folder`.

    A block of your own in it is looked for among the classes of this process: define or import it
    first. No code is taken from the folder.

    Raises ModelError for a folder that is damaged, incomplete, changed, or of a newer nasopt, or
    for a block that is not here.
    """
    folder = Path(folder)
    where = find_device(device)
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder; give one that nasopt finals has written")
    told = _told(folder / ARCHITECTURE)
    preprocessing_bytes = _content(folder / PREPROCESSING, told)
    weights = _weights(folder / WEIGHTS, _content(folder / WEIGHTS, told))
    with _read(folder / PREPROCESSING):
        preprocessing = Preprocessing.from_json(json.loads(preprocessing_bytes))
    with _read(folder / ARCHITECTURE):
        architecture = Architecture.from_json(told["layers"])
        training = None if told["training"] is None else Training.from_json(told["training"])
    module = _unfilled(architecture, preprocessing, folder)
    _fill(module, weights, folder / WEIGHTS)
    seen = _content(folder / TRAINED_ON, told) if TRAINED_ON in told["digests"] else b""
    trained_on = frozenset(seen.decode(errors="replace").split())
    return Model(module.to(where), architecture, preprocessing, training, None, trained_on)


def _unfilled(architecture: Architecture, told: Preprocessing, folder: Path) -> Network:
    """Return the network without its weights: nothing is allocated before those are known.

    Raises ModelError if a block of the user's is not here.
    """
    for layer in architecture.layers:
        if layer.is_own and not own.is_here(type(layer)):
            raise ModelError(f"{folder}: {own.missing(type(layer))}")
    file = nullcontext() if has_own(architecture) else _read(folder / ARCHITECTURE)
    with file:  # the mistakes of a user's block are no damage
        module = empty(architecture, told.input_shape, len(told.classes))
        put_in_own(module, architecture, told.input_shape, seed=lambda place: place)
    return module


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def digest_of(told: dict[str, Any]) -> str:
    """Return the digest of architecture.json, which has it as its last entry."""
    entries = {name: value for name, value in told.items() if name != "digest"}
    return digest(json.dumps(entries, sort_keys=True).encode())


def _told(file: Path) -> dict[str, Any]:
    """Return the content of architecture.json if it is what was written."""
    with _read(file):
        told = json.loads(_bytes(file))
        if not isinstance(told, dict) or type(told["format"]) is not int:
            raise TypeError("no architecture of nasopt's")
        if told["format"] > FORMAT_WITH_OWN:
            raise ModelError(
                f"{file}: of a newer nasopt, {told['nasopt']} (its format is {told['format']}, "
                f"this one reads {FORMAT_WITH_OWN}); run: pip install -U nasopt"
            )
        unchanged = digest_of(told) == told["digest"]
    if not unchanged:
        raise ModelError(f"{file}: changed since it was written; {GET_AGAIN}")
    return told


def _content(file: Path, told: dict[str, Any]) -> bytes:
    """Return the bytes of a file if they are those that were written with architecture.json."""
    content = _bytes(file)
    with _read(file.with_name(ARCHITECTURE)):
        expected = told["digests"][file.name]
    if digest(content) != expected:
        raise ModelError(f"{file}: damaged, or not of this model; {GET_AGAIN}")
    return content


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"{file}: missing; {GET_AGAIN}") from error
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error.strerror}); allow it") from error


@contextmanager
def _read(file: Path) -> Iterator[None]:
    """Raise ModelError, naming the file, for what its content makes fail."""
    try:
        yield
    except ModelError:
        raise
    except DAMAGED as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(f"{file}: damaged ({reason}); {GET_AGAIN}") from error


def _weights(file: Path, content: bytes) -> dict[str, torch.Tensor]:
    try:
        return parse_weights(content)
    except (SafetensorError, *DAMAGED) as error:
        raise ModelError(f"{file}: damaged ({error}); {GET_AGAIN}") from error


def _fill(module: Network, weights: dict[str, torch.Tensor], file: Path) -> None:
    """Put the weights in place; raise ModelError if they are of another network."""

    def kinds(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[Shape, torch.dtype]]:
        return {name: (tuple(each.shape), each.dtype) for name, each in tensors.items()}

    if kinds(weights) != kinds(module.state_dict()):
        raise ModelError(
            f"{file}: weights of another network than {ARCHITECTURE} says; {GET_AGAIN}"
        )
    module.load_state_dict(weights, assign=True)
