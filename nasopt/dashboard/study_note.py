"""The note of a study: how it stands, what was searched and how, and how to have it again."""

import re
import shlex

from optuna.trial import FrozenTrial, TrialState

from nasopt.analysis.outcome import Result, rank
from nasopt.analysis.record import Record
from nasopt.claims import EXPERIMENT
from nasopt.notes import escaped, table
from nasopt.report.again import commands, needed
from nasopt.report.story import opening, pairs, searched, training

BEST = 5  # networks that are listed


def study_note(study: Record, result: Result, study_id: int, location: str) -> str:
    """In Markdown; `location` is the database as a command takes it."""
    return "\n\n".join(
        (
            _standing(study, result),
            _best(study, result, study_id),
            "### What was searched",
            _searched(study),
            "### How each network was trained",
            _training(study),
            "### To have it again",
            _commands(study, location),
        )
    )


def _standing(study: Record, result: Result) -> str:
    best = max((trial.accuracy or 0 for trial in result.best), default=None)
    total = "" if result.trials is None else f" of {result.trials:,}"
    counts = [f"{result.done:,}{total} trials are done"]
    if result.pruned:
        counts.append(f"{result.pruned:,} of them pruned")
    if result.free:
        counts.append(f"{result.free:,} more were free (known networks, or over a limit)")
    return f"{escaped(opening(study, result.done, best))}\n\n**{', '.join(counts)}.**"


def _best(study: Record, result: Result, study_id: int) -> str:
    """The best networks of one objective, the front of two."""
    if not result.best:
        return "No trial is complete yet."
    if len(result.objectives) > 1:
        numbers = [outcome.number for outcome in result.best]
        title = "The networks that no other beats in accuracy at the same or less cost:"
    else:
        complete = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
        own = [trial for trial in complete if "repeat_of" not in trial.user_attrs]
        ranked = sorted(own, key=rank)
        numbers = [trial.number for trial in ranked[:BEST]]
        title = (
            "The best networks. Each was chosen for its luck, too: trained again, it is likely to "
            "be a little less accurate."
        )
    rows = [_row(study.trials[number], study_id) for number in numbers]
    columns = ("Trial", "Validation accuracy", "Parameters", "MACs")
    return f"{title}\n\n{table(columns, rows)}"


def _row(trial: FrozenTrial, study_id: int) -> tuple[str, ...]:
    link = f"[{trial.number}](/dashboard/studies/{study_id}/trials?numbers={trial.number})"
    counts = [trial.user_attrs.get(name) for name in ("parameters", "macs")]
    shown = ("" if count is None else f"{count:,}" for count in counts)
    return link, f"{trial.values[0]:.4f}", *shown


def _searched(study: Record) -> str:
    limits = f" Limits: {', '.join(study.limits)}." if study.limits else ""
    return escaped(searched(study) + limits)


def _training(study: Record) -> str:
    """The recipe without what is 0 or off."""
    recipe = study.attrs[EXPERIMENT]["recipe"]
    used = training({name: value for name, value in recipe.items() if value})
    return (
        f"{escaped(used)}; training seed "
        f"{study.attrs[EXPERIMENT]['seed']}; pruner {escaped(study.attrs.get('pruner'))}."
    )


def _commands(study: Record, location: str) -> str:
    looks = (["show", location, "--study", study.name], ["report", location])
    text = "\n".join(
        [*commands([study], location), *(shlex.join(["nasopt", *words]) for words in looks)]
    )
    named = pairs(study.attrs.get("versions", {}))
    made = f" Made with {escaped(named)}." if named else ""
    return f"{_fenced(text)}\n\n{escaped(needed(study))}{made}"


def _fenced(text: str) -> str:
    """As code, whatever is in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
