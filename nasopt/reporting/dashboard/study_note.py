"""The note of a study: its state, its space and method, and the commands that reproduce it."""

import re

from nasopt.analysis.outcome import Outcome, Result
from nasopt.analysis.record import Record
from nasopt.reporting.captions import opening, pairs, searched, training, warm_start
from nasopt.reporting.commands import command, commands, needed
from nasopt.reporting.notes import escaped, table
from nasopt.text import accuracy, done_of
from nasopt.training.metrics import capital, in_words


def study_note(
    study: Record, result: Result, study_id: int, location: str, final: str | None = None
) -> str:
    """Return the note in Markdown; `location` is the database as a command takes it.

    `final` is the section on the final model, if there is one.
    """
    return "\n\n".join(
        (
            _standing(study, result),
            _best(result, study_id),
            *([final] if final else []),
            "### What was searched",
            _searched(study),
            "### How each network was trained",
            _training(study),
            "### To reproduce it",
            _commands(study, location),
        )
    )


def _standing(study: Record, result: Result) -> str:
    best = result.best[-1] if result.best else None
    counts = [f"{done_of(result.done, result.trials)} are done"]
    if result.pruned:
        counts.append(f"{result.pruned:,} of them pruned")
    if result.free:
        counts.append(f"{result.free:,} more were free (known networks, or over a limit)")
    lines = [f"**{', '.join(counts)}.**", *map(escaped, result.notes)]
    return "\n\n".join((escaped(opening([study], result.done, best)), *lines))


def _best(result: Result, study_id: int) -> str:
    """Return the best networks of one objective, or the front of two."""
    if not result.best:
        return "No trial is complete yet." if not result.over else ""
    title = (
        "The best networks. Each was chosen for its luck, too: trained again, it is likely to be a "
        "little less accurate."
    )
    if len(result.objectives) > 1:
        title = "The networks that no other beats in "
        title += f"{in_words(result.objectives[0])} at the same or less cost:"
    outcomes = (*result.best, *result.runners_up)
    again = any(outcome.fresh for outcome in outcomes)
    metric = result.objectives[0]
    accuracies: tuple[str, ...] = (f"Validation {in_words(metric)}",)
    if again:
        accuracies = (f"{capital(metric)}, trained again", "As the search saw it")
    rows = [_row(outcome, study_id, again) for outcome in outcomes]
    return f"{title}\n\n{table(('Trial', *accuracies, 'Parameters', 'MACs'), rows)}"


def _row(outcome: Outcome, study_id: int, again: bool) -> tuple[str, ...]:
    link = f"[{outcome.number}](/dashboard/studies/{study_id}/trials?numbers={outcome.number})"
    accuracies = [outcome.fresh_mean, outcome.accuracy] if again else [outcome.accuracy]
    counts = [outcome.parameters, outcome.macs]
    return (
        link,
        *map(accuracy, accuracies),
        *("" if count is None else f"{count:,}" for count in counts),
    )


def _searched(study: Record) -> str:
    limits = f" Limits: {', '.join(study.limits)}." if study.limits else ""
    before = f" Begun with {told}." if (told := warm_start(study)) else ""
    return escaped(searched(study) + limits + before)


def _training(study: Record) -> str:
    """Return the recipe without the fields that are 0 or off."""
    used = training({name: value for name, value in study.experiment.recipe.items() if value})
    seed = study.experiment.seed
    return f"{escaped(used)}; training seed {seed}; pruner {escaped(study.pruner)}."


def _commands(study: Record, location: str) -> str:
    looks = (["show", location, "--study", study.name], ["report", location])
    text = "\n".join([*commands([study], location), *(command(*words) for words in looks)])
    named = pairs(study.versions)
    made = f" Made with {escaped(named)}." if named else ""
    return f"{_fenced(text)}\n\n{escaped(needed(study))}{made}"


def _fenced(text: str) -> str:
    """Return the text as a block of code, whatever is in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
