"""`network.py`: the module of an architecture as a file of plain PyTorch.

Its blocks are the source of nasopt's own, so there is one truth about what a layer is. A block of
the user's is a function around the text of its class, where its names hide none of nasopt's.
"""

import ast
import inspect
from collections.abc import Iterator
from importlib.metadata import version
from textwrap import indent

from nasopt.errors import ModelError
from nasopt.models.model import Model
from nasopt.space import blocks, own
from nasopt.space.layers import Layer, Shape
from nasopt.space.model import Network, has_own, layer_table
from nasopt.text import listed

PAGE = '''"""The network of this folder in plain PyTorch, without nasopt {version}, which found it.

    from network import load, normalised

    network = load()                       # with the weights of model.safetensors
    logits = network(normalised(images))   # images: uint8 (n, {shape})
"""
{future}
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

CLASSES = {classes}
MEAN = {mean}  # of each channel, of bytes from 0 to 255
DEVIATION = {deviation}

{blocks}


{network}


{own}def build() -> Network:
    """Return the network with the weights that torch initialises."""
    return Network(
        [
{convolutions}
        ],
        [
{dense}
        ],
    )


def load(folder: str | Path = Path(__file__).parent) -> Network:
    """Return the network with the weights of `folder`, ready to answer."""
    network = build()
    network.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return network.eval()


def normalised(images: torch.Tensor) -> torch.Tensor:
    """Return uint8 images (n, {shape}) as the network takes them."""
    mean = torch.tensor(MEAN, dtype=torch.float64, device=images.device).view(1, -1, 1, 1)
    deviation = torch.tensor(DEVIATION, dtype=torch.float64, device=images.device).view_as(mean)
    return images.float().sub_(mean.float()).mul_((1 / deviation).float())
'''


OWN = '''class NasoptLayer:
    """What a block of a study file has of nasopt: its fields, all of them chosen."""

    def __init__(self, /, **fields):
        vars(self).update(fields)

    def chosen(self, name):
        return getattr(self, name)


'''
OWN_BLOCK = '''def own_{name}(in_shape, /, **fields):
    """Return the module of a block {name}, as the study file defines it."""
{text}

    return {name}(**fields).build(in_shape)


'''


def network_source(model: Model) -> str:
    """Return the text of `network.py`.

    Raises ModelError if a block of the user's cannot do without nasopt.
    """
    convolutions, dense = _calls(model)
    return PAGE.format(
        version=version("nasopt"),
        shape=", ".join(map(str, model.input_shape)),
        classes=ascii(model.classes),
        mean=model.preprocessing.mean,
        deviation=model.preprocessing.deviation,
        blocks=_body(inspect.getsource(blocks)),
        future="\nfrom __future__ import annotations\n" if has_own(model.architecture) else "",
        own=_own_blocks(model),
        network=inspect.getsource(Network).strip(),
        convolutions=_indented(convolutions),
        dense=_indented(dense),
    )


def _calls(model: Model) -> tuple[list[str], list[str]]:
    """Return the expressions that make the layers: convolutions and pools, and dense ones."""
    rows = layer_table(model.architecture, model.input_shape, len(model.classes))
    shapes: list[Shape] = [model.input_shape, *(row.out_shape for row in rows)]
    layers = model.architecture.layers
    calls = [_call(layer, shape) for layer, shape in zip(layers, shapes, strict=False)]
    first = len(model.architecture.convolutions)
    classifier = f"nn.Linear({shapes[len(layers)][0]}, {len(model.classes)})"
    return calls[:first], [*calls[first:], classifier]


def _own_blocks(model: Model) -> str:
    classes = {layer.kind: type(layer) for layer in model.architecture.layers if layer.is_own}
    blocks = []
    for name, cls in classes.items():
        code = own.source_of(cls, Layer)
        if code.of_nasopt:
            raise ModelError(
                f"the block {name} uses nasopt itself ({listed(code.of_nasopt)}); write it with "
                "torch alone to have it"
            )
        text = "\n".join([*code.imports, "", "\n\n".join(code.definitions)])
        blocks.append(OWN_BLOCK.format(name=name, text=indent(text, "    ")))
    return OWN + "".join(blocks) if blocks else ""


def _call(layer: Layer, in_shape: Shape) -> str:
    if layer.is_own:
        fields = [f"{name}={value!r}" for name, value in own.values(layer).items()]
        return f"own_{layer.kind}({', '.join([repr(in_shape), *fields])})"
    make, arguments = layer.construction(in_shape)
    name = make.__name__ if make.__module__ == blocks.__name__ else f"nn.{make.__name__}"
    return f"{name}({', '.join(map(repr, arguments))})"


def _indented(calls: list[str]) -> str:
    return "\n".join(f"            {call}," for call in calls)


def _body(source: str) -> str:
    """Return a module's source without its docstring and imports."""
    lines = source.splitlines()

    def kept() -> Iterator[str]:
        last = 0
        for node in ast.parse(source).body:
            plain = not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr)
            if plain:
                yield "\n".join(lines[last : node.end_lineno]).strip("\n")
            last = node.end_lineno or last

    return "\n\n\n".join(kept())
