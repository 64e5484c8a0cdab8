"""The forms of a model that run without nasopt: `model.pt2` and `model.onnx`.

Both take bytes, and the normalisation is inside. Nothing in them names this machine.
"""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nasopt.errors import Error, ModelError
from nasopt.models.model import Model
from nasopt.text import installing, listed

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Answers = Callable[[torch.Tensor], torch.Tensor]  # uint8 images to logits, on the CPU


class WithNormalisation(nn.Module):
    """A network that takes uint8 images (n, channels, height, width) as they are."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network = model.module
        mean, scale = model.preprocessing.offset_and_scale
        self.mean, self.scale = nn.Buffer(mean), nn.Buffer(scale)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network((images.float() - self.mean) * self.scale)
        return logits


def exported(model: Model) -> "ExportedProgram":
    """Return the model, which is on the CPU, as a program for batches of any size.

    Raises ModelError if a block of the user's cannot be exported.
    """
    example = torch.zeros((2, *model.input_shape), dtype=torch.uint8)
    batch = torch.export.Dim("batch")
    with _quiet(), told_of_own(model, "be exported by torch.export"):
        program = torch.export.export(
            WithNormalisation(model).eval(), (example,), dynamic_shapes=({0: batch},), strict=False
        )
    program.example_inputs = None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # the paths of this machine
    return program


def write_pt2(program: "ExportedProgram", file: Path) -> None:
    content = io.BytesIO()  # a full disk is then an OSError, as for the other files
    with _quiet():
        torch.export.save(program, content)
    file.write_bytes(content.getvalue())


def run_pt2(file: Path) -> Answers:
    """Return what answers by the file, which must be our own: torch unpickles parts of one."""
    with _quiet():
        network = torch.export.load(file).module()
    return lambda images: network(images).detach()


def write_onnx(program: "ExportedProgram", model: Model, file: Path) -> None:
    """Write the program with the names of the classes in its metadata.

    Raises ModelError if the extra is not installed.
    """
    with _quiet(), told_of_own(model, "be written as ONNX"), _onnx_extra():
        import onnx

        converted = torch.onnx.export(
            program, dynamo=True, verbose=False, input_names=["images"], output_names=["logits"]
        )
    assert converted is not None
    proto = converted.model_proto
    _forget_origin(proto)
    proto.producer_name, proto.producer_version = "nasopt", version("nasopt")
    onnx.helper.set_model_props(proto, metadata(model))
    onnx.checker.check_model(proto, full_check=True)
    file.write_bytes(proto.SerializeToString(deterministic=True))


def metadata(model: Model) -> dict[str, str]:
    """Return what the ONNX file says of itself, as texts: the classes as a JSON list."""
    return {
        "classes": json.dumps(model.classes, ensure_ascii=False),
        "preprocessing": json.dumps(model.preprocessing.to_json(), ensure_ascii=False),
    }


def _forget_origin(proto: Any) -> None:
    """Remove the stack traces and names of Python's modules from the nodes and values."""
    graphs = [proto.graph, *proto.functions]
    for graph in graphs:
        del graph.metadata_props[:]
        for each in (*graph.node, *graph.value_info, *getattr(graph, "initializer", ())):
            del each.metadata_props[:]
    for each in (*proto.graph.input, *proto.graph.output):
        del each.metadata_props[:]


def run_onnx(file: Path) -> Answers:
    """Return what answers by the file in onnxruntime, or by ONNX's own reference where it is not.

    The reference is slow, but comes with the extra.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError:
        from onnx.reference import ReferenceEvaluator

        session: Any = ReferenceEvaluator(str(file))
    else:
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


@contextmanager
def told_of_own(model: Model, what: str) -> Iterator[None]:
    """Raise ModelError for an exception of a network with blocks of the user's; others are ours."""
    try:
        yield
    except Error:
        raise
    except Exception as error:
        names = {layer.kind for layer in model.architecture.layers if layer.is_own}
        if not names:
            raise
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ModelError(
            f"a network with {listed(sorted(names))} cannot {what} ({text})"
        ) from error


@contextmanager
def _onnx_extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("onnx", "onnxscript"):
            raise
        raise ModelError(f"{error.name} is not installed; run: {installing('onnx')}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' warnings, of their own deprecations, from those who asked for a file."""
    names = ("torch.onnx", "torch.export", "torch.fx", "onnxscript")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # a graph that has no form
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
