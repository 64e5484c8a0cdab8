"""`TableSpace` and `Benchmark`: networks that were trained before, whose results are looked up."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasopt.errors import SpaceError
from nasopt.space.fields import Categorical, Choice, Integer, Suggests
from nasopt.space.limits import COSTS, LATENCY, Limit
from nasopt.space.model import Cost
from nasopt.space.vectorized import Survey
from nasopt.text import accuracy
from nasopt.training.evaluation import EpochResult, Evaluation, HasKey, Recipe

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MISSING = -1  # row of a network that the table does not have


@dataclass(frozen=True)
class Entry:
    """A network of a table: the parameters that stand for it, in the first of its spellings."""

    params: tuple[tuple[str, Choice], ...]
    row: int = field(compare=False)

    @cached_property
    def key(self) -> str:
        return json.dumps(self.to_json())

    def to_json(self) -> dict[str, Choice]:
        return dict(self.params)


@dataclass(frozen=True, eq=False)
class TableSpace:
    """The space of a table: hyperparameters, and the network that their values mean.

    It has the methods of `Space` that a search needs. `rows` has an axis for each hyperparameter,
    in order, with a place for each candidate: the row of the network, from 0 without a gap, or
    MISSING. If a row occurs more than once, those values are spellings of one network.
    """

    hyperparameters: Mapping[str, Categorical | Integer]
    rows: Ints

    @property
    def size(self) -> int:
        """The number of ways to choose the parameters."""
        return self.rows.size

    @property
    def distinct(self) -> int:
        """The number of different networks that the table has."""
        return len(self.entries)

    @cached_property
    def spellings(self) -> Ints:
        """The number of ways to choose each network, (networks,)."""
        return np.bincount(self.rows[self.rows != MISSING])

    @cached_property
    def places(self) -> Ints:
        """The candidates' indices in each network's first spelling, (networks, parameters)."""
        rows, places = np.unique(self.rows, return_index=True)
        return np.stack(np.unravel_index(places[rows != MISSING], self.rows.shape), axis=1)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The networks, in the order of their rows."""
        return tuple(self._entry(index, row) for row, index in enumerate(self.places.tolist()))

    def suggest(self, trial: Suggests) -> Entry:
        """Ask `trial` for every parameter and decode the answers."""
        return self.decode({name: each.suggest(trial, name) for name, each in self._fields})

    def decode(self, params: Mapping[str, Any]) -> Entry:
        """Return the network of `params`; its row is MISSING if the table does not have it.

        Raises SpaceError for a parameter that is missing, or a value that is not among its choices.
        """
        index = []
        for name, each in self._fields:
            if name not in params:
                raise SpaceError(f"parameter {name}: missing; give it a value")
            if params[name] not in each:
                raise SpaceError(f"parameter {name}={params[name]!r}: not in {each!r}; choose one")
            index.append(each.candidates.index(params[name]))
        row = int(self.rows[tuple(index)])
        return self._entry(index, MISSING) if row == MISSING else self.entries[row]

    def to_json(self) -> dict[str, Any]:
        return {"table": {name: each.to_json() for name, each in self._fields}}

    @property
    def _fields(self) -> Iterator[tuple[str, Any]]:
        return iter(self.hyperparameters.items())

    def _entry(self, index: Sequence[int], row: int) -> Entry:
        chosen = zip(self._fields, index, strict=True)
        return Entry(tuple((name, each.candidates[i]) for (name, each), i in chosen), row)


@dataclass(frozen=True)
class TableCost(Cost):
    """The cost of a network according to a table.

    A quantity for which there is no column is None; an experiment neither limits nor minimises it.
    """

    unknown: int = 0  # 1 for a network that the table does not have
    latency: float | None = None  # seconds


@dataclass(frozen=True)
class Known(Limit):
    """The limit of tables with holes: a network that is missing is drawn again, at no budget."""

    quantity: str = "unknown"
    bound: float = 0.5  # of 0 and 1

    def remedy(self, least: float) -> str:
        return "search the space of the table more densely, or leave other limits out"

    def __str__(self) -> str:
        return "a result in the table"


@dataclass(frozen=True, eq=False, kw_only=True)
class Benchmark:
    """A table of networks with their accuracies, each trained several times (replicates).

    `accuracies` (networks, replicates, epochs) are in the benchmark's own unit, nan where a network
    has fewer replicates than others. `seconds` is what each epoch took, of the same shape, 0 where
    that is not known. `parameters` and `macs` (networks,) are counts, `latency` (networks,) is in
    seconds; None if the table has no such column. For models to use, `depth` (networks,) is given
    if the choices alone do not show it, and `numbers`, each (networks,) by its name, are more that
    the table says. `share` is the part of the space's different networks that the table has.

    A search sees one replicate of each network, chosen by (training seed, network) alone: so
    studies of one experiment are paired. The true value of a network is the mean over its
    replicates.
    """

    name: str
    space: TableSpace
    accuracies: Floats
    seconds: Floats
    parameters: Ints | None = None
    macs: Ints | None = None
    latency: Floats | None = None
    depth: Ints | None = None
    numbers: Mapping[str, Floats] = field(default_factory=dict)
    share: float = 1.0

    @property
    def recipe(self) -> Recipe:
        """The recipe of a training: as many epochs as the table has."""
        return Recipe(epochs=self.accuracies.shape[2])

    @property
    def limits(self) -> tuple[Limit, ...]:
        return () if self.share == 1 else (Known(),)

    @property
    def costs(self) -> tuple[str, ...]:
        """The quantities that can be limited or minimised, and that models learn from."""
        return tuple(name for name in COSTS if getattr(self, name) is not None)

    @property
    def known(self) -> tuple[str, ...]:
        """All that can be limited or minimised: the latency of a table, which stands for a device.

        A sampler is told it network by network, as if it were measured.
        """
        return (*self.costs, *[LATENCY] * (self.latency is not None))

    @cached_property
    def fingerprint(self) -> str:
        """The name and a digest of all that the table says."""
        digest = hashlib.blake2b(json.dumps(self.space.to_json()).encode(), digest_size=8)
        for column in (self.space.rows, self.accuracies, self.seconds, self.parameters, self.macs):
            digest.update(b"-" if column is None else np.ascontiguousarray(column).tobytes())
        for name, numbers in self.numbers.items():  # a sampler may go by them
            digest.update(name.encode() + np.ascontiguousarray(numbers).tobytes())
        return f"{self.name} {digest.hexdigest()}"

    @cached_property
    def true(self) -> Floats:
        """The accuracies (networks,) after the last epoch, each the mean over replicates."""
        mean: Floats = np.nanmean(self.accuracies[:, :, -1], axis=1)
        return mean

    @cached_property
    def optimum(self) -> float:
        return float(self.true.max())

    def replicates(self, params: Mapping[str, Any]) -> tuple[float, ...]:
        """Return the accuracies of the network of `params`, of which `true` has the mean."""
        row = self.space.decode(params).row
        return tuple(self.accuracies[row, self._replicates[row], -1].tolist())

    def rank(self, accuracy: float) -> int:
        """Return the rank of `accuracy`, 1 for the optimum: 1 + the number of better networks."""
        return int((self.true > accuracy).sum()) + 1

    def observed(self, seed: int) -> Floats:
        """Return the accuracies (networks,) after the last epoch that a search of `seed` sees."""
        chosen = [self._replicate(entry, seed) for entry in self.space.entries]
        observed: Floats = self.accuracies[np.arange(len(chosen)), chosen, -1]
        return observed

    def results(self, evaluation: Evaluation) -> Iterator[EpochResult]:
        """Yield the epochs of `evaluation`, looked up in the table."""
        entry = evaluation.architecture
        assert isinstance(entry, Entry)
        assert entry.row != MISSING
        replicate = self._replicate(entry, evaluation.seed)
        curve = self.accuracies[entry.row, replicate], self.seconds[entry.row, replicate]
        for epoch, (reached, seconds) in enumerate(zip(*curve, strict=True), 1):
            yield EpochResult(
                epoch=epoch,
                accuracy=float(reached),
                loss=0.0,  # not in the table; nan would mean that the training went wrong
                train_loss=0.0,
                seconds=float(seconds),
                device="table",
                torch="",
            )

    def cost(self, network: HasKey) -> TableCost:
        assert isinstance(network, Entry)
        if network.row == MISSING:
            return TableCost(parameters=0, macs=0, unknown=1)
        columns = {"parameters": self.parameters, "macs": self.macs}
        counts: dict[str, Any] = {
            name: None if column is None else int(column[network.row])
            for name, column in columns.items()
        }
        seconds = None if self.latency is None else float(self.latency[network.row])
        return TableCost(**counts, latency=seconds)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(self.space.hyperparameters)

    @property
    def features(self) -> tuple[str, ...]:
        depth = ["depth"] * (self.depth is not None)
        return (*(f"log {cost}" for cost in self.costs), *depth, *self.numbers)

    def survey(self, places: Ints) -> Survey:
        """Return the survey of n networks, given by the values of their parameters.

        `places` (n, parameters), in the order of `names`, has the index of each value among the
        candidates of its parameter, from 0.
        """
        rows = self.space.rows[tuple(places.T)]
        there = rows != MISSING
        spelled = np.where(there[:, None], self.space.places[rows], places)
        counts = {name: np.where(there, getattr(self, name)[rows], 0.0) for name in self.costs}
        features = [np.log(np.maximum(column, 1)) for column in counts.values()]
        if self.depth is not None:
            features.append(np.where(there, self.depth[rows], 0.0))
        features += [np.where(there, numbers[rows], 0.0) for numbers in self.numbers.values()]
        return Survey(
            places=spelled,
            active=np.ones(places.shape, dtype=bool),
            costs=counts | {"unknown": np.where(there, 0.0, 1.0)},
            features=np.stack(features, axis=1) if features else np.zeros((len(places), 0)),
        )

    @property
    def summary(self) -> str:
        """The contents of the benchmark, in one line."""
        counts = sorted({len(each) for each in self._replicates})
        known = f"{self.space.distinct:,} networks"
        if self.share < 1:
            total = round(self.space.distinct / self.share)
            known = f"{self.space.distinct:,} of {total:,} networks ({self.share:.0%})"
        replicates = " or ".join(map(str, counts)) if len(counts) < 4 else f"up to {counts[-1]}"
        epochs = self.accuracies.shape[2]
        return (
            f"{self.name}: {known}, {replicates} replicate{'s' * (counts[-1] > 1)}, "
            f"{epochs} epoch{'s' * (epochs > 1)}, optimum {accuracy(self.optimum)}"
        )

    @cached_property
    def _replicates(self) -> list[Ints]:
        """The indices of the replicates of each network."""
        return [np.flatnonzero(each) for each in ~np.isnan(self.accuracies[:, :, -1])]

    def _replicate(self, entry: Entry, seed: int) -> int:
        there = self._replicates[entry.row]
        coordinates = repr((seed, "replicate", entry.key)).encode()
        digest = hashlib.blake2b(coordinates, digest_size=8).digest()
        return int(there[int.from_bytes(digest, "big") % len(there)])
