"""The preferences of a search: how often each choice is made among the best networks, and in all.

Choices are those that act: a stride on a map of one pixel is 1, and a layer beyond the depth, or a
pool that does nothing, has no choices.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nasopt.analysis.effective_layers import EffectiveLayers
from nasopt.analysis.record import Record, furthest_trained
from nasopt.pareto import fronts
from nasopt.space.fields import Categorical, Integer, Open, Real

BEST = 0.1  # the share of the networks that are the best
FEWEST = 21  # networks, of which three are the best tenth
FEWEST_BEST = 3  # for a share among them
MOST = 9  # numbers of a field that are counted one by one; more of them in RANGES
RANGES = 5


@dataclass(frozen=True)
class Preference:
    """One kind of choice, "filters" say, in each place that has it.

    `best` and `all` (places, choices) are shares, from 0 to 1, of the networks that have the place:
    `having` of the best do. None for a choice that is not possible there, or where hardly any
    network has it.
    """

    kind: str
    places: tuple[str, ...]  # "conv01", ...
    choices: tuple[str, ...]
    having: tuple[int, ...]
    best: tuple[tuple[float | None, ...], ...]
    all: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Contrast:
    """A choice at a place, its shares, and the difference that may be `luck`."""

    kind: str
    place: str
    choice: str
    best: float
    all: float
    luck: float

    @property
    def difference(self) -> float:
        return self.best - self.all


@dataclass(frozen=True)
class Preferences:
    """The preferences in `n_networks` different networks, of which `n_best` are the best tenth.

    With two objectives they are those on the Pareto front, and on the next ones up to a tenth.
    """

    n_networks: int
    n_best: int
    two_objectives: bool
    by_kind: tuple[Preference, ...]

    @property
    def contrasts(self) -> list[Contrast]:
        """Every choice, the one with the least luck first.

        A share among the best is that of a sample: 95 % of those lie within 1.96 standard errors
        of the share in all (a normal approximation, held away from 0 and 1 by Laplace's rule).
        """
        found = []
        for kind in self.by_kind:
            rows = zip(kind.places, kind.having, kind.best, kind.all, strict=True)
            for place, having, bests, tried in rows:
                for choice, best, share in zip(kind.choices, bests, tried, strict=True):
                    if best is not None and share is not None:
                        held = (share * having + 1) / (having + 2)
                        luck = 1.96 * math.sqrt(held * (1 - held) / having)
                        found.append(Contrast(kind.kind, place, choice, best, share, luck))
        return sorted(found, key=lambda each: -abs(each.difference) / each.luck)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def preferences(studies: Sequence[Record]) -> Preferences | None:
    """Return the preferences in `studies` of one experiment.

    None below 21 different networks, or below 3 that are the best.

    The best are of those that were trained to their end; all are within the limits in force.
    """
    tried = furthest_trained(studies, within_limits=True)
    complete = [trial for trial in tried if trial.state is TrialState.COMPLETE]
    if len(tried) < FEWEST or len(complete) < FEWEST_BEST:
        return None
    two = len(studies[0].objectives) > 1
    best = _best(complete, math.ceil(BEST * len(tried)), two)
    fields = studies[0].search_space
    chosen = _acting(studies[0])
    return Preferences(
        n_networks=len(tried),
        n_best=len(best),
        two_objectives=two,
        by_kind=tuple(_preferences(fields, [chosen(t) for t in best], [chosen(t) for t in tried])),
    )


def _best(complete: Sequence[FrozenTrial], count: int, two_objectives: bool) -> list[FrozenTrial]:
    """Return the `count` most accurate; with two objectives front after front, up to as many."""
    if not two_objectives:
        return sorted(complete, key=lambda trial: -trial.values[0])[:count]
    best: list[FrozenTrial] = []
    accuracies, costs = zip(*(trial.values for trial in complete), strict=True)
    for rows in fronts(accuracies, costs):
        if len(best) >= count:
            break
        best += [complete[row] for row in rows]
    return best


def _acting(study: Record) -> Callable[[FrozenTrial], Mapping[str, Any]]:
    """Map each trial to the choices that act in its network, by parameter."""
    if study.is_benchmark:
        return lambda trial: trial.params
    space = study.experiment.network_space
    acting = EffectiveLayers(space)
    layers = {name: tuple(p.layer.open_fields) for p in space.parts for name in p.names}
    whole = [
        name
        for name in study.search_space
        if name.endswith(".depth") or name not in space.hyperparameters
    ]

    def chosen(trial: FrozenTrial) -> Mapping[str, Any]:
        found = {name: trial.params[name] for name in whole}
        for name, layer in acting.layers(trial.params).items():
            for field in layers[name]:
                found[f"{name}.{field}"] = getattr(layer, field)
        return found

    return chosen


def _preferences(
    fields: Mapping[str, Open],
    best: Sequence[Mapping[str, Any]],
    tried: Sequence[Mapping[str, Any]],
) -> Iterator[Preference]:
    kinds: dict[str, dict[str, Open]] = {}
    for name, field in fields.items():
        kinds.setdefault(kind_of(name), {})[name] = field
    for kind, members in kinds.items():
        labelled = {
            name: [
                [_label(field, each[name]) for each in those if name in each]
                for those in (best, tried)
            ]
            for name, field in members.items()
        }
        known = (_label(field, v) for field in members.values() for v in _candidates(field))
        seen = (label for _, there in labelled.values() for label in sorted(set(there)))
        labels = tuple(dict.fromkeys((*known, *seen)))
        yield Preference(
            kind=kind,
            places=tuple(name.partition(".")[0] for name in members),
            choices=labels,
            having=tuple(len(among) for among, _ in labelled.values()),
            best=tuple(_shares(among, there, labels) for among, there in labelled.values()),
            all=tuple(_shares(there, there, labels) for _, there in labelled.values()),
        )


def kind_of(name: str) -> str:
    """Return the kind of a parameter: "conv.filters" of "conv03.filters", "op" of "op_3"."""
    place, _, field = name.partition(".")
    return ".".join(filter(None, (place.rstrip("0123456789").rstrip("_ "), field))) or name


def _candidates(field: Open) -> Sequence[Any]:
    """Return the choices of `field`, or one of each range at least."""
    if isinstance(field, Categorical) or (isinstance(field, Integer) and field.size <= MOST):
        return field.candidates
    return [(low + high) / 2 for low, high in pairwise(_edges(field))]


def _is_counted(field: Open) -> bool:
    """Return whether the choices of `field` are counted one by one, not in ranges of numbers."""
    if isinstance(field, Categorical):
        return field.size <= MOST or not all(type(each) in (int, float) for each in field.choices)
    return isinstance(field, Integer) and field.size <= MOST


def _label(field: Open, value: Any) -> str:
    if _is_counted(field):
        return str(value)
    if isinstance(field, Categorical):
        numbers = sorted(field.choices)
        starts = [len(numbers) * part // RANGES for part in range(RANGES + 1)]
        place = bisect_right(starts, numbers.index(value))
        return f"{numbers[starts[place - 1]]} to {numbers[starts[place] - 1]}"
    edges = _edges(field)
    place = min(max(bisect_right(edges, value), 1), RANGES)
    low, high = edges[place - 1 : place + 1]
    if isinstance(field, Integer):
        return f"{math.ceil(low)} to {field.high if place == RANGES else math.ceil(high) - 1}"
    return f"{low:.3g} to {high:.3g}"


def _edges(field: Integer | Real) -> list[float]:
    """Return the edges of `RANGES` ranges of numbers, equally wide on the scale of the draws."""
    steps = [step / RANGES for step in range(RANGES + 1)]
    if isinstance(field, Real) and field.log:
        return [field.low * (field.high / field.low) ** step for step in steps]
    return [field.low + (field.high - field.low) * step for step in steps]


def _shares(
    among: Sequence[str], there: Sequence[str], labels: Sequence[str]
) -> tuple[float | None, ...]:
    counts, tried = Counter(among), set(there)
    enough = len(among) >= FEWEST_BEST
    return tuple(
        counts[label] / len(among) if enough and label in tried else None for label in labels
    )
