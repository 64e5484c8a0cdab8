"""The exact number of different networks that a sequence of open layers can spell.

Several choices of strides, pools and depths lead to one network. The open layers are a
nondeterministic automaton over chosen layers as its letters, and the subset construction makes it
deterministic, so that each network is counted once. Values that the same fields offer are counted
together, as one letter with a weight, so that wide fields cost nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from nasopt.space.fields import Categorical, Integer
from nasopt.space.layers import Layer, Shape

State = tuple[int, Shape]  # index of the layer to come, and the resolution before it


@dataclass(frozen=True)
class Letter:
    """A group of chosen layers that behave alike.

    `layer` is one of them, `name` tells the group from others, and `weight` is its size.
    """

    layer: Layer
    name: tuple[Any, ...]
    weight: int


MOST_STEPS = 250_000  # of counting, which take about two seconds


def distinct_networks(
    layers: Sequence[Layer], exits: Mapping[int, int], resolution: Shape, min_resolution: int
) -> int | None:
    """Return the number of different networks for images of `resolution` (height, width).

    Return None if it takes too long to count, as with many repeats of different layers side by
    side.

    `exits` tells which layers may be left out: it leads from the index of such a layer to that of
    the layer after the repeat that it belongs to.
    """
    alphabet = {layer: list(_letters(layer, layers)) for layer in layers}

    def closure(states: Iterable[State]) -> frozenset[State]:
        """Return `states` and all states that can be reached from them without a layer."""
        reached: set[State] = set()
        todo = list(states)
        while todo:
            state = index, resolution = todo.pop()
            if state in reached:
                continue
            reached.add(state)
            if index in exits:
                todo.append((exits[index], resolution))
            if index < len(layers) and any(
                letter.layer.effective(resolution, min_resolution) is None
                for letter in alphabet[layers[index]]
            ):
                todo.append((index + 1, resolution))
        return frozenset(reached)

    def moves(states: Iterable[State]) -> dict[Letter, set[State]]:
        following: dict[Letter, set[State]] = {}
        for index, resolution in states:
            for letter in alphabet[layers[index]] if index < len(layers) else ():
                layer = letter.layer.effective(resolution, min_resolution)
                if layer is not None:
                    after = (index + 1, layer.shrink(resolution))
                    following.setdefault(replace(letter, layer=layer), set()).add(after)
        return following

    total = steps = 0
    ways = {closure([(0, resolution)]): 1}  # number of networks that lead there, of one length
    while ways:
        longer: Counter[frozenset[State]] = Counter()
        for states, count in ways.items():
            if any(index == len(layers) for index, _ in states):
                total += count
            steps += sum(len(alphabet[layers[i]]) for i, _ in states if i < len(layers))
            if steps > MOST_STEPS:
                return None
            for letter, following in moves(states).items():
                longer[closure(following)] += count * letter.weight
        ways = longer
    return total


def _letters(layer: Layer, layers: Sequence[Layer]) -> Iterator[Letter]:
    """Yield the letters of an open layer; `layers` are all layers of the space."""
    letters = [Letter(layer, (layer.kind,), 1)]
    for field in fields(layer):
        letters = [
            Letter(
                replace(letter.layer, **{field.name: value}),
                (*letter.name, group),
                letter.weight * size,
            )
            for letter in letters
            for value, group, size in _groups(layer, field.name, layers)
        ]
    yield from letters


def _groups(layer: Layer, name: str, layers: Sequence[Layer]) -> Iterator[tuple[Any, Any, int]]:
    """Yield (a value, the group's name, its size) for each group of values of field `name`.

    Values form a group if the same layers offer them. Those that decide the resolution stay alone,
    and are told apart by the layer that they make, since a stride may act as another; their
    group's name is None.
    """
    offers = [_values(each, name) for each in dict.fromkeys(layers) if each.kind == layer.kind]
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for value in _values(layer, name):
        alone = value if name in layer.shrinking else None
        groups.setdefault((alone, *(value in offer for offer in offers)), []).append(value)
    for group, values in groups.items():
        representative = min(values, key=repr)  # the same one wherever the group is offered
        yield representative, None if name in layer.shrinking else group, len(values)


def _values(layer: Layer, name: str) -> Sequence[Any]:
    value = getattr(layer, name)
    return value.candidates if isinstance(value, Categorical | Integer) else (value,)
