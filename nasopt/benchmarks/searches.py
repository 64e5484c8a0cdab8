"""A database of finished searches as a table, with holes where nothing was trained."""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import sqlalchemy as sa

from nasopt.benchmarks.table import MISSING, Benchmark, TableSpace
from nasopt.errors import BenchmarkError
from nasopt.space.architecture import Architecture
from nasopt.storage.checks import check_study
from nasopt.storage.database import shown_url
from nasopt.storage.ledger import EPOCHS, EVALUATIONS, has_tables
from nasopt.storage.opening import open_storage
from nasopt.storage.rdb import Storage
from nasopt.storage.record import ExperimentRecord, StudyRecord, TrialRecord, is_begun, is_own
from nasopt.training.evaluation import Evaluation, Recipe

MOST_SPELLINGS = 50_000  # each is decoded, which takes some seconds in all
LEAST_SHARE = 0.05  # of the networks: below it a trial's hundred draws may well find none of them

Curve = list[tuple[float, float]]  # (accuracy, seconds) of each epoch


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
    records = [StudyRecord.from_attrs(each.study_name, each.user_attrs) for each in studies]
    searched = _common(name, records)
    fields = searched.search_space
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
        searched.evaluation(dict(zip(candidates, values, strict=True))).key
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
    table = _filled([curves[key] for key in known], searched.epochs)
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
        if is_begun(each.user_attrs)
        and not check_study(each.study_name, each.user_attrs).is_benchmark
    ]
    if not names:
        raise BenchmarkError(f"benchmark={name}: no study of nasopt's in it; name another database")
    return [optuna.load_study(study_name=each, storage=storage) for each in names]


def _common(name: str, studies: Sequence[StudyRecord]) -> ExperimentRecord:
    """Return what all studies share, with 0 for their training seeds, which may differ.

    Raises BenchmarkError if they differ in space, data set or recipe.
    """
    first = studies[0]
    for study in studies:
        for part in ("space", "dataset", "recipe"):
            if getattr(study.experiment, part) != getattr(first.experiment, part):
                raise BenchmarkError(
                    f"benchmark={name}: {study.name} has another {part} than {first.name}; "
                    "keep the studies of one experiment in a database of their own"
                )
    return replace(first.experiment, seed=0)  # so that a network has one key for all of them


def _costs(study: optuna.Study, searched: ExperimentRecord) -> list[tuple[str, tuple[int, int]]]:
    """Return the key and (parameters, MACs) of the networks that `study` proposed."""
    own = (t for t in study.get_trials(deepcopy=False) if is_own(t, searched.search_space))
    records = ((trial.params, TrialRecord.of(trial)) for trial in own)
    return [
        (searched.evaluation(params).key, (record.parameters or 0, record.macs or 0))
        for params, record in records
        if record.key is not None
    ]


def _curves(storage: Storage, searched: ExperimentRecord) -> dict[str, list[Curve]]:
    """Return the complete learning curves of each network, in the order of their seeds."""
    if not has_tables(storage.engine):
        return {}
    query = (
        sa.select(EVALUATIONS, EPOCHS)
        .join(EPOCHS, EPOCHS.c.key == EVALUATIONS.c.key)
        .where(EVALUATIONS.c.dataset == searched.dataset)
        .order_by(EVALUATIONS.c.seed, EVALUATIONS.c.key, EPOCHS.c.epoch)
    )
    epochs = defaultdict(list)
    with storage.engine.connect() as connection:
        for row in connection.execute(query):
            epochs[row.key, row.architecture, row.recipe, row.seed].append(row)
    curves = defaultdict(list)
    for (key, architecture, recipe, seed), rows in epochs.items():
        finite = all(None not in (row.loss, row.train_loss) for row in rows)
        if not finite or [row.epoch for row in rows] != [*range(1, searched.epochs + 1)]:
            continue
        chosen = (
            Architecture.from_json(json.loads(architecture)),
            Recipe.from_json(json.loads(recipe)),
        )
        trained = Evaluation(*chosen, searched.data, seed)
        if trained.key == key:  # else by another version
            of_all_seeds = replace(trained, seed=searched.seed).key
            curves[of_all_seeds].append([(row.accuracy, row.seconds) for row in rows])
    return curves


def _filled(networks: list[list[Curve]], epochs: int) -> np.ndarray[Any, Any]:
    """Return (networks, replicates, epochs, 2), nan where a network has fewer replicates."""
    table = np.full((len(networks), max(map(len, networks)), epochs, 2), np.nan)
    for row, curves in enumerate(networks):
        table[row, : len(curves)] = curves
    return table
