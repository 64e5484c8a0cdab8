"""`Largest`: the largest network within the limits, then the next, and so on.

A baseline that knows nothing of accuracy: where more computation is better whatever its form, no
search is needed.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nasopt.errors import SpaceError, Unsuitable
from nasopt.samplers.problem import Problem
from nasopt.space.fields import Categorical, Integer
from nasopt.storage.attributes import FIXED_PARAMS

AHEAD = 50  # networks within limits that are looked at before the largest of them is dealt

Rungs = tuple[int, ...]  # of each parameter's ladder, 0 being the largest network's


class Largest(RandomSampler):
    """A sampler of networks in falling order of their MACs, then of their parameters.

    MACs come first, since parameters do not show at which resolution a layer works; if a table does
    not know MACs, parameters alone decide. Open fields of the recipe are drawn at random. Trial n
    gets the n-th network (enqueued trials not counted), so the study is the only state. The study
    ends when there are no more networks.

    Raises SpaceError if no network is within the limits.
    """

    def __init__(self, problem: Problem, seed: int | None = None) -> None:
        super().__init__(seed)
        self.lattice = Lattice(problem)
        self._walk: Iterator[dict[str, Any]] | None = None
        self._found: list[dict[str, Any]] = []

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        distributions = self.lattice.problem.distributions
        return {name: distributions[name] for name in self.lattice.names}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self.lattice.network_at(self.lattice.start).excess > 0:
            raise SpaceError(self.lattice.no_feasible_network())
        return self._first(_place(study, trial) + 1)[-1]

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        count = _place(study, trial) + 1
        if len(self._first(count + 1)) <= count:
            study.stop()

    def _first(self, count: int) -> list[dict[str, Any]]:
        """Return the first `count` networks, or all if there are fewer."""
        if self._walk is None:
            self._walk = self.lattice.largest_first()
        self._found += islice(self._walk, max(0, count - len(self._found)))
        return self._found[:count]


def _place(study: Study, trial: FrozenTrial) -> int:
    """Return the number of networks of the order that were dealt before `trial`.

    It is read from the storage, as with Hyperband `study` shows the trials of one bracket only.
    """
    return sum(
        each.number < trial.number and FIXED_PARAMS not in each.system_attrs
        for each in study._storage.get_all_trials(study._study_id, deepcopy=False)
    )


@dataclass(frozen=True)
class LatticeNetwork:
    """A network of the lattice. `excess` is the share by which it is over its worst limit."""

    size: tuple[int, int]  # MACs, parameters
    excess: float
    key: str


class Lattice:
    """A space whose parameters are ladders from the value of the largest network downwards."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.fields = {
            name: field
            for name, field in problem.search_space.items()
            if isinstance(field, Categorical | Integer) and not name.startswith("recipe.")
        }
        self.names = list(self.fields)
        self._networks: dict[Rungs, LatticeNetwork] = {}

    @cached_property
    def ladders(self) -> list[list[Any]]:
        """The values of each parameter, those of large networks first.

        Those of one parameter are ordered with all others at the top: in the network that no change
        of a single parameter makes larger.
        """
        top = {name: field.candidates[-1] for name, field in self.fields.items()}
        ladders: dict[str, list[Any]] = {}
        before = None
        while before != top:
            before = dict(top)
            for name, field in self.fields.items():
                sizes = {
                    value: self._measure(top | {name: value}).size for value in field.candidates
                }
                ladders[name] = sorted(sizes, key=lambda value: sizes[value], reverse=True)
                if sizes[ladders[name][0]] > sizes[top[name]]:
                    top[name] = ladders[name][0]
        return [ladders[name] for name in self.names]

    def no_feasible_network(self) -> str:
        """Return the error message of a search that went all the way down and found none."""
        cost = self.problem.cost(self.problem.decode(self.params(self.start)))
        limits = self.problem.limits
        remedies = [each.remedy(getattr(cost, each.quantity)) for each in limits]
        return (
            f"limits: no network with {' and '.join(map(str, limits))} was found; "
            f"{'; '.join(remedies)}"
        )

    @cached_property
    def start(self) -> Rungs:
        """The point from which no step and no exchange leads to a larger network within the limits.

        If no network within them is found, it is the last one on the way down.
        """
        here = self._lowered((0,) * len(self.names), kept=None)[-1]
        while self.network_at(here).excess <= 0:
            best = max(
                self.neighbours(here), key=lambda each: self.network_at(each).size, default=here
            )
            if self.network_at(best).size <= self.network_at(here).size:
                break
            here = best
        return here

    def largest_first(self) -> Iterator[dict[str, Any]]:
        """Yield the parameters of different networks within the limits, the largest first.

        The lattice is searched best-first, so nothing is enumerated that is not asked for. The
        order is exact if there are no limits and every rung down makes a network smaller. Within
        limits exactness is a knapsack problem: the order is then that of a search by exchanges,
        which looks 50 networks ahead. (On 3 to 6 layers with at most 3,000 parameters its first
        network has 184,616 MACs, and the largest that there is 184,872.)
        """
        ahead = AHEAD if self.problem.limits else 0
        window: list[tuple[int, int, Rungs]] = []
        for here in self._walk():
            macs, parameters = self.network_at(here).size
            heapq.heappush(window, (-macs, -parameters, here))
            if len(window) > ahead:
                yield self.params(heapq.heappop(window)[-1])
        while window:
            yield self.params(heapq.heappop(window)[-1])

    def _walk(self) -> Iterator[Rungs]:
        """Yield different networks, each the largest of those next to one yielded before."""
        queue = [(0, 0, self.start)]
        seen = {self.start}
        keys = set()
        while queue:
            here = heapq.heappop(queue)[-1]
            if self.network_at(here).key in keys:
                continue
            keys.add(self.network_at(here).key)
            yield here
            for near in self.neighbours(here):
                if near not in seen:
                    seen.add(near)
                    macs, parameters = self.network_at(near).size
                    heapq.heappush(queue, (-macs, -parameters, near))

    def neighbours(self, here: Rungs) -> Iterator[Rungs]:
        """Yield the neighbours within the limits.

        They are a rung down, or a rung up with as few others down as that takes.
        """
        for place in range(len(here)):
            down = self._moved(here, place, 1)
            if down is not None and self.network_at(down).excess <= 0:
                yield down
            up = self._moved(here, place, -1)
            if up is not None:
                yield from self._lowered(up, kept=place)

    def _lowered(self, here: Rungs, kept: int | None) -> list[Rungs]:
        """Return `here` if it is within the limits, else the points after the fewest rungs down.

        These are all points within the limits that the last rung leads to; each rung before it is
        the one that leaves the least excess. The parameter `kept` stays. If no point is within the
        limits, return the last one, or none if a parameter is kept.
        """
        while self.network_at(here).excess > 0:
            places = [place for place in range(len(here)) if place != kept]
            lower = [self._moved(here, place, 1) for place in places]
            steps = [each for each in lower if each is not None]
            within = [each for each in steps if self.network_at(each).excess <= 0]
            if within:
                return within
            if not steps:
                return [here] if kept is None else []
            here = min(steps, key=lambda each: self.network_at(each).excess)
        return [here]

    def _moved(self, here: Rungs, place: int, by: int) -> Rungs | None:
        rung = here[place] + by
        if not 0 <= rung < len(self.ladders[place]):
            return None
        return (*here[:place], rung, *here[place + 1 :])

    def params(self, here: Rungs) -> dict[str, Any]:
        ladders = zip(self.names, self.ladders, here, strict=True)
        return {name: ladder[rung] for name, ladder, rung in ladders}

    def network_at(self, here: Rungs) -> LatticeNetwork:
        if here not in self._networks:
            self._networks[here] = self._measure(self.params(here))
        return self._networks[here]

    def _measure(self, params: dict[str, Any]) -> LatticeNetwork:
        architecture = self.problem.decode(params)
        cost = self.problem.cost(architecture)
        excess = max(self.problem.violations(cost).values(), default=0.0)
        # None where a table does not know it
        return LatticeNetwork((cost.macs or 0, cost.parameters or 0), excess, architecture.key)


def largest(problem: Problem, seed: int) -> Largest:
    """Return the sampler for a study of `problem`; raise Unsuitable if no costs are known."""
    if not problem.costs:
        raise Unsuitable(
            "sampler='largest': this table knows neither parameters nor macs of its networks; "
            "choose another sampler"
        )
    if problem.known_limits != problem.limits:
        raise Unsuitable(
            "sampler='largest': it looks at thousands of networks, and a limit of latency is "
            "measured for each; limit macs instead, or choose another sampler"
        )
    return Largest(problem, seed)
