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


MOST_STEPS = 250_000  # of counting, which take about a second


def distinct_networks(
    layers: Sequence[Layer], exits: Mapping[int, int], resolution: Shape, min_resolution: int
) -> int | None:
    """Return the number of different networks for images of `resolution` (height, width).

    Return None if it takes too long to count, as with many repeats of different layers side by
    side.

    `exits` tells which layers may be left out: it leads from the index of such a layer to that of
    the layer after the repeat that it belongs to.
    """
    automaton = Automaton(layers, exits, min_resolution)
    total = steps = 0
    # number of networks that lead to a set of states, all of one length
    ways = {automaton.closure([(0, resolution)]): 1}
    while ways:
        longer: Counter[frozenset[State]] = Counter()
        for states, count in ways.items():
            if any(index == len(layers) for index, _ in states):
                total += count
            steps += sum(len(automaton.letters[index]) for index, _ in states)
            if steps > MOST_STEPS:
                return None
            for letter, following in automaton.moves(states).items():
                longer[automaton.closure(following)] += count * letter.weight
        ways = longer
    return total


class Automaton:
    """Reads the chosen layers of a network one after another.

    `letters` are those that each of `layers` may be, by its index; none after the last.
    """

    def __init__(
        self, layers: Sequence[Layer], exits: Mapping[int, int], min_resolution: int
    ) -> None:
        of_layer = {layer: list(_letters(layer, layers)) for layer in layers}
        self.letters = [*(of_layer[layer] for layer in layers), []]
        self._exits = exits
        self._min_resolution = min_resolution
        self._ways: dict[State, tuple[list[State], list[tuple[Letter, State]]]] = {}

    def closure(self, states: Iterable[State]) -> frozenset[State]:
        """Return `states` and all states that can be reached from them without a layer."""
        reached: set[State] = set()
        todo = list(states)
        while todo:
            state = todo.pop()
            if state not in reached:
                reached.add(state)
                todo += self._ways_from(state)[0]
        return frozenset(reached)

    def moves(self, states: Iterable[State]) -> dict[Letter, set[State]]:
        """Return the states that each letter leads to from any of `states`."""
        following: dict[Letter, set[State]] = {}
        for state in states:
            for letter, after in self._ways_from(state)[1]:
                following.setdefault(letter, set()).add(after)
        return following

    def _ways_from(self, state: State) -> tuple[list[State], list[tuple[Letter, State]]]:
        """Return the states next to `state` without a layer, and those with the letter read."""
        if state not in self._ways:
            index, resolution = state
            silent = [(self._exits[index], resolution)] if index in self._exits else []
            read: list[tuple[Letter, State]] = []
            for letter in self.letters[index]:
                layer = letter.layer.effective(resolution, self._min_resolution)
                if layer is None:
                    silent.append((index + 1, resolution))
                else:
                    after = index + 1, layer.shrink(resolution)
                    read.append((replace(letter, layer=layer), after))
            self._ways[state] = silent, read
        return self._ways[state]


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
