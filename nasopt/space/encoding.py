"""The parameters that stand for a network in a space: the way back from `Space.decode`."""

from collections.abc import Iterator
from itertools import product
from typing import Any

from nasopt.errors import SpaceError
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Layer, Shape
from nasopt.space.space import Part, Space

Choices = dict[str, Any]  # of the fields of a layer, by name
Slot = tuple[Part, int]  # a layer of a part, by its place in it


def encode(space: Space, architecture: Architecture) -> dict[str, Any]:
    """Return the parameters of `architecture`, for which `space.decode` returns it.

    Of several spellings it is the first; parameters that have no effect take their first value.

    Raises SpaceError if the network is not in the space, or its `input_shape` is not set.
    """
    if space.input_shape is None:
        raise SpaceError("Space.input_shape: not set; call space.on(dataset.input_shape)")
    layers = architecture.canonical(space.input_shape, space.min_resolution).layers
    slots = [(part, place) for part in space.parts for place in range(len(part.names))]
    found = _Spelling(space, slots, layers).from_(0, 0, space.input_shape[1:])
    if found is None:
        raise SpaceError(f"{architecture}: not in this space; open its fields to these values")
    first = {name: next(iter(f.boundary_values)) for name, f in space.hyperparameters.items()}
    return first | found


class _Spelling:
    """The search for a spelling of `layers`, slot by slot; what led nowhere is not tried twice."""

    def __init__(self, space: Space, slots: list[Slot], layers: tuple[Layer, ...]) -> None:
        self.space = space
        self.slots = slots
        self.layers = layers
        self.dead: set[tuple[int, int, Shape]] = set()

    def from_(self, slot: int, layer: int, resolution: Shape) -> dict[str, Any] | None:
        """Return parameters for the layers from `layer` on in the slots from `slot` on, or None."""
        if slot == len(self.slots):
            return {} if layer == len(self.layers) else None
        if (slot, layer, resolution) in self.dead:
            return None
        for params, *after in self._steps(slot, layer, resolution):
            rest = self.from_(*after)
            if rest is not None:
                return {**params, **rest}
        self.dead.add((slot, layer, resolution))
        return None

    def _steps(self, slot: int, layer: int, resolution: Shape) -> Iterator[tuple[Any, ...]]:
        """Yield (parameters, next slot, next layer, next resolution) of each way to go on."""
        part, place = self.slots[slot]
        if place >= part.low:
            assert part.depth is not None
            yield {part.depth: place}, slot + len(part.names) - place, layer, resolution
        ends = place + 1 == len(part.names) and part.depth is not None
        depth = {part.depth: place + 1} if ends else {}
        for choices, used, after in self._fits(part.layer, layer, resolution):
            named = {f"{part.names[place]}.{name}": value for name, value in choices.items()}
            yield depth | named, slot + 1, layer + used, after

    def _fits(
        self, open_layer: Layer, layer: int, resolution: Shape
    ) -> Iterator[tuple[Choices, int, Shape]]:
        """Yield the choices that make the next layer, or none, of an open one.

        With them comes the number of layers made, 0 or 1, and the resolution after it.
        """
        wanted = self.layers[layer] if layer < len(self.layers) else None
        candidates = []
        for name, field in open_layer.open_fields.items():
            value = getattr(wanted, name, None)
            if name in open_layer.shrinking:  # another value may do the same there
                candidates.append(list(field.candidates))  # type: ignore[union-attr]
            else:
                candidates.append([value if value in field else field.boundary_values[0]])
        for values in product(*candidates):
            choices = dict(zip(open_layer.open_fields, values, strict=True))
            made = open_layer.choose(choices).effective(resolution, self.space.min_resolution)
            if made is None:
                yield choices, 0, resolution
            elif made == wanted:
                yield choices, 1, made.shrink(resolution)
