"""`Networks`: many networks of a space at once, as arrays.

A sampler that looks at a thousand candidates for a trial cannot build each. The effects of strides
and pools at a resolution are asked of the layers, once; costs are closed forms, and the tests
assert that they equal what `model.cost` measures.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nasopt.space.fields import Categorical, Integer
from nasopt.space.layers import CONV_OPS, EXPANSION, Conv, Dense, Layer
from nasopt.space.space import Space

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Survey:
    """The canonical forms, costs and features of n networks.

    `places` (n, parameters) is their canonical form: for each parameter the index of its value
    among the candidates, 0 where it has no effect; `active`, of the same shape, tells where it has
    one. `costs` has (n,) counts by the names of limits. `features` (n, k) are a few numbers of each
    whole network that its accuracy may depend on.
    """

    places: Ints
    active: Bools
    costs: dict[str, Floats]
    features: Floats


class Surveys(Protocol):
    """An object that can survey many networks at once."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def features(self) -> tuple[str, ...]: ...

    def survey(self, places: Ints) -> Survey: ...


@dataclass(frozen=True)
class Effects:
    """The effects of a layer, by resolution (rows) and value of its `shrinking` field (columns).

    `place` is the first of the values that do the same, `stride` the one that it acts as, `after`
    the index of the resolution that it leaves, and `idle` tells whether the layer does nothing at
    all. `candidates` are the values of its open fields.
    """

    place: Ints
    stride: Ints
    after: Ints
    idle: Bools
    candidates: dict[str, NDArray[Any]]


class Networks:
    """The networks of `space` (with its `input_shape`) for a data set of `classes`."""

    features = ("log parameters", "log macs", "depth", "log2 total stride")

    def __init__(self, space: Space, classes: int) -> None:
        assert space.input_shape is not None
        self.space = space
        self.channels = space.input_shape[0]
        self.classes = classes
        self.names = tuple(space.hyperparameters)
        self._column = {name: column for column, name in enumerate(self.names)}
        self._resolutions = [space.input_shape[1:]]
        self._effects = self._all_effects()
        self._areas = np.array([float(h * w) for h, w in self._resolutions])

    def survey(self, places: Ints) -> Survey:
        """Return the survey of n networks, given by the values of their parameters.

        `places` (n, parameters), in the order of `names`, has the index of each value among the
        candidates of its field, from 0.
        """
        n = len(places)
        canonical, active = places.copy(), np.zeros(places.shape, dtype=bool)
        resolution = np.zeros(n, dtype=np.int64)
        channels = np.full(n, float(self.channels))
        parameters, macs, depth = np.zeros(n), np.zeros(n), np.zeros(n)
        for part in self.space.parts:
            used = np.full(n, part.low)
            if part.depth is not None:
                used += places[:, self._column[part.depth]]
                active[:, self._column[part.depth]] = True
            for position, name in enumerate(part.names):
                columns = {f: self._column[f"{name}.{f}"] for f in part.layer.open_fields}
                shrinking = next((columns[f] for f in part.layer.shrinking if f in columns), None)
                effects = self._effects[part.layer]
                place = resolution * 0 if shrinking is None else places[:, shrinking]
                works = np.greater(used, position) & ~effects.idle[resolution, place]
                active[:, list(columns.values())] = works[:, None]
                if shrinking is not None:
                    canonical[:, shrinking] = effects.place[resolution, place]
                    matters = np.any(effects.place, axis=1)[resolution]
                    active[:, shrinking] = np.greater(used, position) & matters
                stride = effects.stride[resolution, place]
                before, entered = self._areas[resolution], resolution
                resolution = np.where(works, effects.after[resolution, place], resolution)
                opened = effects.candidates
                values = vars(part.layer) | {f: opened[f][places[:, c]] for f, c in columns.items()}
                areas = before, self._areas[resolution]
                if part.layer.is_own:
                    chosen = {f: places[:, c] for f, c in columns.items()}
                    cost = self._measured(part.layer, chosen, stride, channels, entered, works)
                else:
                    cost = _cost(part.layer, values, channels, stride, areas)
                parameters += np.where(works, cost[0], 0)
                macs += np.where(works, cost[1], 0)
                depth += works
                channels = np.where(works, cost[2], channels)
        parameters += (channels + 1) * self.classes
        macs += channels * self.classes
        canonical[~active] = 0
        halvings = np.log2(self._areas[0] / self._areas[resolution]) / 2
        features = np.stack([np.log(parameters), np.log(macs), depth, halvings], axis=1)
        return Survey(canonical, active, {"parameters": parameters, "macs": macs}, features)

    def _measured(
        self, layer: Layer, places: dict[str, Ints], stride: Ints, channels: Floats,
        resolution: Ints, works: Bools,
    ) -> tuple[Any, Any, Any]:  # fmt: skip
        """Return (parameters, MACs, output channels) of a block of the user's, each kind built."""
        from nasopt.space.model import layer_cost  # it imports torch

        table = np.zeros((len(works), 3))
        rows = np.column_stack([channels, resolution, stride, *places.values()])[works]
        kinds, kind_of = np.unique(rows.astype(np.int64), axis=0, return_inverse=True)
        found = []
        for channel, place, by, *each in kinds.tolist():
            fields = layer.open_fields
            values = {f: candidates(fields[f])[at] for f, at in zip(places, each, strict=True)}
            acting = {"stride": by} if "stride" in layer.shrinking else {}
            chosen = replace(layer, **(values | acting))
            cost = layer_cost(chosen, (channel, *self._resolutions[place]))
            found.append((cost.parameters, cost.macs, cost.out_shape[0]))
        if found:
            table[works] = np.array(found)[kind_of.reshape(-1)]
        return table[:, 0], table[:, 1], table[:, 2]

    def _all_effects(self) -> dict[Layer, Effects]:
        """Return the effects by open layer; `_resolutions` grows to all that any can leave."""
        layers = list(dict.fromkeys(part.layer for part in self.space.parts))
        rows: dict[Layer, list[Any]] = {layer: [] for layer in layers}
        for resolution in self._resolutions:  # it grows while it is read
            for layer in layers:
                rows[layer].append(self._effects_at(layer, resolution))
        found = {}
        for layer in layers:
            place, stride, after, idle = map(np.array, zip(*rows[layer], strict=True))
            opened = {name: np.array(candidates(f)) for name, f in layer.open_fields.items()}
            found[layer] = Effects(place, stride, after, idle, opened)
        return found

    def _effects_at(self, layer: Layer, resolution: tuple[int, ...]) -> tuple[list[Any], ...]:
        """Return one row of each table of `Effects`."""
        chosen = _spelled_out(layer)
        made = [each.effective(resolution, self.space.min_resolution) for each in chosen]
        strides, after = [], []
        for each in made:
            left = resolution if each is None else each.shrink(resolution)
            if left not in self._resolutions:
                self._resolutions.append(left)
            after.append(self._resolutions.index(left))
            shrinks = each is not None and "stride" in each.shrinking
            strides.append(each.chosen("stride") if each is not None and shrinks else 1)
        return [made.index(each) for each in made], strides, after, [each is None for each in made]


def _spelled_out(layer: Layer) -> list[Layer]:
    """Return the layer for each value of the field that shrinks, all others taking their first."""
    fields = {name: candidates(field) for name, field in layer.open_fields.items()}
    first = layer.choose({name: values[0] for name, values in fields.items()})
    name = next((name for name in layer.shrinking if name in fields), None)
    return [first] if name is None else [replace(first, **{name: v}) for v in fields[name]]


def candidates(field: Any) -> list[Any]:
    """Return the values of an open field in order, which the places of a survey count."""
    assert isinstance(field, Categorical | Integer)
    return list(field.candidates)


def _cost(
    layer: Layer,
    values: dict[str, Any],
    channels: Floats,
    stride: Ints,
    areas: tuple[Floats, Floats],
) -> tuple[Any, Any, Any]:
    """Return (parameters, MACs, output channels) of a layer.

    `areas` are the pixels of the map before it and of the one that it leaves.
    """
    if isinstance(layer, Dense):
        width = values["width"]
        return (channels + 1) * width, channels * width, width
    if not isinstance(layer, Conv):
        return 0, 0, channels
    filters, pixels = values["filters"], values["kernel_size"] ** 2
    full, point = pixels * channels * filters, channels * filters

    def counts(op: str) -> tuple[Any, Any, Any]:
        """Return the weights that work on the map before and on the one left, and their outputs."""
        if op == "separable":
            return 0, pixels * channels + point, filters + channels
        if op == "inverted":
            wide = EXPANSION * channels
            return wide * channels, wide * (pixels + filters), 2 * wide + filters
        if op == "conv":
            return 0, full, filters
        shortcut = (channels != filters) | (stride != 1)
        second = pixels * filters * filters if op == "basic" else 0
        convolutions = 2 if op == "basic" else 1
        return 0, full + second + shortcut * point, (convolutions + shortcut) * filters

    ops = values["op"]
    if isinstance(ops, str):
        early, late, outputs = counts(ops)
    else:
        each = zip(*map(counts, CONV_OPS), strict=True)  # all, since no networks have no ops
        early, late, outputs = (
            np.select([ops == kind for kind in CONV_OPS], list(of)) for of in each
        )
    of_norms = np.where(values["norm"] == "none", 1, 2) * outputs  # a bias, or a scale and a shift
    return early + late + of_norms, early * areas[0] + late * areas[1], filters
