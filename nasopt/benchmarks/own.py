"""A user's own table as a benchmark."""

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasopt.benchmarks.sheet import Sheet, read_sheet
from nasopt.benchmarks.table import Benchmark, Floats, Ints, TableSpace
from nasopt.errors import BenchmarkError, check_name
from nasopt.space.fields import Categorical

METRIC = "accuracy"
RESERVED = (METRIC, "seed", "epoch", "parameters", "macs", "seconds")
FEATURE = "feature:"  # begins the names of columns that are no choices, but may tell of accuracy


def own_table(path: Path) -> Benchmark:
    """Return the benchmark in a CSV, JSON or Parquet file, a row for each epoch of each training.

    Columns:
      accuracy         the metric, in any unit; more is better
      seed             which training of the network it is, where there are several (replicates)
      epoch            1, 2, ..., where there are learning curves
      parameters, macs what the network costs (whole numbers)
      seconds          what the epoch took, or the training where there are no epochs
      feature:anything a number of the network that models may learn from (a score that needs no
                       training, say)
      _anything        ignored
      any other        a parameter of the search; its values are its choices: numbers if all are,
                       else words (as digits that begin with a zero, or are too many for a number)
    Every combination of choices has a row, and every training the same epochs.

    Raises BenchmarkError, naming row and column, for a file that is not of this form.
    """
    sheet = read_sheet(path)
    for name in sheet.columns:
        if name not in RESERVED and name.lower() in RESERVED:
            raise BenchmarkError(f"{path}: column {name}: call it {name.lower()}, or _{name}")
    names = [name for name in sheet.columns if _is_parameter(name)]
    if METRIC not in sheet.columns:
        raise BenchmarkError(
            f"{path}: no metric: no column {METRIC} among {', '.join(sheet.columns)}; "
            f"call the column that is to be maximised {METRIC}"
        )
    if not names:
        raise BenchmarkError(
            f"{path}: no parameter: only {', '.join(sheet.columns)}; "
            "add a column for each choice that a search makes"
        )
    fields, places = {}, []
    for name in names:
        check_name(name, f"{path}: column", BenchmarkError)
        choices, place = sheet.choices(name)
        fields[name] = Categorical(tuple(choices))
        places.append(place)
    shape = tuple(len(field.choices) for field in fields.values())
    _demand_all_networks(sheet, fields, set(zip(*places, strict=True)))
    rows = np.arange(math.prod(shape)).reshape(shape)
    axes = [rows[tuple(places)], *(_axis(sheet, name) for name in ("seed", "epoch"))]
    accuracies = _spread(sheet, names, axes, sheet.floats(METRIC))
    seconds = sheet.floats("seconds", 0) if "seconds" in sheet.columns else np.zeros(len(axes[0]))
    return Benchmark(
        name=path.stem,
        space=TableSpace(fields, rows),
        accuracies=accuracies,
        seconds=_spread(sheet, names, axes, seconds),
        parameters=_cost(sheet, "parameters", axes[0]),
        macs=_cost(sheet, "macs", axes[0]),
        numbers={
            name.removeprefix(FEATURE): _of_networks(sheet, name, axes[0], sheet.floats(name))
            for name in sheet.columns
            if name.startswith(FEATURE)
        },
    )


def _is_parameter(name: str) -> bool:
    return name not in RESERVED and not name.startswith(("_", FEATURE))


def _axis(sheet: Sheet, name: str) -> Ints:
    """Return the number of the replicate or the epoch of each row, from 0."""
    if name not in sheet.columns:
        return np.zeros(len(sheet.numbers), dtype=np.int64)
    values = sheet.floats(name, 1 if name == "epoch" else 0, whole=True).astype(np.int64)
    return values - 1 if name == "epoch" else np.unique(values, return_inverse=True)[1]


def _demand_all_networks(sheet: Sheet, fields: dict[str, Categorical], there: set[Any]) -> None:
    sizes = [field.size for field in fields.values()]
    missing = math.prod(sizes) - len(there)
    if missing:
        # one of the first `len(there) + 1` combinations is not among those that are there
        index = next(index for index in product(*map(range, sizes)) if index not in there)
        chosen = zip(fields.items(), index, strict=True)
        combination = ", ".join(f"{name}={field.choices[i]}" for (name, field), i in chosen)
        raise BenchmarkError(
            f"{sheet.path}: no row has {combination} ({missing:,} of {math.prod(sizes):,} "
            "combinations are missing); add them, or call a column that is no parameter _name"
        )


def _spread(sheet: Sheet, names: list[str], axes: list[Ints], values: Floats) -> Floats:
    """Return `values`, one a row, as (networks, replicates, epochs), nan where no row is.

    Raises BenchmarkError if two rows are of the same epoch, or an epoch of a training is missing.
    """
    if axes[2].max() >= len(values):
        raise sheet.error(int(axes[2].argmax()), "epoch", "more epochs than rows; number from 1")
    shape = tuple(int(axis.max()) + 1 for axis in axes)
    place = np.ravel_multi_index(tuple(axes), shape)
    order = np.argsort(place, kind="stable")
    twice = np.flatnonzero(np.diff(place[order]) == 0)
    if len(twice):
        first, again = order[twice[0]], order[twice[0] + 1]
        columns = [*names, *(name for name in ("seed", "epoch") if name in sheet.columns)]
        before = f"the same as row {sheet.numbers[first]}; leave one out"
        raise sheet.error(int(again), " and ".join(columns), before)
    spread = np.full(math.prod(shape), np.nan)
    spread[place] = values
    spread = spread.reshape(shape)
    known = ~np.isnan(spread)
    partly = known.any(axis=2) & ~known.all(axis=2)
    if partly.any():
        network, replicate = np.argwhere(partly)[0]
        row = int(np.flatnonzero((axes[0] == network) & (axes[1] == replicate))[0])
        epoch = int(np.flatnonzero(~known[network, replicate])[0]) + 1
        raise sheet.error(row, "epoch", f"this training has no row for epoch {epoch}; add it")
    return spread


def _cost(sheet: Sheet, name: str, network: Ints) -> Ints | None:
    """Return a count for each network, or None if the sheet has no such column."""
    if name not in sheet.columns:
        return None
    values = sheet.floats(name, 0, whole=True).astype(np.int64)
    counts: Ints = _of_networks(sheet, name, network, values)
    return counts


def _of_networks(sheet: Sheet, name: str, network: Ints, values: NDArray[Any]) -> NDArray[Any]:
    """Return one of `values` for each network; raise BenchmarkError if its rows disagree."""
    first = np.unique(network, return_index=True)[1]
    other = np.flatnonzero(values != values[first][network])
    if len(other):
        row = int(other[0])
        before = first[network[row]]
        raise sheet.error(
            row,
            name,
            f"{values[row]}, but {values[before]} in row {sheet.numbers[before]} of the same "
            "network; make them equal",
        )
    one: NDArray[Any] = values[first]
    return one
