"""The layers that parameters stand for, cached: thousands of trials make few different layers."""

from collections.abc import Mapping
from typing import Any

from nasopt.space.layers import Layer, Shape
from nasopt.space.space import Part, Space


class EffectiveLayers:
    """The networks of `space`, which knows its `input_shape`, as `Space.decode` makes them."""

    def __init__(self, space: Space) -> None:
        assert space.input_shape is not None
        self._resolution = space.input_shape[1:]
        self._least = space.min_resolution
        self._parts = [(part, tuple(part.layer.open_fields)) for part in space.parts]
        self._known: dict[Any, tuple[Layer | None, Shape]] = {}

    def layers(self, params: Mapping[str, Any]) -> dict[str, Layer]:
        """Return the layers that act, by their names in the space ("conv03").

        Those that do nothing, and those beyond the depth, are left out.
        """
        found = {}
        resolution = self._resolution
        for part, fields in self._parts:
            depth = part.low if part.depth is None else params[part.depth]
            for name in part.names[:depth]:
                chosen = tuple([params[f"{name}.{field}"] for field in fields])
                key = (part.names, chosen, resolution)
                if key not in self._known:
                    self._known[key] = self._acting(
                        part, dict(zip(fields, chosen, strict=True)), resolution
                    )
                layer, resolution = self._known[key]
                if layer is not None:
                    found[name] = layer
        return found

    def _acting(
        self, part: Part, chosen: dict[str, Any], resolution: Shape
    ) -> tuple[Layer | None, Shape]:
        layer = part.layer.choose(chosen).effective(resolution, self._least)
        return layer, resolution if layer is None else layer.shrink(resolution)
