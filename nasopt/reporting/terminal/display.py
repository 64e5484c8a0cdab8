"""The progress and tables that a person reads in a terminal, with Rich. It computes nothing."""

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, TextColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from nasopt.reporting.jupyter import Rows, cell, in_notebook
from nasopt.storage.database import password_hint
from nasopt.storage.record import TrialRecord
from nasopt.text import GOES_ON, accuracy, big, done_of, duration, visible
from nasopt.training.metrics import in_words

if TYPE_CHECKING:  # they import torch, which `nasopt show` need not wait for
    from nasopt.analysis.noise import Components, Noise
    from nasopt.search.deadline import Deadline
    from nasopt.search.describe import Description, Range
    from nasopt.search.noise import NoiseProgress
    from nasopt.search.search import Progress as SearchProgress
    from nasopt.search.search import Search
    from nasopt.training.evaluation import EpochResult

WIDEST = 10_000  # columns: in a pipe or a notebook, nothing wraps
HOW_MANY = "Each trial can be reproduced; how many fit into a time cannot"


class _Console(Console):
    """A console that shows texts as they are: no markup, and control characters spelled out."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        if isinstance(renderable, Text) and not renderable.plain.isprintable():
            known, plain = renderable, visible(renderable.plain)
            renderable = Text(plain, known.style, no_wrap=known.no_wrap, overflow=known.overflow)
        return super().render(renderable, options)

    def on_broken_pipe(self) -> None:
        """Raise the error of a broken pipe; Rich would end the process as if it had failed."""
        raise BrokenPipeError


def console(stderr: bool = False) -> Console:
    """Return a console; without a terminal: plain text of 80 columns, no blanks at line ends."""
    file = sys.stderr if stderr else sys.stdout
    if file.isatty():
        return _Console(file=file, highlight=False, markup=False, emoji=False)
    return paper(file)


def paper(file: TextIO, width: int = 80, *, terminal: bool | None = None) -> Console:
    """Return a console that writes to `file`: as in a `terminal`, plain text, or as Rich decides.

    Rich decides for plain text, unless $FORCE_COLOR asks for more.
    """
    plain = cast("TextIO", _Trimmed(file))
    return _Console(
        file=plain, width=width, force_terminal=terminal,
        force_jupyter=False, highlight=False, markup=False, emoji=False,
    )  # fmt: skip


class _Trimmed:
    """A file whose lines have no blanks at their ends; Rich fills the cells of tables with them."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.encoding = file.encoding or "utf-8"  # of a file in memory

    def write(self, text: str) -> int:
        return self.file.write(re.sub(" +$", "", text, flags=re.MULTILINE))

    def flush(self) -> None:
        self.file.flush()

    def isatty(self) -> bool:
        return False


def uncut(text: str) -> Text:
    """Return a text in one line however long it is: a path, to be copied."""
    return Text(text, no_wrap=True, overflow="ignore")


def print_parts(out: Console, parts: Iterable[RenderableType]) -> None:
    """Print each part on lines of its own."""
    for part in parts:
        out.print(part, soft_wrap=isinstance(part, Text) and bool(part.no_wrap))


def print_rows(out: Console, table: Table) -> None:
    """Print a line for each row, as wide as it is, unless a person looks at it in a terminal."""
    if not out.is_terminal:
        table.width = wished_width(out, table).maximum
    out.print(table, crop=False)


def wished_width(out: Console, table: Table) -> Measurement:
    """Return the columns that a table needs, and those that it would take, however wide `out`."""
    return out.measure(table, options=out.options.update(max_width=WIDEST))


def print_json(value: Any) -> None:
    """Print JSON for machines; NaN becomes null, as JSON has no word for it."""
    sys.stdout.write(json.dumps(_finite(value), indent=2) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def print_description(out: Console, name: str, description: "Description") -> None:
    out.print(f"The space of {name}", style="bold")
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for label, text in _hyperparameters(description.parameters):
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


def _hyperparameters(hyperparameters: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Join the hyperparameters of layers in a row that have the same field into one line."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, field in hyperparameters.items():
        layer, _, part = name.partition(".")
        kind = layer.rstrip("0123456789") if part != "depth" and layer != "recipe" else layer
        groups.setdefault((f"{kind}.{part}", field), []).append(name)
    yield "Hyperparameters", f"{len(hyperparameters)}"
    for (_, field), names in groups.items():
        first, last = names[0], names[-1]
        label = first if first == last else f"{first.split('.')[0]}..{last}"
        yield f"  {label}", field


def _span(values: "Range") -> str:
    return ", ".join(f"{value:,.0f}" for value in (values.low, values.median, values.high))


def print_noise(out: Console, noise: "Noise") -> None:
    print_parts(out, noise_parts(noise))


def noise_parts(noise: "Noise") -> Iterator[RenderableType]:
    groups: dict[str, Components] = {"all networks": noise}
    if noise.better:
        groups["better half"] = noise.better
    table = Table("", *groups, box=None, padding=(0, 2, 0, 0))
    table.columns[0].style = "bold"
    rows: dict[str, Callable[[Components], str]] = {
        "Networks": lambda each: str(each.architectures),
        f"Mean {in_words(noise.metric)}": lambda each: accuracy(each.mean),
        "Deviation between networks": lambda each: accuracy(each.between),
        "Deviation between seeds": lambda each: accuracy(each.within),
        "Share that is architecture": lambda each: f"{each.share:.2f}",
        "Its 95 % interval": lambda each: f"{each.low:.2f} to {each.high:.2f}",
        "Least difference that one training shows": lambda each: accuracy(each.smallest_difference),
    }
    for name, shown in rows.items():
        table.add_row(name, *map(shown, groups.values()))
    yield Text(f"{noise.architectures} networks x {noise.seeds} training seeds")
    yield table
    yield Text()
    yield Text(noise.verdict)
    if noise.remedies:
        yield Text("What would help:")
        for remedy in noise.remedies:
            yield Text(f"  - {remedy}")


def follow_search(out: Console, search: Iterable["SearchProgress"]) -> dict[str, float]:
    """Run `search` to its end and show how it goes: live in a terminal, else a line a trial.

    Returns the seconds of each part in all trials, if the search is profiled.
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
                line = finished_line(progress)
                if line:
                    out.print(line)
                continue
            elapsed = time.monotonic() - started
            show(progress.done, progress.trials, status(progress, elapsed, done_before))
    return spent


def _profile_line(number: int, seconds: dict[str, float]) -> str:
    total = sum(seconds.values())
    shares = sorted(((each / total, part) for part, each in seconds.items()), reverse=True)
    listed = ", ".join(f"{part} {share:.1%}" for share, part in shares)
    return f"trial {number}: {duration(total)}: {listed}"


def print_profile(out: Console, spent: dict[str, float]) -> None:
    """Print the parts of the time of all trials."""
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
    """Print why there are fewer trials than were asked for, or that nothing was left to do."""
    if search.out_of_time:
        so_far = done_of(search.standing.done, search.trials)
        what = f"{so_far} are done, {search.out_of_time}. {HOW_MANY}."
        print_out_of_time(out, search.deadline, what)
    elif search.ended:
        out.print(f"Ended early: {search.ended}.")
        out.print()
    elif not search.ran:
        done = search.standing.done
        more = f"{done} trials are done, {search.trials} were asked for"
        out.print(f"Nothing left to do: {more if done > search.trials else 'all trials are done'}.")
        out.print()


def print_out_of_time(out: Console, deadline: "Deadline", what: str) -> None:
    """Print that the budget of time is used, and how to go on."""
    used = f"The budget of time, {duration(deadline.seconds)}, is used"
    out.print(f"{used}: {what} {GOES_ON.capitalize()}.")
    out.print()


def status(progress: "SearchProgress", elapsed: float, done_before: int) -> str:
    """Return how a study stands, `elapsed` seconds after `done_before` trials were done."""
    parts = []
    if progress.best is not None:
        parts.append(f"best {accuracy(progress.best)}")
    if progress.number is not None:
        parts.append(f"trial {progress.number}: epoch {progress.epoch}/{progress.epochs}")
    if progress.pruned:
        parts.append(f"{progress.pruned} pruned")
    fresh = progress.done - done_before
    if fresh and progress.done < progress.trials:
        left = elapsed / fresh * (progress.trials - progress.done)
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)


def finished_line(progress: "SearchProgress") -> str:
    """Return a line on the trial that has just ended; "" if none has."""
    trial = progress.finished
    if trial is None:
        return ""
    what = accuracy(trial.values[0]) if trial.values else "no value"
    record = TrialRecord.of(trial)
    why = record.reason or trial.state.name.lower()
    if record.repeat_of is not None:
        why = f"the network of trial {record.repeat_of}, free"
    best = "" if progress.best is None else f", best {accuracy(progress.best)}"
    return f"[{progress.done}/{progress.trials}] trial {trial.number}: {what} ({why}){best}"


def follow_noise(out: Console, study: Iterable["NoiseProgress"]) -> None:
    with live(out) as show:
        for progress in study:
            score = accuracy(progress.result.score(progress.metric))
            text = f"epoch {progress.result.epoch}, {in_words(progress.metric)} {score}"
            ended = progress.result.epoch == progress.evaluation.recipe.epochs
            if out.is_terminal:
                show(progress.training - (not ended), progress.total, text)
            elif ended:
                out.print(f"[{progress.training}/{progress.total}] {text}")


def follow_epochs(out: Console, training: "Iterable[EpochResult]", epochs: int) -> None:
    """Go through a training: live in a terminal, else a line an epoch."""
    with live(out) as show:
        for result in training:
            text = f"epoch {result.epoch}, accuracy {accuracy(result.accuracy)}"
            if out.is_terminal:
                show(result.epoch, epochs, text)
            else:
                out.print(f"[{result.epoch}/{epochs}] {text}")


@contextmanager
def live(out: Console) -> Iterator[Any]:
    """Yield show(done, total, text, rows), which redraws a line, and one below it for each row."""
    if not out.is_terminal:
        yield lambda *_: None
        return
    if in_notebook():
        with cell() as redraw:
            yield redraw
        return
    bar = Progress(
        TextColumn("{task.completed:.0f}/{task.total:.0f}"), BarColumn(bar_width=20),
        TextColumn("{task.fields[text]}", markup=False), console=out, transient=True,
    )  # fmt: skip
    task = bar.add_task("", total=1, text="")
    view = _View(bar)

    def show(done: float, total: float, text: str, rows: Rows = ()) -> None:
        bar.update(task, completed=done, total=total, text=text)
        view.rows = rows

    with Live(view, console=out, transient=True, refresh_per_second=8):
        yield show


class _View:
    """A bar, and rows below it."""

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        self.rows: Rows = ()

    def __rich__(self) -> Group:
        table = Table.grid(padding=(0, 2, 0, 0))
        for row in self.rows:
            table.add_row(*row)
        return Group(self.bar, table)


def print_next(out: Console, commands: Iterable[tuple[str, str]], *locations: str | None) -> None:
    """Print the next commands with their effects, and the passwords of `locations` they lack."""
    out.print()
    out.print("Next:", style="bold")
    for command, what in commands:
        out.print(f"  {command}", soft_wrap=True)
        out.print(f"      {what}", style="dim")
    for hint in {password_hint(each) for each in locations if each} - {""}:
        out.print(hint, style="dim")
