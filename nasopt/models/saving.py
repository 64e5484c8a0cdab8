"""`save`: a model as a folder that stands alone, whole or not there at all."""

import copy
import errno
import fcntl
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as weights_as_bytes

from nasopt.errors import ModelError, spelled
from nasopt.models.card import Card, card_text, drawings
from nasopt.models.exports import (
    Answers,
    exported,
    run_onnx,
    run_pt2,
    told_of_own,
    write_onnx,
    write_pt2,
)
from nasopt.models.loading import (
    ARCHITECTURE,
    FORMAT,
    FORMAT_WITH_OWN,
    PREPROCESSING,
    WEIGHTS,
    digest,
    digest_of,
    load,
)
from nasopt.models.model import Model
from nasopt.models.source import network_source
from nasopt.models.trained_on import TRAINED_ON, trained_on
from nasopt.space.model import has_own

logger = logging.getLogger("nasopt")

NETWORK, PT2, ONNX, CARD = "network.py", "model.pt2", "model.onnx", "README.md"
CHECKED_BATCHES = (1, 7, 256)  # pictures
MOST_PIXELS = 2**24  # of a checked batch, channels not counted: larger pictures are fewer
TOLERANCE = 1e-4  # of logits that another program computes
NOTHING_MORE = Card()


@spelled(ModelError)
def save(
    model: Model,
    folder: str | Path,
    *,
    card: Card = NOTHING_MORE,
    pictures: torch.Tensor | None = None,
) -> Path:
    """Write `model` into a new `folder`, in forms that need no nasopt, and return its path.

    Each form answers for `pictures` (uint8, by default the validation images that the model was
    trained beside) at several batch sizes before the folder is there. `card` has what the model
    card says beyond the model. Without the extra nasopt[onnx] there is no model.onnx.

    Raises ModelError if the folder is not empty, cannot be written, or a form answers differently.
    """
    folder = Path(folder).expanduser()
    check_output(folder)
    ours = on_cpu(model)
    pictures = _examples(model) if pictures is None else model.checked(pictures).cpu()
    with _written_whole(folder) as partial:
        _write(ours, partial, pictures, card, folder.resolve().name)
    return folder


def check_output(folder: Path) -> None:
    """Raise ModelError unless a model can be written into `folder`: a new one, or an empty one."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            what = "not empty" if folder.is_dir() else "a file"
            raise ModelError(f"{folder}: {what}; name another folder with -o, or remove it")
    except OSError as error:
        raise ModelError(f"{folder}: {error.strerror}; name another folder with -o") from error


def on_cpu(model: Model) -> Model:
    """Return the model itself if it is on the CPU, else a copy there."""
    if model.device.type == "cpu":
        return model
    module = copy.deepcopy(model.module).cpu()
    return Model(
        module, model.architecture, model.preprocessing, model.training, model.dataset,
        model.trained_on,
    )  # fmt: skip


def _write(model: Model, folder: Path, pictures: torch.Tensor, card: Card, name: str) -> None:
    state = {key: value.contiguous() for key, value in model.module.state_dict().items()}
    (folder / WEIGHTS).write_bytes(weights_as_bytes(state, metadata={"format": "pt"}))
    _write_json(folder / PREPROCESSING, model.preprocessing.to_json())
    with _told_if_missing(NETWORK):
        _write_source(model, folder)
    with _told_if_missing(f"{PT2} and {ONNX}"):
        program = exported(model)
        write_pt2(program, folder / PT2)
        with _told_if_missing(ONNX):
            write_onnx(program, model, folder / ONNX)
    if known := trained_on(model):
        (folder / TRAINED_ON).write_text("\n".join([*known, ""]))
    _write_json(folder / ARCHITECTURE, _described(model, folder))
    files = [each.name for each in folder.iterdir()]
    for picture, content in (*drawings(model), *card.figures.items()):
        (folder / picture).write_bytes(content)
    (folder / CARD).write_text(card_text(model, card, name, files), encoding="utf-8")
    _check(model, folder, pictures)


@contextmanager
def _told_if_missing(files: str) -> Iterator[None]:
    """Say what is not written, and why: all else is worth having.

    It is the extra that is missing, or a block of the user's that cannot be written so.
    """
    try:
        yield
    except ModelError as error:
        logger.warning("%s: not written, %s", files, error)


def _write_source(model: Model, folder: Path) -> None:
    source = network_source(model)
    with told_of_own(model, "run without nasopt"):
        _run_source(source, folder)
    (folder / NETWORK).write_text(source, encoding="utf-8")


def _described(model: Model, folder: Path) -> dict[str, Any]:
    """Return architecture.json: the network, its training, and digests of the other files."""
    told: dict[str, Any] = {
        "format": FORMAT_WITH_OWN if has_own(model.architecture) else FORMAT,
        "nasopt": version("nasopt"),
        "layers": model.architecture.to_json(),
        "training": None if model.training is None else model.training.to_json(),
        "digests": {each.name: digest(each.read_bytes()) for each in sorted(folder.iterdir())},
    }
    return {**told, "digest": digest_of(told)}


def _write_json(file: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")  # paths need not be text


def _examples(model: Model) -> torch.Tensor:
    """Return the validation images; random ones for a model that was loaded from a folder."""
    if model.dataset is not None:
        return model.dataset.load().validation.images
    noise = torch.Generator().manual_seed(0)
    shape = (max(CHECKED_BATCHES), *model.input_shape)
    return torch.randint(256, shape, generator=noise, dtype=torch.uint8)


def _check(model: Model, folder: Path, pictures: torch.Tensor) -> None:
    """Raise ModelError unless each form of the model gives the same answers for `pictures`."""
    forms: dict[str, tuple[Answers, float]] = {WEIGHTS: (load(folder).logits, 0.0)}
    if (folder / NETWORK).exists():  # the text that was made here: no file is executed
        # a strided convolution of a block is another kernel there: see `protect`
        tolerance = TOLERANCE if has_own(model.architecture) else 0.0
        forms[NETWORK] = (_run_source(network_source(model), folder), tolerance)
    if (folder / PT2).exists():
        forms[PT2] = (run_pt2(folder / PT2), TOLERANCE)
    if (folder / ONNX).exists():
        forms[ONNX] = (run_onnx(folder / ONNX), TOLERANCE)
    for batch in _batches(pictures):
        expected = model.logits(batch)
        for name, (answers, tolerance) in forms.items():
            found = answers(batch)
            if not torch.allclose(found, expected, rtol=tolerance, atol=tolerance):
                furthest = float((found - expected).abs().max())
                raise ModelError(
                    f"{name}: its answers differ by up to {furthest:.2g} from the network's; "
                    "nothing was written: please report it, with the network"
                )


def _batches(pictures: torch.Tensor) -> Iterator[torch.Tensor]:
    pixels = pictures[0, 0].numel()
    for size in CHECKED_BATCHES:
        places = islice(cycle(range(len(pictures))), max(1, min(size, MOST_PIXELS // pixels)))
        yield pictures[torch.tensor([*places])]


def _run_source(source: str, folder: Path) -> Answers:
    """Return what answers by the text of network.py, as it was made here: no file is executed."""
    namespace: dict[str, Any] = {"__name__": "network", "__file__": str(folder / NETWORK)}
    exec(compile(source, NETWORK, "exec"), namespace)
    network, normalised = namespace["load"](), namespace["normalised"]

    def answers(images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():  # as a model answers: an attention may be computed another way
            logits: torch.Tensor = network(normalised(images))
        return logits

    return answers


@contextmanager
def _written_whole(folder: Path) -> Iterator[Path]:
    """Yield a folder beside `folder` to write into, which takes its place at the end.

    It is removed if the body fails. One that a killed process has left is removed by the next.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{folder.resolve().name}.partial-"
        _remove_left(folder.resolve().parent, prefix)
        partial = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.resolve().parent))
        with _locked(partial):
            try:
                yield partial
                _into_place(partial, folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        remedy = "free some space" if error.errno == errno.ENOSPC else "name another folder with -o"
        raise ModelError(f"{folder}: cannot be written ({error.strerror}); {remedy}") from error


def _into_place(partial: Path, folder: Path) -> None:
    partial.chmod(0o777 & ~_umask())  # mkdtemp's is for its owner alone
    for each in (*partial.iterdir(), partial):
        _sync(each)
    try:
        partial.rename(folder.resolve())  # onto an empty folder, too
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        raise ModelError(
            f"{folder}: not empty; name another folder with -o, or remove it"
        ) from error
    _sync(folder.resolve().parent)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, would outlast a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder that ends with this process; BlockingIOError if another holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _remove_left(parent: Path, prefix: str) -> None:
    for left in parent.glob(f"{prefix}*"):
        try:
            with _locked(left):
                shutil.rmtree(left, ignore_errors=True)
        except OSError:  # another process writes into it, or has just removed it
            continue
