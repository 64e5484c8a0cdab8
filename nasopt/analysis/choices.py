"""What a search prefers where: how often each choice is made among the best networks, and in all.

Choices are those that act: a stride on a map of one pixel is 1, and a layer beyond the depth, or a
pool that does nothing, has no choices.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nasopt.analysis.front import front
from nasopt.analysis.record import Record
from nasopt.claims import EXPERIMENT, FREE
from nasopt.fields import Categorical, Choice, Integer, Open, Real, field_from_json
from nasopt.layers import Layer
from nasopt.space import Space

BEST = 0.1  # the share of the networks that are the best
FEWEST = 10  # networks, of which the best are told apart
MOST = 9  # choices of a field that are counted one by one; more of them in RANGES
RANGES = 5


@dataclass(frozen=True)
class Preference:
    """One kind of choice, "filters" say, in each place that has it.

    `best` and `all` (places, choices) are shares, from 0 to 1, of the networks that have the place;
    None for what cannot be chosen there, or where none has the place.
    """

    kind: str
    places: tuple[str, ...]  # "conv01", ...
    choices: tuple[str, ...]
    best: tuple[tuple[float | None, ...], ...]
    all: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Choices:
    """`networks` different ones were tried; `best` of them are the best tenth, or the front.

    `luck` is how far a share among `best` may well be from that in all without meaning anything.
    """

    networks: int
    best: int
    is_front: bool
    preferences: tuple[Preference, ...]

    @property
    def luck(self) -> float:
        """95 % of a share of a half, by the normal approximation: the widest there is."""
        return 1.96 * math.sqrt(0.25 / self.best)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "luck": self.luck}


def choices(studies: Sequence[Record]) -> Choices | None:
    """Of `studies` of one experiment; None below ten different networks, or where none is complete.

    The best are a tenth of all, of those that were trained to their end the most accurate; with two
    objectives they are the Pareto front.
    """
    networks = _networks(studies)
    complete = [trial for trial in networks if trial.state is TrialState.COMPLETE]
    if len(networks) < FEWEST or not complete:
        return None
    is_front = len(complete[0].values) > 1
    if is_front:
        best = front(complete, lambda trial: (trial.values[0], trial.values[1]))
    else:
        best = sorted(complete, key=lambda trial: -trial.values[0])
        best = best[: math.ceil(BEST * len(networks))]
    fields = _fields(studies[0])
    chosen = _reader(studies[0])
    return Choices(
        networks=len(networks),
        best=len(best),
        is_front=is_front,
        preferences=tuple(
            _preferences(fields, [chosen(t) for t in best], [chosen(t) for t in networks])
        ),
    )


def _networks(studies: Sequence[Record]) -> list[FrozenTrial]:
    """A trial of each network that was trained: the one that took it furthest."""
    furthest: dict[str, FrozenTrial] = {}
    for trial in (trial for study in studies for trial in study.trials):
        key = trial.user_attrs.get("key")
        if key is None or FREE in trial.user_attrs or not trial.state.is_finished():
            continue
        known = furthest.get(key)
        if known is None or (known.state, trial.state) == (TrialState.PRUNED, TrialState.COMPLETE):
            furthest[key] = trial
    return list(furthest.values())


def _fields(study: Record) -> dict[str, Open]:
    """Name -> open field, of the space and the recipe."""
    begun = study.attrs[EXPERIMENT]
    if "table" in begun["space"]:
        return {name: field_from_json(each) for name, each in begun["space"]["table"].items()}
    return {**study.begun.space.parameters, **study.begun.recipe.parameters}


class _Acting:
    """Trial -> the choices that act in its network, by parameter."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.known: dict[tuple[Any, ...], Layer] = {}  # a search makes few different layers

    def __call__(self, trial: FrozenTrial) -> dict[str, Choice]:
        params = trial.params
        found = {n: v for n, v in params.items() if n.startswith("recipe.")}
        assert self.space.input_shape is not None
        resolution = self.space.input_shape[1:]
        for number, part in enumerate(self.space.parts):
            depth = part.low if part.depth is None else params[part.depth]
            if part.depth is not None:
                found[part.depth] = depth
            for name in part.names[:depth]:
                chosen = {each: params[f"{name}.{each}"] for each in part.layer.open_fields}
                key = (number, *chosen.values())
                if key not in self.known:
                    self.known[key] = part.layer.choose(chosen)
                layer = self.known[key].effective(resolution, self.space.min_resolution)
                if layer is not None:
                    resolution = layer.shrink(resolution)
                    found |= {f"{name}.{each}": layer.chosen(each) for each in chosen}
        return found


def _reader(study: Record) -> Any:
    if "table" in study.attrs[EXPERIMENT]["space"]:
        return lambda trial: trial.params
    return _Acting(study.begun.space)


def _preferences(
    fields: Mapping[str, Open],
    best: Sequence[Mapping[str, Any]],
    tried: Sequence[Mapping[str, Any]],
) -> Iterator[Preference]:
    kinds: dict[str, dict[str, Open]] = {}
    for name, field in fields.items():
        kinds.setdefault(_kind(name), {})[name] = field
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
            best=tuple(_shares(among, there, labels) for among, there in labelled.values()),
            all=tuple(_shares(there, there, labels) for _, there in labelled.values()),
        )


def _kind(name: str) -> str:
    """ "conv03.filters" is a choice of the kind "conv.filters"; "op_3" of a table is an "op"."""
    place, _, field = name.partition(".")
    return ".".join(filter(None, (place.rstrip("0123456789").rstrip("_ "), field))) or name


def _candidates(field: Open) -> Sequence[Any]:
    """The choices of `field`, or one of each range."""
    if isinstance(field, Categorical | Integer) and field.size <= MOST:
        return field.candidates
    return [(low + high) / 2 for low, high in pairwise(_edges(field))]


def _label(field: Open, value: Any) -> str:
    if isinstance(field, Categorical | Integer) and field.size <= MOST:
        return str(value)
    edges = _edges(field)
    place = min(max(bisect_right(edges, value), 1), RANGES)
    return f"{edges[place - 1]:.3g} to {edges[place]:.3g}"


def _edges(field: Open) -> list[float]:
    """Of `RANGES` ranges of numbers, equally wide on the scale on which they are drawn."""
    if isinstance(field, Categorical):
        return []
    steps = [step / RANGES for step in range(RANGES + 1)]
    if isinstance(field, Real) and field.log:
        return [field.low * (field.high / field.low) ** step for step in steps]
    return [field.low + (field.high - field.low) * step for step in steps]


def _shares(
    among: Sequence[str], there: Sequence[str], labels: Sequence[str]
) -> tuple[float | None, ...]:
    counts = Counter(among)
    return tuple(
        counts[label] / len(among) if among and label in set(there) else None for label in labels
    )
