"""`Architecture`: one chosen network as data."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from nasopt.errors import SpaceError
from nasopt.space.layers import Conv, Dense, Layer, Shape, layer_from_json


@dataclass(frozen=True)
class Architecture:
    """The chosen layers of a network, in order: convolutions and pools, then dense ones.

    Raises SpaceError if there is no convolution or block of one's own, one of them or a pool
    follows a dense layer, or a field is open.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        check_order(self.layers)
        for layer in self.layers:
            for name in layer.open_fields:
                layer.chosen(name)

    @property
    def convolutions(self) -> tuple[Layer, ...]:
        """The convolutions and pools, and blocks of one's own."""
        return tuple(layer for layer in self.layers if not isinstance(layer, Dense))

    @property
    def dense(self) -> tuple[Dense, ...]:
        return tuple(layer for layer in self.layers if isinstance(layer, Dense))

    def canonical(self, input_shape: Shape, min_resolution: int = 1) -> Self:
        """Return the canonical form of the network for images of `input_shape`.

        A stride that has no effect, or would take the map below `min_resolution` (pixels), is 1;
        a pool of that kind is left out. So a network has one form, however it was written.
        """
        layers: list[Layer] = []
        resolution = input_shape[1:]
        for layer in self.layers:
            effective = layer.effective(resolution, min_resolution)
            if effective is not None:
                layers.append(effective)
                resolution = effective.shrink(resolution)
        return type(self)(tuple(layers))

    def resolution(self, input_shape: Shape) -> Shape:
        """Return the (height, width) of the last feature map."""
        resolution = input_shape[1:]
        for layer in self.layers:
            resolution = layer.shrink(resolution)
        return resolution

    @cached_property
    def key(self) -> str:
        """A digest of 32 hexadecimal digits, the same for the same layers on every machine."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def to_json(self) -> list[dict[str, Any]]:
        return [layer.to_json() for layer in self.layers]

    @classmethod
    def from_json(cls, value: Sequence[dict[str, Any]]) -> Self:
        return cls(tuple(map(layer_from_json, value)))


def check_order(layers: Sequence[Layer]) -> None:
    """Raise SpaceError unless `layers` are convolutions and pools, then dense ones."""
    if not layers:
        raise SpaceError("layers=(): zero layers; begin with a Conv")
    if not any(isinstance(layer, Conv) or layer.is_own for layer in layers):
        raise SpaceError("layers: no Conv among them; a network needs at least one")
    kinds = [isinstance(layer, Dense) for layer in layers]
    if kinds != sorted(kinds):
        after = layers[kinds.index(True) + kinds[kinds.index(True) :].index(False)]
        raise SpaceError(
            f"layers: a Dense stands before a {type(after).__name__}; put the dense layers last"
        )
