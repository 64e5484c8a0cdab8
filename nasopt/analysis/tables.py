"""Studies as tables of plain values: a row a trial, or a row an epoch of a trial."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from nasopt.analysis.learning import learning_curves
from nasopt.analysis.outputs import Output
from nasopt.analysis.record import Record
from nasopt.space.limits import LATENCY
from nasopt.storage.record import TrialRecord, reports_of

FACTS = ("epochs", "seconds", "parameters", "macs")
ENDS = ("ended_by", "reason", "repeat_of", "free", "device")
FIRST = ("study", "sampler", "seed", "number")  # columns of every table of trials


def trial_table(study: Record) -> list[dict[str, Any]]:
    """Return a row for each trial of `study`, by number, also those that have not ended.

    `accuracy` is the last one known, or the metric of the search under its own name; `epochs` and
    `seconds` are the cost, as if trained; `parameters` and `macs` are those of the network, and so
    is `latency`, in seconds, if it was measured. `ended_by` is the cause and `reason` the
    words for it; a trial that is `free` does not count to the budget. A hyperparameter stands
    under its name after "params_", as in Optuna's frames. None is what is not known.
    """
    foreign = {trial.number for trial in study.foreign}
    records = [
        TrialRecord() if trial.number in foreign else TrialRecord.of(trial)
        for trial in study.trials
    ]
    timed = any(record.latency is not None for record in records)
    facts = (*FACTS, LATENCY) if timed else FACTS
    pairs = zip(study.trials, records, strict=True)
    return [_trial(study, trial, record, facts) for trial, record in pairs]


def _trial(
    study: Record, trial: FrozenTrial, record: TrialRecord, facts: Sequence[str]
) -> dict[str, Any]:
    reports = sorted(reports_of(trial).items())
    score = trial.values[0] if trial.values else (reports[-1][1] if reports else None)
    return {
        "study": study.name,
        "sampler": study.sampler,
        "seed": study.given_seed,
        "number": trial.number,
        "state": trial.state.name.lower(),
        study.metric: score,
        **{name: getattr(record, name) for name in facts},
        **{name: getattr(record, name) for name in ENDS},
        "ended_by": record.ended_by and str(record.ended_by),
        "started": trial.datetime_start,
        "ended": trial.datetime_complete,
        **{f"params_{name}": trial.params.get(name) for name in study.search_space},
    }


def epoch_table(study: Record) -> list[dict[str, Any]]:
    """Return a row for each epoch of each trial that counts, with its score after it."""
    return [
        {"study": curve.study, "number": curve.number, "epoch": epoch, study.metric: score}
        for curve in learning_curves([study])
        for epoch, score in zip(curve.steps, curve.accuracies, strict=True)
    ]


def trials_output(path: str | Path) -> Output:
    return Output(Path(path), "csv", "table of trials", ",".join(FIRST).encode())


def write_trials(path: str | Path, study: Record) -> None:
    """Write `trial_table` as CSV; a None is an empty cell.

    Raises StorageError if the file cannot be written, or exists and is no such table.
    """
    rows = trial_table(study)
    names = list(rows[0]) if rows else FIRST
    trials_output(path).write_table(names, rows)
