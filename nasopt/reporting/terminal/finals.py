"""The finals in a terminal: their progress, and the tables of what came of them."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from nasopt.analysis.classification import Scores
from nasopt.analysis.final_test import Efficiency, FinalProgress, FinalResult, FinalTest, Tested
from nasopt.analysis.reranking import Reranking
from nasopt.reporting.terminal.display import live, print_parts, uncut, wished_width
from nasopt.text import accuracy, duration, memory, several
from nasopt.training.metrics import METRICS, capital, in_words

MOST_CLASSES = 20  # whose recalls and confusions are printed; a report has all
SHOWN_MISTAKES = 5
LEAST_NAME = 16  # columns for the names of classes beside their confusions
BAR = 32  # columns of the counts and the bar, which a longer text would push aside
UNITS = ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (float("inf"), 1.0, "s"))  # below, factor, name


def follow_finals(out: Console, finals: Iterable[FinalProgress]) -> None:
    """Go through all stages: live in a terminal, else a line a training."""
    with live(out) as show:
        before: FinalProgress | None = None
        for progress in finals:
            if out.is_terminal:
                left = f"{duration(progress.seconds_left)} left, " if progress.seconds_left else ""
                text = f"{progress.stage}: {left}{_status(progress)}"
                show(progress.number - 1, progress.total, text[: max(1, out.width - BAR)])
            elif before is not None and _place(before) != _place(progress):
                out.print(finished_training(before), soft_wrap=True)
            before = progress
        if before is not None and not out.is_terminal:
            out.print(finished_training(before), soft_wrap=True)


def _place(progress: FinalProgress) -> tuple[str, int]:
    return progress.stage, progress.number


def finished_training(progress: FinalProgress) -> str:
    """Return a line on the last state of a training, or of another step."""
    return f"{progress.stage} [{progress.number}/{progress.total}] {_status(progress)}"


def _status(progress: FinalProgress) -> str:
    epoch = f", epoch {progress.epoch}/{progress.epochs}" if progress.epochs else ""
    scored = ""
    if progress.score is not None:
        scored = f", {in_words(progress.metric)} {accuracy(progress.score)}"
    return f"{progress.name}{epoch}{scored}"


def print_kept_back(out: Console, done: str, seconds: float) -> None:
    """Print that a search has ended for the sake of its finals, at what was `done`."""
    out.print(f"The search ends here: {done}. The finals take about {duration(seconds)}.")
    out.print()


def print_finals(out: Console, result: FinalResult) -> None:
    """Print what became of each stage."""
    print_parts(out, final_parts(out, result))


def final_parts(out: Console, result: FinalResult) -> Iterator[RenderableType]:
    """Yield what became of each stage, in texts and tables for a console like `out`."""
    yield Text(f"The finals of {result.experiment}", "bold")
    yield Text()
    yield from _reranking(result.reranking)
    yield from _test(result.test)
    yield from _model(out, result.test)
    yield from _efficiency(result.efficiency)
    for note in result.test.left_out:
        yield Text(f"- {note}")
    yield uncut(f"The model is in {result.folder}.")


def _reranking(reranking: Reranking) -> Iterator[RenderableType]:
    seeds = several(len(reranking.winner.fresh), "other seed")
    scored = f"{in_words(reranking.metric)} on validation"
    yield Text(f"The best networks, trained again with {seeds}: {scored}", "bold")
    table = _table("as seen", "again", "error", "parameters", "MACs", first="network")
    for place, each in enumerate(reranking.ranked, 1):
        error = "" if each.error is None else accuracy(each.error)
        counts = ("" if n is None else f"{n:,}" for n in (each.parameters, each.macs))
        cells = (accuracy(each.seen), accuracy(each.mean), error, *counts)
        table.add_row(f"{place}. {each.name}", *cells)
    yield table
    yield Text(reranking.verdict)
    yield Text()


def _test(test: FinalTest) -> Iterator[RenderableType]:
    images = test.winner.first.images
    yield Text(f"On the {images:,} test images: {in_words(test.metric)}", "bold")
    epochs = several(test.epochs, "epoch")
    seeds = several(len(test.winner.scores), "seed")
    yield Text(
        f"All were trained for {epochs} on training and validation images together, with {seeds}. "
        "Nothing was left to validate on.",
        "dim",
    )
    table = _table("mean", "95 % over seeds", "winner's lead", "parameters", first="network")
    for each in test.tested:
        counts = f"{each.contender.parameters:,}"
        table.add_row(each.contender.name, *_of_seeds(each), _lead(each), counts)
    yield table
    for each in test.tested:
        yield Text(f"{each.contender.name}: {each.contender.how}.", "dim")
    yield Text(test.verdict)
    yield Text(test.about_looks)
    yield Text()


def _of_seeds(each: Tested) -> tuple[str, str]:
    found = each.over_seeds
    if found.low is None or found.high is None:
        return accuracy(found.mean), ""
    return accuracy(found.mean), f"{accuracy(found.low)} to {accuracy(found.high)}"


def _lead(each: Tested) -> str:
    if each.lead is None:
        return ""
    ends = (accuracy(end, sign=True) for end in (each.lead.low, each.lead.high))
    return f"{accuracy(each.lead.mean, sign=True)} ({' '.join(ends)})"


def _model(out: Console, test: FinalTest) -> Iterator[RenderableType]:
    """Yield the scores of the model that is written: the winner's of the first seed."""
    yield Text("The model: the winner's of the first seed, whichever is best on test", "bold")
    yield from score_parts(out, test.winner.first, test.classes, test.metric)
    if test.mistakes:
        yield Text("Its most confident mistakes", "bold")
        for each in test.mistakes[:SHOWN_MISTAKES]:
            name = each.file or f"test image {each.image}"
            told = f"{each.label} taken for {each.predicted} ({each.confidence:.0%})"
            yield uncut(f"  {name}: {told}")
        yield Text()


def score_parts(
    out: Console, scores: Scores, classes: Sequence[str], metric: str
) -> Iterator[RenderableType]:
    """Yield the scores of one model, that by `metric` first, and which classes it takes for which.

    Where that is not the accuracy, it is said that networks were chosen by it.
    """
    facts = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    facts.add_column(style="bold")
    facts.add_column()
    ends = f"{accuracy(scores.low)} to {accuracy(scores.high)}"
    notes = {"accuracy": f" (95 % interval {ends}, Wilson)"}
    if metric != "accuracy":
        notes[metric] = " (by which it was chosen)"
    for each in sorted(METRICS, key=lambda each: each != metric):
        facts.add_row(capital(each), f"{accuracy(scores.by(each))}{notes.get(each, '')}")
    yield facts
    yield Text()
    narrowest = wished_width(out, confusion_table(scores, [""] * len(classes))).minimum
    fits = len(classes) <= MOST_CLASSES and narrowest <= out.width
    yield confusion_table(scores, classes) if fits else _hardest(scores, classes)
    yield Text()


def confusion_table(scores: Scores, classes: Sequence[str]) -> Table:
    """Return a row for each true class: its recall, and how many images went to each class.

    Where there is no room for all of it, the names are folded: the counts are what it is for.
    """
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("true \\ predicted", overflow="fold", min_width=LEAST_NAME, style="bold")
    table.add_column("recall", justify="right", no_wrap=True)
    for number in range(1, len(classes) + 1):
        table.add_column(str(number), justify="right", no_wrap=True)
    rows = zip(classes, scores.recalls, scores.confusion, strict=True)
    for number, (name, recall, counts) in enumerate(rows, 1):
        cells = [str(count) if count else "·" for count in counts]
        table.add_row(f"{number} {name}", accuracy(recall) or "none", *cells)
    return table


def _hardest(scores: Scores, classes: Sequence[str]) -> Table:
    """Return the classes of the least recall, where there are too many to print."""
    table = _table("recall", first="hardest classes")
    known = zip(classes, scores.recalls, strict=True)
    ranked = sorted((recall, name) for name, recall in known if recall is not None)
    for recall, name in ranked[:MOST_CLASSES]:
        table.add_row(name, accuracy(recall))
    return table


def _efficiency(found: Iterable[Efficiency]) -> Iterator[RenderableType]:
    measured = tuple(found)
    if not measured:
        return
    first = measured[0].latencies[0]
    threads = f", {several(first.threads, 'thread')}" if first.threads else ""
    yield Text(f"Efficiency on this device: {first.device}{threads}", "bold")
    sizes = [f"batch of {each.batch_size}" for each in measured[0].latencies]
    table = _table("MACs", "on disk", *sizes, "memory", first="network")
    for each in measured:
        latencies = (f"{_time(of.median)} ({_time(of.p95)})" for of in each.latencies)
        peak = memory(each.latencies[-1].memory)
        table.add_row(each.name, f"{each.macs:,}", memory(each.disk), *latencies, peak)
    yield table
    how = "measured" if measured[0].memory_is_measured else "counted: weights and largest maps"
    yield Text(
        f"Times: the median of a forward pass (and its 95th percentile). Memory: of the largest "
        f"batch, {how}.",
        "dim",
    )
    yield Text()


def _time(seconds: float) -> str:
    factor, unit = next((factor, unit) for below, factor, unit in UNITS if seconds < below)
    return f"{seconds * factor:.3g} {unit}"


def _table(*headers: str, first: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(first)
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    return table
