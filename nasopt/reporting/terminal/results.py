"""The results of a study in a terminal: the lecture's table, any trial, the list of studies."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from nasopt.analysis.outcome import Outcome, Result, layer_rows
from nasopt.analysis.studies import StudySummary
from nasopt.analysis.why import Why
from nasopt.reporting.terminal.display import print_parts
from nasopt.space.architecture import Architecture
from nasopt.text import accuracy, done_of, latency, several, trained_on
from nasopt.training.metrics import capital, in_words

WIDEST_LABEL = "Size of filters"  # of `layer_rows`
KERNELS = {"1x1": "yellow", "3x3": "cyan", "5x5": "magenta", "7x7": "green"}
BLOCKS = "▁▂▃▄▅▆▇█"
LONGEST = 30  # columns of a sparkline
ONLY_KNOWN = ("trained again", "again", "left out", "latency")  # columns that may be empty


def outcome_table(outcome: Outcome, width: int) -> Group:
    """Return the lecture's table: layers as columns, choices as rows; wrapped to `width`."""
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
    """Return the network of a benchmark: its choices, a row each."""
    table = Table(box=None, padding=(0, 0, 0, 2), show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in params.items():
        table.add_row(name, str(value))
    return table


def _wrapped(rows: dict[str, list[str]], count: int, width: int) -> Iterator[range]:
    """Return the columns of each block: as few blocks as `width` allows, as even as can be."""
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
        cells = [Text(texts[column], style=_colour(label, texts[column])) for column in columns]
        table.add_row(label, *cells, style=style)
    return table


def _colour(label: str, text: str) -> str:
    """Colour sizes of filters, and make layers that shrink the map bold: seen at a glance."""
    if label == WIDEST_LABEL:
        return KERNELS.get(text, "blue")
    return "bold" if label == "Stride" and text != "1" else ""


def _facts(outcome: Outcome) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    if isinstance(outcome.architecture, Architecture):
        widths = " ".join(str(layer.chosen("width")) for layer in outcome.architecture.dense)
        table.add_row("Dense widths", widths or "none")
    for name, value in outcome.recipe.items():
        table.add_row(f"Recipe: {name.removeprefix('recipe.')}", f"{value:.4g}")
    for label, text in _accuracies(outcome):
        table.add_row(label, text)
    for label, count in (("Parameters", outcome.parameters), ("MACs", outcome.macs)):
        if count is not None:
            table.add_row(label, f"{count:,}")
    if outcome.record.latency is not None:
        table.add_row("Latency", f"{latency(outcome.record.latency)} ({outcome.timed_on})")
    return table


def _accuracies(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Yield the accuracies, those with other seeds first; the one of the search is flattered."""
    seen = accuracy(outcome.accuracy) or "none"
    if outcome.fresh_mean is None:
        yield f"Validation {in_words(outcome.metric)}", seen
        return
    again = f"{accuracy(outcome.fresh_mean)} (mean of {several(len(outcome.fresh), 'other seed')})"
    name = capital(outcome.metric)
    yield f"{name}, trained again", again
    yield f"{name}, as seen", f"{seen} (what the search chose it for, luck included)"


def sparkline(values: Sequence[float], low: float, high: float) -> str:
    """Return `values` as blocks of eight heights from `low` to `high`; of many every 2nd or 3rd."""
    step = -(-len(values) // LONGEST)
    span = (high - low) or 1.0
    heights = [(value - low) / span for value in values[::-1][::step][::-1]]
    return "".join(BLOCKS[max(0, min(7, int(8 * height)))] for height in heights)


def _can_draw(out: Console) -> bool:
    """Return True if the output can show blocks; pipes and other alphabets get numbers."""
    return out.is_terminal and out.encoding.lower().startswith("utf")


def print_outcome(out: Console, outcome: Outcome) -> None:
    """Print one trial: its table, and how it ended."""
    print_parts(out, outcome_parts(out, outcome))


def outcome_parts(out: Console, outcome: Outcome) -> Iterator[RenderableType]:
    yield Text(f"Trial {outcome.number} of {outcome.study} ({outcome.state})", "bold")
    yield Text()
    yield outcome_table(outcome, out.width)
    record = outcome.record
    notes = {
        "Why it ended early": record.reason,
        "The network of trial": record.repeat_of,
        "Never trained, over": record.infeasible,
        "Epochs": record.epochs,
        "Seconds of training": None if record.seconds is None else f"{record.seconds:.1f}",
        "Epochs known before": record.replayed_epochs,
        "Trained on": record.device,
        "On several devices or versions": "yes" if record.mixed else None,
    }
    facts = Table(box=None, padding=(0, 0, 0, 2), show_header=False, pad_edge=False)
    facts.add_column(style="bold")
    for label, value in notes.items():
        if value is not None:
            facts.add_row(label, str(value))
    if outcome.over and record.infeasible is None:
        facts.add_row("Over the limit in force", ", ".join(outcome.over))
    if outcome.accuracies and _can_draw(out):
        facts.add_row("Learning curve", _curve(outcome, outcome.accuracies))
    elif outcome.accuracies:
        facts.add_row("After each epoch", " ".join(map(accuracy, outcome.accuracies)))
    yield facts


def _curve(outcome: Outcome, scale: Sequence[float]) -> Text:
    """Return the learning curve between the ends of `scale`; dim if it was stopped early."""
    text = Text(sparkline(outcome.accuracies, min(scale), max(scale)))
    text.stylize("dim" if outcome.state == "pruned" else "cyan")
    first, last = map(accuracy, (outcome.accuracies[0], outcome.accuracies[-1]))
    return text.append(f" {first} to {last}", "")


def print_why(out: Console, why: Why) -> None:
    """Print the accuracy that the model expected of a trial, and the reasons."""
    print_parts(out, why_parts(why))


def why_parts(why: Why) -> Iterator[RenderableType]:
    yield Text(f"Trial {why.number} of {why.study} ({why.state})", "bold")
    yield Text()
    facts = Table(box=None, padding=(0, 0, 0, 2), show_header=False, pad_edge=False)
    facts.add_column(style="bold")
    facts.add_column()
    expected, low, high = map(accuracy, (why.expected, why.low, why.high))
    facts.add_row("Expected", f"{expected}, 95 % from {low} to {high}")
    facts.add_row("Seen", accuracy(why.seen) or "nothing yet")
    weights = ", ".join(f"{name} {share:.0%}" for name, share in why.weights.items())
    facts.add_row("Goes by", weights)
    for label, (number, distance, value) in zip(("Most alike", "", ""), why.nearest, strict=False):
        ended = accuracy(value) or "failed"
        facts.add_row(label, f"trial {number}: {ended} (distance {distance:.2f})")
    yield facts


def print_result(out: Console, result: Result) -> None:
    """Print a study's outcome: the best network's table, or the Pareto front."""
    print_parts(out, result_parts(out, result))


def result_parts(out: Console, result: Result) -> Iterator[RenderableType]:
    parts = [done_of(result.done, result.trials)]
    if result.pruned:
        parts.append(f"{result.pruned} of them pruned")
    if result.free:
        parts.append(f"{result.free} more for free")
    yield Text(f"{result.study}: {', '.join(parts)}", "bold")
    if len(result.devices) > 1:
        yield Text(
            f"Trained on {trained_on(result.devices)}: elsewhere a network may end a little better "
            "or worse."
        )
    yield from map(Text, result.notes)
    yield Text()
    if not result.best:
        limits = " and ".join(result.limits)
        none = (
            f"No complete trial is within {limits}." if result.over else "No trial is complete yet."
        )
        yield Text(none)
    elif len(result.objectives) == 1:
        yield Text(f"The best network, trial {result.best[0].number}:")
        yield Text()
        yield outcome_table(result.best[0], out.width)
        if result.runners_up:
            yield from _runners_up(out, result)
    else:
        yield from _front(out, result)


def _runners_up(out: Console, result: Result) -> Iterator[RenderableType]:
    """Yield the best and those behind it, with learning curves if the terminal can draw."""
    yield Text()
    outcomes = (*result.best, *result.runners_up)
    scale = [value for each in outcomes for value in each.accuracies]
    rows: list[dict[str, Text]] = [_numbers(each) for each in outcomes]
    if _can_draw(out) and all(len(each.accuracies) > 1 for each in outcomes):
        for row, each in zip(rows, outcomes, strict=True):
            row["learning curve"] = _curve(each, scale)
    table = _fitting(rows, out.width, ("learning curve", "parameters", "MACs"))
    table.rows[0].style = "bold green"
    yield table


def _numbers(outcome: Outcome) -> dict[str, Text]:
    """Return a network's row of a table."""
    counts = {"parameters": outcome.parameters, "MACs": outcome.macs}
    return {
        "trial": Text(str(outcome.number)),
        "trained again": Text(accuracy(outcome.fresh_mean)),
        f"{in_words(outcome.metric)} seen": Text(accuracy(outcome.accuracy)),
        **{name: Text("" if count is None else f"{count:,}") for name, count in counts.items()},
        "latency": Text(latency(outcome.record.latency)),
    }


def _fitting(rows: Sequence[dict[str, Text]], width: int, dispensable: Sequence[str]) -> Table:
    """Return a table of `rows`, without as many `dispensable` columns as do not fit `width`."""
    headers = [
        header for header in rows[0] if header not in ONLY_KNOWN or any(row[header] for row in rows)
    ]
    for header in dispensable:
        widths = [max(len(each), *(len(row[each]) for row in rows)) for each in headers]
        if sum(widths) + 2 * (len(headers) - 1) <= width:
            break
        if header in headers:
            headers.remove(header)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for header in headers:
        words = header in ("study", "learning curve", "last activity")
        fold = {"overflow": "fold"} if header == "study" else {"no_wrap": True}
        table.add_column(header, justify="left" if words else "right", **fold)
    for row in rows:
        table.add_row(*(row[header] for header in headers))
    return table


def _front(out: Console, result: Result) -> Iterator[RenderableType]:
    """Yield the networks that no other beats at the same or less cost, and the last one's table."""
    metric, cost = map(in_words, result.objectives)
    yield Text(f"The Pareto front of {metric} against {cost}:")
    yield _fitting([_numbers(each) for each in result.best], out.width, ("parameters", "MACs"))
    yield Text()
    yield Text(f"The one with the highest {metric}, trial {result.best[-1].number}:")
    yield Text()
    yield outcome_table(result.best[-1], out.width)


def print_studies(out: Console, summaries: Sequence[StudySummary]) -> None:
    """Print a line a study; if there is little room, without the columns that matter least."""
    out.print(studies_table(summaries, out.width))


def studies_table(summaries: Sequence[StudySummary], width: int) -> Table:
    rows = [_summary(each) for each in summaries]
    dispensable = ("last activity", "free", "queued", "pruned", "running")
    return _fitting(rows, width, dispensable)


def _summary(summary: StudySummary) -> dict[str, Text]:
    total = ""
    if summary.trials is not None:
        total = (
            f"/{summary.trials}" if summary.done <= summary.trials else f" ({summary.trials} asked)"
        )
    cells = {
        "study": summary.study,
        "done": f"{summary.done}{total}",
        "running": f"{summary.running}{' live' if summary.live else ''}",
        "queued": str(summary.queued),
        "pruned": str(summary.pruned),
        "free": str(summary.free),
        "left out": str(summary.over + summary.foreign or ""),
        "again": accuracy(summary.fresh),
        "seen": accuracy(summary.best),
        "last activity": (summary.last_activity or "")[5:],  # UTC
    }
    return {header: Text(text) for header, text in cells.items()}
