"""`Space`: an architecture with some fields left open."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from nasopt.errors import SpaceError, Spelled, spelled
from nasopt.space.architecture import Architecture, check_order
from nasopt.space.counting import distinct_networks
from nasopt.space.fields import Integer, Open, Suggests
from nasopt.space.layers import Layer, Shape, layer_from_json

MOST_LAYERS = 1_000  # of a network; each has parameters of its own
MOST_CANDIDATES = 100_000  # of a field; all are listed, to be counted and measured


@dataclass(frozen=True)
class Repeat:
    """A run of `low` to `high` layers of one kind, each with choices of its own."""

    layer: Layer
    low: int
    high: int


@spelled(SpaceError)
def repeat(layer: Layer, low: int, high: int | None = None) -> Repeat:
    """Return `layer` repeated `low` times, or, with `high`, from `low` to `high` times.

    Raises SpaceError for numbers that make no repeat.
    """
    high = low if high is None else high
    if not isinstance(layer, Layer):
        raise SpaceError(f"repeat(): layer={layer!r} is no layer; give a Conv, Pool or Dense")
    for value in (low, high):
        if type(value) is not int or value < 0:
            raise SpaceError(f"repeat(): {value!r} is no number of layers; use 0, 1, 2, ...")
    if low > high:
        raise SpaceError(f"repeat(): low={low} is above high={high}; swap them")
    if high == 0:
        raise SpaceError("repeat(): zero layers; use 1 or more, or leave it out")
    return Repeat(layer, low, high)


@dataclass(frozen=True)
class Part:
    """A layer or a repeat in its place, with the names of its layers and of its depth."""

    layer: Layer
    low: int
    names: tuple[str, ...]  # of the layers, as many as there may be
    depth: str | None  # name of the parameter for their number; None if it is fixed

    @property
    def layer_size(self) -> int:
        return math.prod(int(field.size) for field in self.layer.open_fields.values())

    @property
    def size(self) -> int:
        """The number of ways to write it: the sum over its depths."""
        return sum(self.layer_size**depth for depth in range(self.low, len(self.names) + 1))


def _refuse_long_ranges(layer: Layer) -> None:
    for name, field in layer.open_fields.items():
        if field.size > MOST_CANDIDATES:
            raise SpaceError(
                f"{type(layer).__name__}.{name}={field!r}: more than {MOST_CANDIDATES:,} values; "
                "use a larger step"
            )


def _has_filters(layer: Layer) -> bool:
    return layer.kind == "conv" or layer.is_own


def _refuse_depth(parts: Sequence[Part]) -> None:
    """Raise SpaceError if a field has the name that the number of layers of its repeat has."""
    for part in parts:
        owner, _, field = (part.depth or "").rpartition(".")
        if owner in part.names and field in part.layer.open_fields:
            raise SpaceError(
                f"{part.layer.kind}.{field}: the number of layers of its repeat is called "
                f"{part.depth}, too; rename the field"
            )


def _refuse_namesakes(layers: Sequence[Layer]) -> None:
    """Raise SpaceError for two classes of one name: their parameters would have one name, too."""
    kinds: dict[str, type[Layer]] = {}
    for layer in layers:
        if kinds.setdefault(layer.kind, type(layer)) is not type(layer):
            raise SpaceError(f"Space(): two classes are called {layer.kind}; rename one of them")


@dataclass(frozen=True, init=False)
class Space(Spelled):
    """The networks of a search: layers with open fields, in order.

        Space(repeat(Conv(filters=categorical(24, 36)), 2, 8), Dense(width=integer(10, 100)))

    A stride that would take the feature map below `min_resolution` (pixels) acts as 1, so that
    every choice of parameters is a network. `input_shape` (channels, height, width) is set by the
    experiment from its data set; without it `decode` leaves strides as they were chosen.

    Raises SpaceError for zero layers, a dense layer before a convolution, or no convolution.
    """

    layers: tuple[Layer | Repeat, ...]
    min_resolution: int = 1
    input_shape: Shape | None = None

    def __init__(
        self,
        *layers: Layer | Repeat,
        min_resolution: int = 1,
        input_shape: Shape | None = None,
    ) -> None:
        for layer in layers:
            if not isinstance(layer, Layer | Repeat):
                raise SpaceError(f"Space(): {layer!r} is no layer; give Conv, Pool, Dense, repeat")
        if type(min_resolution) is not int or min_resolution < 1:
            raise SpaceError(f"Space.min_resolution={min_resolution!r}: use 1, 2, 3, ... pixels")
        most = sum(each.high if isinstance(each, Repeat) else 1 for each in layers)
        if most > MOST_LAYERS:
            raise SpaceError(f"Space(): up to {most:,} layers; use {MOST_LAYERS:,} or fewer")
        plain = [each.layer if isinstance(each, Repeat) else each for each in layers]
        for layer in plain:
            _refuse_long_ranges(layer)
        _refuse_namesakes(plain)
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "min_resolution", min_resolution)
        object.__setattr__(self, "input_shape", input_shape)
        check_order([part.layer for part in self.parts])
        _refuse_depth(self.parts)
        if not any(part.low and _has_filters(part.layer) for part in self.parts):
            raise SpaceError(
                "Space(): it may have zero layers with filters; ask for 1 Conv or more"
            )

    def on(self, input_shape: Shape) -> Self:
        """Return the same space for images of `input_shape`.

        Raises SpaceError if the code of a block of the user's is not to be found.
        """
        self.to_json()  # here, while all is as the file says
        return type(self)(
            *self.layers, min_resolution=self.min_resolution, input_shape=tuple(input_shape)
        )

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        repeats = [each if isinstance(each, Repeat) else Repeat(each, 1, 1) for each in self.layers]
        total = Counter[str]()
        variable = Counter[str]()
        for each in repeats:
            total[each.layer.kind] += each.high
            variable[each.layer.kind] += each.low < each.high
        parts = []
        used = Counter[str]()
        for layer, low, high in ((each.layer, each.low, each.high) for each in repeats):
            digits = max(2, len(str(total[layer.kind])))
            numbers = range(used[layer.kind] + 1, used[layer.kind] + high + 1)
            stem = f"{layer.kind}_" if layer.kind[-1].isdecimal() else layer.kind
            names = tuple(f"{stem}{number:0{digits}}" for number in numbers)
            owner = layer.kind if variable[layer.kind] == 1 else names[0]
            parts.append(Part(layer, low, names, f"{owner}.depth" if low < high else None))
            used[layer.kind] += high
        return tuple(parts)

    @cached_property
    def hyperparameters(self) -> dict[str, Open]:
        """The open fields of all hyperparameters of a trial by name, used at its depth or not."""
        hyperparameters: dict[str, Open] = {}
        for part in self.parts:
            if part.depth is not None:
                hyperparameters[part.depth] = Integer(part.low, len(part.names))
            for name in part.names:
                for field_name, field in part.layer.open_fields.items():
                    hyperparameters[f"{name}.{field_name}"] = field
        return hyperparameters

    @property
    def size(self) -> int:
        """The number of architectures as written: a product over layers, a repeat being a sum."""
        return math.prod(part.size for part in self.parts)

    def suggest(self, trial: Suggests) -> Architecture:
        """Ask `trial` for every parameter, whatever the depth, and decode the answers.

        Asking for all of them keeps the space the same in every trial, which is what lets a
        sampler model the parameters jointly; `decode` drops those that the depth leaves unused.
        """
        return self.decode(
            {name: field.suggest(trial, name) for name, field in self.hyperparameters.items()}
        )

    def decode(self, params: Mapping[str, Any]) -> Architecture:
        """Return the canonical network of `params` (name -> value).

        Every combination of values has one. Raises SpaceError if a parameter that is used is
        missing.
        """
        try:
            chosen = Architecture(tuple(self._chosen(params)))
        except KeyError as error:
            raise SpaceError(f"parameter {error.args[0]}: missing; give it a value") from error
        if self.input_shape is None:
            return chosen
        return chosen.canonical(self.input_shape, self.min_resolution)

    def _chosen(self, params: Mapping[str, Any]) -> Iterator[Layer]:
        for part in self.parts:
            depth = part.low if part.depth is None else params[part.depth]
            fields = tuple(part.layer.open_fields)
            for name in part.names[:depth]:
                choices = {field: params[f"{name}.{field}"] for field in fields}
                yield part.layer.choose(choices)

    def to_json(self) -> dict[str, Any]:
        layers = [
            {"repeat": [each.low, each.high], **each.layer.to_json()}
            if isinstance(each, Repeat)
            else each.to_json()
            for each in self.layers
        ]
        return {"layers": layers, "min_resolution": self.min_resolution}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Return the space that `to_json` wrote, without its `input_shape`."""
        layers: list[Layer | Repeat] = []
        for each in value["layers"]:
            layer = layer_from_json({k: v for k, v in each.items() if k != "repeat"})
            layers.append(repeat(layer, *each["repeat"]) if "repeat" in each else layer)
        return cls(*layers, min_resolution=value["min_resolution"])

    @cached_property
    def distinct(self) -> int | None:
        """The exact number of different networks for images of `input_shape`.

        Unlike `size` it counts a network once, even if several choices of strides, pools and depths
        lead to it. It is None if there are too many ways to spell the networks to be counted.

        Raises SpaceError if `input_shape` is not set.
        """
        if self.input_shape is None:
            raise SpaceError("Space.input_shape: not set; call space.on(dataset.input_shape)")
        layers = [part.layer for part in self.parts for _ in part.names]
        exits: dict[int, int] = {}
        start = 0
        for part in self.parts:
            end = start + len(part.names)
            exits.update(dict.fromkeys(range(start + part.low, end), end))
            start = end
        return distinct_networks(layers, exits, self.input_shape[1:], self.min_resolution)
