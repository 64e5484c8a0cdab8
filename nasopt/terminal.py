"""What a person reads in a terminal: tables and progress, with Rich. It computes nothing."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from nasopt.analysis.outcome import Outcome, Result, layer_rows
from nasopt.analysis.studies import StudySummary
from nasopt.analysis.why import Why
from nasopt.architecture import Architecture
from nasopt.wording import big, duration

if TYPE_CHECKING:  # they import torch, which `nasopt show` need not wait for
    from nasopt.describe import Description, Range
    from nasopt.noise import Noise, NoiseStudy
    from nasopt.worker import Progress as SearchProgress
    from nasopt.worker import Search

WIDEST_LABEL = "Size of filters"  # of `layer_rows`


def console(stderr: bool = False) -> Console:
    """Plain text and no wrapping where the output is no terminal."""
    file = sys.stderr if stderr else sys.stdout
    width = None if file.isatty() else 80
    return Console(file=file, width=width, highlight=False, markup=False, emoji=False)


def print_json(value: Any) -> None:
    """Machines get NaN as null, as JSON has no word for it."""
    sys.stdout.write(json.dumps(_finite(value), indent=2) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def outcome_table(outcome: Outcome, width: int) -> Group:
    """The lecture's table: layers as columns, what was chosen as rows; wrapped to `width`."""
    architecture = outcome.architecture
    if not isinstance(architecture, Architecture):
        return Group(_chosen(architecture), Text(), _facts(outcome))
    rows = layer_rows(architecture.convolutions)
    blocks: list[RenderableType] = []
    for place, columns in enumerate(_wrapped(rows, len(architecture.convolutions), width)):
        if place:
            blocks.append(Text())
        blocks.append(_block(rows, columns))
    blocks.append(Text())
    blocks.append(_facts(outcome))
    return Group(*blocks)


def _chosen(params: dict[str, Any]) -> Table:
    """The network of a benchmark: what was chosen, a row each."""
    table = Table(box=None, padding=(0, 0, 0, 2), show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in params.items():
        table.add_row(name, str(value))
    return table


def _wrapped(rows: dict[str, list[str]], count: int, width: int) -> Iterator[range]:
    """Columns of each block: as few blocks as `width` allows, as even as can be."""
    cell = max(len(text) for texts in rows.values() for text in texts) + 2
    fitting = max(1, (width - len(WIDEST_LABEL) - 2) // cell)
    blocks = -(-count // fitting)
    each = -(-count // blocks)
    for start in range(0, count, each):
        yield range(start, min(start + each, count))


def _block(rows: dict[str, list[str]], columns: range) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), show_header=False, pad_edge=False)
    table.add_column(min_width=len(WIDEST_LABEL), style="bold")
    for _ in columns:
        table.add_column(justify="right", no_wrap=True)
    for label, texts in rows.items():
        style = "dim" if label == "Layer" else ""
        table.add_row(label, *(texts[column] for column in columns), style=style)
    return table


def _facts(outcome: Outcome) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    if isinstance(outcome.architecture, Architecture):
        widths = " ".join(str(layer.chosen("width")) for layer in outcome.architecture.dense)
        table.add_row("Dense widths", widths or "none")
    for name, value in outcome.recipe.items():
        table.add_row(f"Recipe: {name.removeprefix('recipe.')}", f"{value:.4g}")
    accuracy = "none" if outcome.accuracy is None else f"{outcome.accuracy:.4f}"
    table.add_row("Validation accuracy", accuracy)
    for label, count in (("Parameters", outcome.parameters), ("MACs", outcome.macs)):
        if count is not None:
            table.add_row(label, f"{count:,}")
    return table


def print_outcome(out: Console, outcome: Outcome) -> None:
    """One trial: its table, and how it ended."""
    out.print(f"Trial {outcome.number} of {outcome.study} ({outcome.state})", style="bold")
    out.print()
    out.print(outcome_table(outcome, out.width))
    notes = {
        "reason": "Why it ended early",
        "repeat_of": "The network of trial",
        "infeasible": "Over the limit",
        "epochs": "Epochs",
        "seconds": "Seconds of training",
        "replayed_epochs": "Epochs known before",
    }
    facts = Table(box=None, padding=(0, 0, 0, 2), show_header=False, pad_edge=False)
    facts.add_column(style="bold")
    for key, label in notes.items():
        if key in outcome.attributes:
            value = outcome.attributes[key]
            facts.add_row(label, f"{value:.1f}" if isinstance(value, float) else str(value))
    if outcome.accuracies:
        facts.add_row("After each epoch", " ".join(f"{each:.3f}" for each in outcome.accuracies))
    out.print(facts)


def print_why(out: Console, why: Why) -> None:
    """What the model expected of a trial, and what it went by."""
    out.print(f"Trial {why.number} of {why.study} ({why.state})", style="bold")
    out.print()
    facts = Table(box=None, padding=(0, 0, 0, 2), show_header=False, pad_edge=False)
    facts.add_column(style="bold")
    facts.add_column()
    seen = "nothing yet" if why.seen is None else f"{why.seen:.4f}"
    facts.add_row("Expected", f"{why.expected:.4f}, 95 % from {why.low:.4f} to {why.high:.4f}")
    facts.add_row("Seen", seen)
    weights = ", ".join(f"{name} {share:.0%}" for name, share in why.weights.items())
    facts.add_row("Goes by", weights)
    for label, (number, distance, value) in zip(("Most alike", "", ""), why.nearest, strict=False):
        ended = "failed" if value is None else f"{value:.4f}"
        facts.add_row(label, f"trial {number}: {ended} (distance {distance:.2f})")
    out.print(facts)


def print_result(out: Console, result: Result) -> None:
    """A study's outcome: the best network's table, or the Pareto front."""
    total = f" of {result.trials}" if result.trials is not None else ""
    parts = [f"{result.done}{total} trials"]
    if result.pruned:
        parts.append(f"{result.pruned} of them pruned")
    if result.free:
        parts.append(f"{result.free} more for free")
    out.print(f"{result.study}: {', '.join(parts)}", style="bold")
    out.print()
    if not result.best:
        out.print("No trial is complete yet.")
    elif len(result.objectives) == 1:
        out.print(f"The best network, trial {result.best[0].number}:")
        out.print()
        out.print(outcome_table(result.best[0], out.width))
    else:
        print_front(out, result)


def print_front(out: Console, result: Result) -> None:
    """The networks that no other beats at the same or less cost, and the last one's table."""
    cost = result.objectives[1]
    out.print(f"The Pareto front of accuracy against {cost} (two objectives: nothing is pruned):")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for header in ("trial", "accuracy", "parameters", "MACs"):
        table.add_column(header, justify="right")
    for each in result.best:
        table.add_row(
            str(each.number), f"{each.accuracy:.4f}", f"{each.parameters:,}", f"{each.macs:,}"
        )
    out.print(table)
    out.print()
    out.print(f"The most accurate of them, trial {result.best[-1].number}:")
    out.print()
    out.print(outcome_table(result.best[-1], out.width))


def print_description(out: Console, name: str, description: "Description") -> None:
    out.print(f"The space of {name}", style="bold")
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for label, text in _parameters(description.parameters):
        table.add_row(label, text)
    table.add_row()
    table.add_row("Architectures", f"{big(description.size)} as written (exact)")
    distinct = description.distinct
    counted = f"at most {big(description.size)}" if distinct is None else f"{big(distinct)} (exact)"
    table.add_row("Different networks", counted)
    table.add_row()
    table.add_row(f"Of {description.sample} at random", "least, median, greatest")
    table.add_row("Parameters", _span(description.network_parameters))
    table.add_row("MACs", _span(description.macs))
    table.add_row("Last map's side", f"{_span(description.resolution)} pixels")
    if description.feasible < 1:
        table.add_row("Within the limits", f"{description.feasible:.0%}")
    if description.seconds_per_trial is not None:
        seconds = description.seconds_per_trial
        spans = ", ".join(duration(s) for s in (seconds.low, seconds.median, seconds.high))
        table.add_row("Time a trial", f"about {spans} on {description.device}, unpruned")
    out.print(table)


def _parameters(parameters: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Parameters of layers in a row that have the same field are one line."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, field in parameters.items():
        layer, _, part = name.partition(".")
        kind = layer.rstrip("0123456789") if part != "depth" and layer != "recipe" else layer
        groups.setdefault((f"{kind}.{part}", field), []).append(name)
    yield "Parameters", f"{len(parameters)}"
    for (_, field), names in groups.items():
        first, last = names[0], names[-1]
        label = first if first == last else f"{first.split('.')[0]}..{last}"
        yield f"  {label}", field


def _span(values: "Range") -> str:
    return ", ".join(f"{value:,.0f}" for value in (values.low, values.median, values.high))


def print_noise(out: Console, noise: "Noise") -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("Trainings", f"{noise.architectures} networks x {noise.seeds} training seeds")
    table.add_row("Mean accuracy", f"{noise.mean:.4f}")
    table.add_row("Deviation between networks", f"{noise.between:.4f}")
    table.add_row("Deviation between seeds", f"{noise.within:.4f}")
    table.add_row(
        "Share that is architecture",
        f"{noise.share:.2f} (95 % interval {noise.low:.2f} to {noise.high:.2f})",
    )
    table.add_row(
        "One training can tell apart",
        f"differences above {noise.smallest_difference:.4f} (95 %)",
    )
    out.print(table)
    out.print()
    out.print(noise.verdict)
    if noise.remedies:
        out.print("What would help:")
        for remedy in noise.remedies:
            out.print(f"  - {remedy}")


def print_studies(out: Console, summaries: Sequence[StudySummary]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("study", overflow="fold")
    for header in ("done", "running", "queued", "pruned", "free", "best"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("last activity", no_wrap=True)  # UTC
    for each in summaries:
        total = f"/{each.trials}" if each.trials is not None else ""
        table.add_row(
            each.study, f"{each.done}{total}", f"{each.running}{' live' if each.live else ''}",
            str(each.queued), str(each.pruned), str(each.free),
            "" if each.best is None else f"{each.best:.4f}", (each.last_activity or "")[5:],
        )  # fmt: skip
    out.print(table)


def follow_search(out: Console, search: "Search") -> dict[str, float]:
    """Run `search` to its end, showing how it goes: live in a terminal, else a line a trial.

    Gives the seconds of each part in all trials, if the search is profiled.
    """
    spent: dict[str, float] = {}
    with live(out) as show:
        started, done_before = time.monotonic(), None
        for progress in search:
            if done_before is None:
                done_before = progress.done
            if progress.finished is not None and progress.seconds is not None:
                out.print(_profile_line(progress.finished.number, progress.seconds), soft_wrap=True)
                for part, seconds in progress.seconds.items():
                    spent[part] = spent.get(part, 0.0) + seconds
            if not out.is_terminal:
                line = _finished_line(progress)
                if line:
                    out.print(line)
                continue
            elapsed = time.monotonic() - started
            show(progress.done, progress.trials, _status(progress, elapsed, done_before))
    return spent


def _profile_line(number: int, seconds: dict[str, float]) -> str:
    total = sum(seconds.values())
    shares = sorted(((each / total, part) for part, each in seconds.items()), reverse=True)
    listed = ", ".join(f"{part} {share:.1%}" for share, part in shares)
    return f"trial {number}: {duration(total)}: {listed}"


def print_profile(out: Console, spent: dict[str, float]) -> None:
    """What the time of all trials went into."""
    total = sum(spent.values())
    table = Table("Part", box=None, pad_edge=False, title_justify="left")
    table.add_column("Seconds", justify="right")
    table.add_column("Share", justify="right")
    for part, seconds in spent.items():
        table.add_row(part, f"{seconds:.2f}", f"{seconds / total:.1%}")
    table.add_row("all", f"{total:.2f}", "")
    out.print(table)
    out.print()


def print_ended(out: Console, search: "Search") -> None:
    """Why there are fewer trials than were asked for, or that nothing was left to do."""
    if search.ended:
        out.print(f"Ended early: {search.ended}.")
        out.print()
    elif not search.ran:
        out.print("Nothing left to do: all trials are done.")
        out.print()


def _status(progress: "SearchProgress", elapsed: float, done_before: int) -> str:
    parts = []
    if progress.best is not None:
        parts.append(f"best {progress.best:.4f}")
    if progress.number is not None:
        parts.append(f"trial {progress.number}: epoch {progress.epoch}/{progress.epochs}")
    if progress.pruned:
        parts.append(f"{progress.pruned} pruned")
    fresh = progress.done - done_before
    if fresh and progress.done < progress.trials:
        left = elapsed / fresh * (progress.trials - progress.done)
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)


def _finished_line(progress: "SearchProgress") -> str:
    trial = progress.finished
    if trial is None:
        return ""
    what = f"{trial.values[0]:.4f}" if trial.values else "no value"
    why = trial.user_attrs.get("reason") or trial.state.name.lower()
    if "repeat_of" in trial.user_attrs:
        why = f"the network of trial {trial.user_attrs['repeat_of']}, free"
    best = "" if progress.best is None else f", best {progress.best:.4f}"
    return f"[{progress.done}/{progress.trials}] trial {trial.number}: {what} ({why}){best}"


def follow_noise(out: Console, study: "NoiseStudy") -> None:
    with live(out) as show:
        for progress in study:
            text = f"epoch {progress.result.epoch}, accuracy {progress.result.accuracy:.4f}"
            if out.is_terminal:
                show(progress.training - 1, progress.total, text)
            elif progress.result.epoch == progress.evaluation.recipe.epochs:
                out.print(f"[{progress.training}/{progress.total}] {text}")


@contextmanager
def live(out: Console) -> Iterator[Any]:
    """Yields show(done, total, text), which redraws one line."""
    if not out.is_terminal:
        yield lambda *_: None
        return
    bar = Progress(
        TextColumn("{task.completed:.0f}/{task.total:.0f}"), BarColumn(bar_width=20),
        TextColumn("{task.fields[text]}"), console=out, transient=True,
    )  # fmt: skip
    task = bar.add_task("", total=1, text="")
    with Live(bar, console=out, transient=True, refresh_per_second=8):
        yield lambda done, total, text: bar.update(task, completed=done, total=total, text=text)


def print_next(out: Console, commands: Iterable[tuple[str, str]]) -> None:
    """What to type next: command and what it does."""
    out.print()
    out.print("Next:", style="bold")
    for command, what in commands:
        out.print(f"  {command}", soft_wrap=True)
        out.print(f"      {what}", style="dim")
