"""The references: networks that nobody searched for, to be trained beside the winner of a search.

Three are of families from the literature, as near as the space comes to them; one is the largest
network within the limits, one a random network that is typical.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nasopt.analysis.record import Record
from nasopt.samplers.baselines.largest import Lattice
from nasopt.samplers.problem import Problem
from nasopt.search.experiment import Experiment
from nasopt.space.architecture import Architecture
from nasopt.space.fields import Open, Real
from nasopt.space.layers import Conv, Dense, Layer, Pool
from nasopt.space.space import Space
from nasopt.text import listed
from nasopt.training.metrics import in_words

LARGEST, TYPICAL = "largest", "median random"
LEAST_MAP = 4  # pixels: a family halves the map while it stays as large as this
NARROWER = 0.5**0.5  # a step to a narrower member of a family
STEPS = 9
KERNELS = (3, 1)  # pixels: that of the families, and where none fits, the smallest
DEPTHS = (1.0, 0.75, 0.5, 0.25, 0.0)  # shares of the depths that the space has
FEWEST_RANDOM = 5  # trials by random sampling whose middle is typical
DRAWN = 101  # random networks, where no study has trained any
DRAW_SEED = 0


@dataclass(frozen=True)
class Reference:
    """A network to compare with; `how` says how near it is to its name, or where it is from.

    One that `lacks` what its family consists of does not go by that name alone.
    """

    name: str
    how: str
    architecture: Architecture
    lacks: str = ""  # the word for the family's convolutions, if it has none of them


@dataclass(frozen=True)
class Family:
    """A family of networks: 3x3 convolutions of one kind, which widen as the map is halved."""

    name: str
    op: str
    word: str  # for such a convolution
    dense: bool  # whether hidden dense layers come after

    def wanted_op(self, place: int) -> str:
        """Return the kind of convolution number `place`: the first one is plain in each family."""
        return self.op if place else "conv"


FAMILIES = (
    Family("VGG-like", "conv", "plain", dense=True),
    Family("ResNet-like", "residual", "residual", dense=False),
    Family("MobileNet-like", "separable", "separable", dense=False),
)


def references(
    experiment: Experiment, studies: Sequence[Record], problem: Problem
) -> tuple[list[Reference], list[str]]:
    """Return the different references of an experiment, and a sentence for each that there is not.

    Several that are the same network are one. `problem` is the experiment's, with the costs and
    limits to go by.
    """
    assert isinstance(experiment.space, Space)
    found = {family.name: _of_family(experiment.space, problem, family) for family in FAMILIES}
    found |= {LARGEST: _largest(problem), TYPICAL: _typical(experiment, studies)}
    missing = [
        f"No {name} network was found within the limits."
        for name, each in found.items()
        if each is None
    ]
    alike: dict[str, list[Reference]] = {}
    for each in filter(None, found.values()):
        alike.setdefault(each.architecture.key, []).append(each)
    return [_joined(each) for each in alike.values()], missing


def _of_family(space: Space, problem: Problem, family: Family) -> Reference | None:
    architecture = member(space, problem, family)
    if architecture is None or not _convolutions(architecture):  # only blocks of the user's own
        return None
    right, count = _of_its_kind(family, architecture)
    lacks = family.word if count and not right else ""
    return Reference(family.name, nearness(family, architecture), architecture, lacks)


def _joined(alike: Sequence[Reference]) -> Reference:
    """Return references that are one network as one, after those of them that it is like."""
    named = [each for each in alike if not each.lacks] or alike[:1]
    others = [each for each in alike if each not in named]
    if len(named) == 1:
        how = named[0].how
    else:
        how = "; ".join(f"{each.name}: {each.how}" for each in named)
    name = " = ".join(each.name for each in named)
    return Reference(name, "; ".join([how, *_also(others)]), named[0].architecture)


def _also(others: Sequence[Reference]) -> Iterator[str]:
    """Yield a clause on the families that the space has no network of, if there are any."""
    if others:
        words = " or ".join(each.lacks for each in others)
        names = listed([each.name for each in others])
        yield f"also the nearest to {names}, though none of its convolutions is {words}"


def member(space: Space, problem: Problem, family: Family) -> Architecture | None:
    """Return the member of a family that the space comes nearest to; None if none is feasible.

    It is the deepest and widest within the limits: narrower ones are tried first, then shallower,
    and at last those with smaller kernels.
    """
    for kernel, depth, step in itertools.product(KERNELS, DEPTHS, range(STEPS)):
        wished = _wished(space, family, depth, NARROWER**step, kernel)
        architecture = space.decode(dict(wished))
        violations = problem.violations(problem.cost(architecture))
        if all(each <= 0 for each in violations.values()):
            return architecture
    return None


def _wished(
    space: Space, family: Family, depth: float, width: float, kernel: int
) -> Iterator[tuple[str, Any]]:
    """Yield the value of each parameter that comes nearest to the family's wish."""
    chosen: list[tuple[str, Layer]] = []
    for part in space.parts:
        most, high = len(part.names), depth
        if part.layer.kind == "dense":
            high = depth if family.dense else 0.0
        count = round(part.low + (most - part.low) * high)
        if part.depth is not None:
            yield part.depth, count
        chosen += [(name, part.layer) for name in part.names[: count if part.depth else most]]
    convolutions = [name for name, layer in chosen if isinstance(layer, Conv)]
    pooled = any(isinstance(layer, Pool) for _, layer in chosen)
    assert space.input_shape is not None
    halved = int(math.log2(max(1, min(space.input_shape[1:]) / LEAST_MAP)))
    stages = min(len(convolutions), 1 + halved)
    for name, layer in chosen:
        if isinstance(layer, Conv):
            place = convolutions.index(name)
            stage = place * stages // len(convolutions)
            first = place > 0 and stage != (place - 1) * stages // len(convolutions)
            wish: dict[str, Any] = {
                "op": family.wanted_op(place),
                "kernel_size": kernel,
                "stride": 2 if first and not pooled else 1,
                "filters": width * _most(layer.filters) / 2 ** (stages - 1 - stage),
            }
        elif isinstance(layer, Dense):
            wish = {"width": width * _most(layer.width)}
        elif layer.is_own:
            wish = {"stride": 1, "filters": width * _most(getattr(layer, "filters", 1))}
        else:
            wish = {"kernel_size": 2, "op": "max"}
        for field_name, field in layer.open_fields.items():
            yield f"{name}.{field_name}", _nearest(field, wish.get(field_name))


def _most(value: Any) -> int:
    """Return the largest number that a field may have, of a block's own field of words 1."""
    return max(
        map(int, _numbers(_candidates(value) if isinstance(value, Open) else [value])), default=1
    )


def _numbers(values: Sequence[Any]) -> list[int | float]:
    """Return those of `values` that are numbers above 0; 0 leaves a part of a block out, say."""
    return [each for each in values if type(each) in (int, float) and each > 0]


def _candidates(field: Open) -> list[Any]:
    assert not isinstance(field, Real)  # layers have none
    return list(field.candidates)


def _nearest(field: Open, wish: Any) -> Any:
    """Return the candidate that is nearest to a wish: the word, or the nearest as a ratio."""
    candidates = _candidates(field)
    numbers = _numbers(candidates)
    if wish is None or isinstance(wish, str) or not numbers:
        return wish if wish in candidates else candidates[0]
    return min(numbers, key=lambda each: (abs(math.log(each / wish)), each))


def _of_its_kind(family: Family, architecture: Architecture) -> tuple[int, int]:
    """Return how many convolutions are of the family's kind, of how many that should be."""
    asked = [
        (place, each)
        for place, each in enumerate(_convolutions(architecture))
        if family.wanted_op(place) == family.op
    ]
    return sum(each.op == family.op for _, each in asked), len(asked)


def nearness(family: Family, architecture: Architecture) -> str:
    """Return how near it is to its family: "4 of 4 convolutions are plain, 4 of 4 are 3x3"."""
    right, count = _of_its_kind(family, architecture)
    kernels = [each.kernel_size for each in _convolutions(architecture)]
    behind = "" if count == len(kernels) else " after the first"
    return (
        f"{right} of {count} convolutions{behind} are {family.word}, "
        f"{kernels.count(3)} of {len(kernels)} are 3x3"
    )


def _convolutions(architecture: Architecture) -> list[Conv]:
    return [each for each in architecture.convolutions if isinstance(each, Conv)]


def _largest(problem: Problem) -> Reference | None:
    lattice = Lattice(problem)
    if lattice.network_at(lattice.start).excess > 0:
        return None
    architecture = problem.decode(next(lattice.largest_first()))
    assert isinstance(architecture, Architecture)
    how = "the most MACs within the limits" if problem.limits else "the most MACs in the space"
    return Reference(LARGEST, how, architecture)


def _typical(experiment: Experiment, studies: Sequence[Record]) -> Reference | None:
    """Return the random network in the middle: by its score where a study has trained some."""
    by_random = [
        (trial.values[0], study.name, trial.number, trial.params)
        for study in studies
        if study.sampler == "random"
        for trial in study.complete
    ]
    if len(by_random) >= FEWEST_RANDOM:
        ranked = sorted(by_random, key=lambda each: each[:3])
        _, name, number, params = ranked[len(ranked) // 2]
        architecture = experiment.space.decode(params)
        assert isinstance(architecture, Architecture)
        by = f"the middle of {len(ranked)} random networks by {in_words(experiment.metric)}"
        return Reference(TYPICAL, f"{by}: trial {number} of {name}", architecture)
    drawn = experiment.sample(DRAWN, DRAW_SEED)
    networks = [each.architecture for each in drawn if isinstance(each.architecture, Architecture)]
    if not networks:
        return None
    ranked_by_macs = sorted(networks, key=lambda each: (experiment.cost(each).macs, each.key))
    how = f"the middle of {len(networks)} random networks by MACs"
    return Reference(TYPICAL, how, ranked_by_macs[len(ranked_by_macs) // 2])
