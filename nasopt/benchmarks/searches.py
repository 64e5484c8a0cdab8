"""A database of finished searches as a table, with holes where nothing was trained."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import sqlalchemy as sa

from nasopt.benchmarks.table import MISSING, Benchmark, TableSpace
from nasopt.errors import BenchmarkError
from nasopt.space.architecture import Architecture
from nasopt.space.fields import Open, field_from_json
from nasopt.space.space import Space
from nasopt.storage.database import shown_url
from nasopt.storage.ledger import EPOCHS, EVALUATIONS, has_tables
from nasopt.storage.opening import open_storage
from nasopt.storage.own_trials import is_own
from nasopt.storage.rdb import EXPERIMENT, Storage
from nasopt.training.evaluation import Evaluation, Recipe

MOST_SPELLINGS = 50_000  # each is decoded, which takes some seconds in all
LEAST_SHARE = 0.05  # of the networks: below it a trial's hundred draws may well find none of them

Curve = list[tuple[float, float]]  # (accuracy, seconds) of each epoch


@dataclass(frozen=True)
class _Data:
    fingerprint: str


@dataclass(frozen=True)
class _Searched:
    """The space, recipe and data set that the studies have in common."""

    space: Space
    recipe: Recipe
    data: _Data

    @property
    def parameters(self) -> dict[str, Open]:
        return self.space.parameters | self.recipe.parameters

    def network(self, params: Mapping[str, Any]) -> str:
        """Return the key of the network that `params` stand for, equal for all training seeds."""
        return self.evaluation(self.space.decode(params), self.recipe.choose(params)).key

    def evaluation(self, architecture: Architecture, recipe: Recipe, seed: int = 0) -> Evaluation:
        return Evaluation(architecture, recipe, self.data, seed)


def searches(location: str) -> Benchmark:
    """Return the networks that the studies in a database proposed and trained to the end.

    Training seeds are replicates, those of `nasopt noise` and of retrained winners included. A
    network that is not known, such as one that was pruned or went wrong, is drawn again, as if it
    were over a limit.

    Raises BenchmarkError for studies of different experiments, a space that is too large for a
    table, or one that was not searched densely enough; StorageError if the database cannot be
    opened.
    """
    storage = open_storage(location, "read")
    name = f"ledger:{shown_url(location)}"
    studies = _studies(storage, name)
    searched = _common(name, {study.study_name: study.user_attrs[EXPERIMENT] for study in studies})
    fields = searched.parameters
    spellings = math.prod(field.size for field in fields.values())
    if spellings > MOST_SPELLINGS:
        raise BenchmarkError(
            f"benchmark={name}: its space can be chosen in {spellings:,.12g} ways; a table is made "
            f"of {MOST_SPELLINGS:,} or fewer"
        )
    costs = {key: cost for study in studies for key, cost in _costs(study, searched)}
    curves = {key: each for key, each in _curves(storage, searched).items() if key in costs}
    candidates = {name: field.candidates for name, field in fields.items()}  # type: ignore[union-attr]
    keys = [
        searched.network(dict(zip(candidates, values, strict=True)))
        for values in product(*candidates.values())
    ]
    networks = set(keys)
    known = {key: row for row, key in enumerate(dict.fromkeys(k for k in keys if k in curves))}
    share = len(known) / len(networks)
    if share < LEAST_SHARE:
        raise BenchmarkError(
            f"benchmark={name}: {len(known):,} of {len(networks):,} networks are known "
            f"({share:.1%}), fewer than {LEAST_SHARE:.0%}; search it more densely, without a pruner"
        )
    rows = np.array([known.get(key, MISSING) for key in keys])
    table = _filled([curves[key] for key in known], searched.recipe.epochs)
    counts = np.array([costs[key] for key in known], dtype=np.int64)
    return Benchmark(
        name=f"ledger-{Path(shown_url(location)).stem}",
        space=TableSpace(fields, rows.reshape([len(each) for each in candidates.values()])),  # type: ignore[arg-type]
        accuracies=table[..., 0],
        seconds=table[..., 1],
        parameters=counts[:, 0],
        macs=counts[:, 1],
        share=share,
    )


def _studies(storage: Storage, name: str) -> list[optuna.Study]:
    """Return the studies whose networks were trained; raise BenchmarkError if there are none."""
    summaries = optuna.get_all_study_summaries(storage, include_best_trial=False)
    names = [
        each.study_name
        for each in summaries
        if "layers" in each.user_attrs.get(EXPERIMENT, {}).get("space", {})
    ]
    if not names:
        raise BenchmarkError(f"benchmark={name}: no study of nasopt's in it; name another database")
    return [optuna.load_study(study_name=each, storage=storage) for each in names]


def _common(name: str, experiments: dict[str, dict[str, Any]]) -> _Searched:
    """Return what all experiments share; their training seeds and objectives may differ.

    Raises BenchmarkError if they differ in space, data set or recipe.
    """
    (first, begun), *others = experiments.items()
    for study, other in others:
        for part in ("space", "dataset", "recipe"):
            if other[part] != begun[part]:
                raise BenchmarkError(
                    f"benchmark={name}: {study} has another {part} than {first}; "
                    "keep the studies of one experiment in a database of their own"
                )
    return _Searched(
        Space.from_json(begun["space"]).on(tuple(begun["input_shape"])),
        _recipe(begun["recipe"]),
        _Data(begun["dataset"]),
    )


def _recipe(value: dict[str, Any]) -> Recipe:
    return Recipe(**{name: field_from_json(each) for name, each in value.items()})


def _costs(study: optuna.Study, searched: _Searched) -> list[tuple[str, tuple[int, int]]]:
    """Return the key and (parameters, MACs) of the networks that `study` proposed."""
    return [
        (searched.network(trial.params), (attrs["parameters"], attrs["macs"]))
        for trial in study.get_trials(deepcopy=False)
        if "key" in (attrs := trial.user_attrs) and is_own(trial, searched.parameters)
    ]


def _curves(storage: Storage, searched: _Searched) -> dict[str, list[Curve]]:
    """Return the complete learning curves of each network, in the order of their seeds."""
    if not has_tables(storage.engine):
        return {}
    query = (
        sa.select(EVALUATIONS, EPOCHS)
        .join(EPOCHS, EPOCHS.c.key == EVALUATIONS.c.key)
        .where(EVALUATIONS.c.dataset == searched.data.fingerprint)
        .order_by(EVALUATIONS.c.seed, EVALUATIONS.c.key, EPOCHS.c.epoch)
    )
    epochs = defaultdict(list)
    with storage.engine.connect() as connection:
        for row in connection.execute(query):
            epochs[row.key, row.architecture, row.recipe, row.seed].append(row)
    curves = defaultdict(list)
    for (key, architecture, recipe, seed), rows in epochs.items():
        finite = all(None not in (row.loss, row.train_loss) for row in rows)
        if not finite or [row.epoch for row in rows] != [*range(1, searched.recipe.epochs + 1)]:
            continue
        chosen = Architecture.from_json(json.loads(architecture)), _recipe(json.loads(recipe))
        if searched.evaluation(*chosen, seed).key == key:  # else trained by another version
            network = searched.evaluation(*chosen).key
            curves[network].append([(row.accuracy, row.seconds) for row in rows])
    return curves


def _filled(networks: list[list[Curve]], epochs: int) -> np.ndarray[Any, Any]:
    """Return (networks, replicates, epochs, 2), nan where a network has fewer replicates."""
    table = np.full((len(networks), max(map(len, networks)), epochs, 2), np.nan)
    for row, curves in enumerate(networks):
        table[row, : len(curves)] = curves
    return table
