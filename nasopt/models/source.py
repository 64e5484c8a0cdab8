"""`network.py`: the module of an architecture as a file of plain PyTorch.

Its blocks are the source of nasopt's own, so there is one truth about what a layer is.
"""

import ast
import inspect
from collections.abc import Iterator
from importlib.metadata import version

from nasopt.models.model import Model
from nasopt.space import blocks
from nasopt.space.layers import Layer, Shape
from nasopt.space.model import Network, layer_table

PAGE = '''"""The network of this folder in plain PyTorch, without nasopt {version}, which found it.

    from network import load, normalised

    network = load()                       # with the weights of model.safetensors
    logits = network(normalised(images))   # images: uint8 (n, {shape})
"""

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


def build() -> Network:
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


def network_source(model: Model) -> str:
    """Return the text of `network.py`."""
    convolutions, dense = _calls(model)
    return PAGE.format(
        version=version("nasopt"),
        shape=", ".join(map(str, model.input_shape)),
        classes=ascii(model.classes),
        mean=model.preprocessing.mean,
        deviation=model.preprocessing.deviation,
        blocks=_body(inspect.getsource(blocks)),
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


def _call(layer: Layer, in_shape: Shape) -> str:
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
