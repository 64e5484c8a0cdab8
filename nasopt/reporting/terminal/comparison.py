"""A comparison in a terminal: its progress, its table and its verdict."""

import math
import shlex
from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from nasopt.analysis.compared import ComparisonResult, Standing
from nasopt.analysis.regret import EXACT, Truth
from nasopt.analysis.statistics import Equivalent, pairs_needed
from nasopt.reporting.commands import command, comparison_options
from nasopt.reporting.terminal import display
from nasopt.reporting.terminal.display import live, print_parts
from nasopt.search.comparison import Comparison, ComparisonProgress
from nasopt.text import accuracy, probability, several
from nasopt.training.metrics import in_words


def follow_comparison(out: Console, comparison: Iterable[ComparisonProgress]) -> None:
    """Run `comparison` to its end: live in a terminal, else a line a study and a winner."""
    before: ComparisonProgress | None = None
    with live(out) as show:
        for progress in comparison:
            if out.is_terminal:
                show(progress.number - 1, progress.total, f"{progress.study}: {_status(progress)}")
            elif before is not None and not goes_on(before, progress):
                out.print(study_line(before), soft_wrap=True)
            before = progress
        if before is not None and out.is_terminal:
            show(before.total, before.total, f"{before.study}: {_status(before)}")
        elif before is not None:
            out.print(study_line(before), soft_wrap=True)


def goes_on(before: ComparisonProgress, progress: ComparisonProgress) -> bool:
    """Return True if both are of the search of one study."""
    return before.study == progress.study and before.again is progress.again is None


def study_line(progress: ComparisonProgress) -> str:
    """Return a line on a study that has ended, or a winner that was trained again."""
    return f"[{progress.number}/{progress.total}] {progress.study}: {_status(progress)}"


def _status(progress: ComparisonProgress) -> str:
    if progress.again is not None:
        accuracies = ", ".join(map(accuracy, progress.again))
        return f"its winner with other seeds has {accuracies}"
    search = progress.search
    if search is None:
        return "done before"
    best = "" if search.best is None else f", best {accuracy(search.best)}"
    under_way = ""
    if search.number is not None:
        under_way = f", trial {search.number}: epoch {search.epoch}/{search.epochs}"
    return f"{search.done} trials, {search.epochs_spent:,} epochs{best}{under_way}"


def print_out_of_time(out: Console, comparison: Comparison) -> None:
    """Print that the budget of time is used before there is something to compare."""
    done = several(sum(map(comparison.is_done, comparison.studies)), "study")
    what = f"{done} of {len(comparison.studies)} are done, {comparison.out_of_time}."
    display.print_out_of_time(out, comparison.deadline, what)


def print_comparison(out: Console, result: ComparisonResult) -> None:
    """Print the table, a sentence, and the limits of the verdict."""
    print_parts(out, comparison_parts(result))


def comparison_parts(result: ComparisonResult) -> Iterator[RenderableType]:
    total = len({row.study for row in result.rows})
    yield Text(f"{result.experiment}: {total} studies of {result.budget}", "bold")
    yield Text()
    yield comparison_table(result)
    yield Text()
    if result.truth is not None and result.truth.regrets:
        yield regret_table(result.truth, result.budget.unit)
        yield Text()
    yield Text(_legend(result), "dim")
    yield Text()
    yield Text(result.verdict)
    yield Text()
    equivalents = [_equivalent(each, result.budget.unit) for each in result.standings]
    known = [_noise(result)] if result.truth is None else _known(result.truth)
    for line in (*filter(None, equivalents), *result.notes, *known):
        yield Text(f"- {line}")


def comparison_table(result: ComparisonResult) -> Table:
    """Return a table with a row a sampler, in the order in which they were named."""
    again = result.score == "fresh"
    tested = any(each.difference and each.difference.p is not None for each in result.standings)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("sampler", overflow="fold")
    headers = ["again" if result.truth is None else "true"] * again
    headers += ["volume" if result.score == "hypervolume" else "seen"]
    headers += ["difference (95 %)"] + ["p"] * tested
    for header in (*headers, "wins", "rank", "epochs"):
        table.add_column(header, justify="right", no_wrap=True)
    for each in result.standings:
        cells = [_score(each.fresh)] * again + [_score(each.seen)]
        cells += _against(each, result.baseline, tested)
        rank = "" if each.rank is None else f"{each.rank:.1f}"
        table.add_row(each.sampler, *cells, rank, f"{each.epochs:,.0f}")
    return table


def regret_table(truth: Truth, unit: str) -> Table:
    """Return a table with a row a sampler: median simple regrets as the budget is spent.

    The last column is the place of the last of them.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(f"regret after {unit}", overflow="fold")
    places = sorted({each.at for each in truth.regrets})
    for header in (*(f"{at:,}" for at in places), "place"):
        table.add_column(header, justify="right", no_wrap=True)
    for sampler in dict.fromkeys(each.sampler for each in truth.regrets):
        found = {each.at: each for each in truth.regrets if each.sampler == sampler}
        medians = [_score(found[at].median if at in found else None) for at in places]
        table.add_row(sampler, *medians, f"{found[max(found)].rank:,}")
    return table


def _score(value: float | None) -> str:
    return accuracy(value) or "none"


def _against(standing: Standing, baseline: str, tested: bool) -> list[str]:
    """Return cells of the difference to the baseline, of its p, and of the chance to win."""
    difference = standing.difference
    if difference is None:
        what = "baseline" if standing.sampler == baseline else "none"
        return [what, *[""] * tested, ""]
    ends = [accuracy(each, sign=True) for each in (difference.low, difference.high)]
    interval = f" ({ends[0]} {ends[1]})" if not math.isnan(difference.low) else ""
    p = ""
    if difference.holm is not None:
        p = probability(difference.holm)
    lead = accuracy(difference.mean, sign=True)
    return [lead + interval, *[p] * tested, f"{difference.superiority:.2f}"]


def _legend(result: ComparisonResult) -> str:
    lines, metric = [], in_words(result.objectives[0])
    if result.score == "fresh" and result.truth is None:
        seeds = several(result.replicates, "other seed")
        lines.append(f"again: the mean of the winner's network trained with {seeds}.")
    elif result.score == "fresh":
        lines.append("true: the mean of all trainings that the table has of the winner's network.")
    if result.score == "hypervolume":
        lines.append(f"volume: of {metric} against cost, what the front dominates.")
    else:
        lines.append(f"seen: the {metric} that the winner was chosen for, flattered by its luck.")
    lines.append(f"difference: to {result.baseline}, seed by seed, with its 95 % interval.")
    if any(each.difference and each.difference.p is not None for each in result.standings):
        lines.append("p: Wilcoxon's, corrected for the number of samplers (Holm).")
    lines.append(f"wins: the chance that a study beats one by {result.baseline}.")
    lines.append("epochs: of a study, as if trained.")
    if result.truth is not None and result.truth.regrets:
        lines.append(
            "regret: how far the winner's true value is below the best network's, the median over "
            "the studies; place: that of such a network among all."
        )
    return " ".join(lines)


def _equivalent(standing: Standing, unit: str) -> str:
    """Return the figure that is easiest to understand, at half of the budget or later.

    A single study has no interval, and supports no claim.
    """
    if len(standing.seeds) < 2:
        return ""
    for each in standing.equivalents[1:] or standing.equivalents:
        at = f"{each.sampler} at {each.at:,} {unit if each.at > 1 else unit.removesuffix('s')}"
        return f"{at} is as good as {each.baseline} at {_equals(each)}."
    return ""


def _equals(equivalent: Equivalent) -> str:
    def text(place: int | None) -> str:
        if place is None:
            return f"more than {equivalent.most:,}"
        return f"{place:,}" if place else "less than 1"

    equals, low, high = map(text, (equivalent.equals, equivalent.low, equivalent.high))
    return equals if equals == low == high else f"{equals} (95 % interval {low} to {high})"


def _noise(result: ComparisonResult) -> str:
    noise = result.noise
    if noise is None:
        metric = in_words(result.objectives[0])
        return f"How much of a training's {metric} is luck was not measured (nasopt noise)."
    return f"{noise.shares} {noise.verdict}"


def _known(truth: Truth) -> list[str]:
    lines = [f"{truth.benchmark}."]
    if truth.expected:
        worth = accuracy(truth.expected[-1])
        lines.append(
            f"{EXACT}: computed, not run, over the results that these studies saw. After "
            f"{len(truth.expected):,} evaluations its winner is worth {worth} on average."
        )
    return lines


def next_commands(
    result: ComparisonResult, location: str, again: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return the next commands; `again` has the commands "noise" and "compare" on the same file."""
    commands = [(command("dashboard", location), "browse the studies, and compare their curves")]
    if "noise" in again and result.noise is None:
        commands.append(
            (again["noise"], f"how much of a training's {in_words(result.objectives[0])} is luck")
        )
    enough = pairs_needed(len(result.standings) - 1)
    if again and max(len(each.seeds) for each in result.standings) < enough:
        samplers = [each.sampler for each in result.standings]
        more = shlex.join(comparison_options(samplers, enough, result.budget))
        commands.append((f"{again['compare']} {more}", "enough seeds for a test"))
    return commands
