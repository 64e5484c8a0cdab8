import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from nasopt.analysis.compared import ComparisonResult, Standing
from nasopt.analysis.curves import Budget
from nasopt.analysis.noise import variance_components
from nasopt.analysis.regret import EXACT, Regret, Truth
from nasopt.analysis.statistics import Difference, Equivalent
from nasopt.reporting.terminal.comparison import _equals, next_commands, print_comparison

RANDOM = Standing(
    sampler="random", seeds=tuple(range(8)), seen=0.96711, fresh=0.95002, fresh_error=0.001,
    quarters=(), evaluations=40, pruned=13, epochs=612.4, seconds=14, rank=1.75, difference=None,
    equivalents=(),
)  # fmt: skip
TPE = replace(
    RANDOM,
    sampler="tpe-univariate",
    seen=1.0,
    difference=Difference(
        "tpe-univariate", "random", 8, 0.0123, -0.0012, 0.0234, p=0.008, holm=0.016, superiority=0.7
    ),
    equivalents=(
        Equivalent("tpe-univariate", "random", 10, 12, 11, 14, 40),
        Equivalent("tpe-univariate", "random", 20, 35, 22, None, 40),
    ),
)  # fmt: skip
RESULT = ComparisonResult(
    experiment="digits", objectives=("accuracy",), budget=Budget(40), baseline="random",
    replicates=3, score="fresh", standings=(RANDOM, TPE), winners=(), curves=(), rows=(),
    noise=None, notes=("A note.",),
)  # fmt: skip


def shown(result: ComparisonResult) -> str:
    console = Console(file=io.StringIO(), width=80, highlight=False)
    print_comparison(console, result)
    text = console.file.getvalue()
    return "\n".join(line.rstrip() for line in text.splitlines())


def test_a_comparison_is_a_table_and_a_sentence_of_80_columns():
    text = shown(RESULT)
    assert max(map(len, text.splitlines())) <= 80
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line}
    assert rows["random"] == ["0.9500", "0.9671", "baseline", "1.8", "612"]
    assert rows["tpe-univariate"] == [
        "0.9500", "1.0000", "+0.0123", "(-0.0012", "+0.0234)", "0.016", "0.70", "1.8", "612",
    ]  # fmt: skip
    flat = " ".join(text.split())
    assert "After 40 evaluations tpe-univariate (+0.0123, p = 0.016) is better than random." in flat
    assert (
        "- tpe-univariate at 20 evaluations is as good as random at 35 (95 % interval 22 to more "
        "than 40)." in flat
    )
    assert "- A note." in flat
    assert "was not measured (nasopt noise)" in flat


def test_without_a_test_there_is_no_column_for_p():
    few = replace(TPE, difference=replace(TPE.difference, p=None, holm=None, pairs=5))
    text = shown(replace(RESULT, standings=(RANDOM, few)))
    header = next(line for line in text.splitlines() if line.startswith("sampler"))
    assert header.split()[-3:] == ["wins", "rank", "epochs"]
    assert " p " not in header
    assert "Wilcoxon" not in text


def test_a_table_in_percent_keeps_its_unit():
    percent = replace(RANDOM, seen=93.081, fresh=92.9)
    assert "93.08" in shown(replace(RESULT, standings=(percent, TPE)))


def test_what_is_hardly_chance_has_no_zero_for_a_p():
    sure = replace(TPE, difference=replace(TPE.difference, holm=1.2e-05))
    assert " <0.001 " in shown(replace(RESULT, standings=(RANDOM, sure)))


def test_regret_on_a_benchmark_is_a_table_of_80_columns():
    regrets = [
        Regret(sampler, at, 0.01, median, 1.0, rank)
        for sampler, medians, rank in ((EXACT, (12.3456, 0.4567), 1234), ("random", (None, 0.5), 1))
        for at, median in zip((1_000, 2_000), medians, strict=True)
        if median is not None
    ]
    truth = Truth("table: 9 networks", 94.0, tuple(regrets), expected=(93.0,) * 2_000)
    percent = [replace(each, seen=93.0, fresh=92.0) for each in (RANDOM, TPE)]
    text = shown(replace(RESULT, truth=truth, standings=tuple(percent)))
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"^sampler +true +seen +difference \(95 %\) +p ", text, re.MULTILINE)
    rows = {line[:14].strip(): line[25:].split() for line in text.splitlines() if line}
    assert rows["random, exact"] == ["12.35", "0.4567", "1,234"]
    assert re.search(r"^random +none +0\.5000 +1$", text, re.MULTILINE)
    flat = " ".join(text.split())
    assert "+0.0123 (-0.0012 +0.0234)" in flat
    assert "- table: 9 networks." in flat
    assert "After 2,000 evaluations its winner is worth 93.00 on average." in flat
    assert "was not measured (nasopt noise)" not in flat


def test_a_sampler_without_a_score_stands_there_with_none():
    never = replace(RANDOM, sampler="one-epoch", seen=None, fresh=None, rank=None)
    text = shown(replace(RESULT, score="seen", standings=(RANDOM, never)))
    row = next(line for line in text.splitlines() if line.startswith("one-epoch"))
    assert row.split() == ["one-epoch", "none", "none", "612"]


def test_what_was_measured_of_the_noise_is_told():
    noise = variance_components([[0.1, 0.12, 0.1], [0.9, 0.91, 0.9], [0.5, 0.5, 0.52], [0.8] * 3])
    flat = " ".join(shown(replace(RESULT, noise=noise)).split())
    assert f"{noise.shares} {noise.verdict}" in flat
    assert f"among the better half of the networks {noise.better.share:.2f} (95 % interval" in flat


@pytest.mark.parametrize("seeds", [5, 8])
def test_what_to_type_next_depends_on_what_is_missing(seeds):
    few = replace(RESULT, standings=(replace(RANDOM, seeds=tuple(range(seeds))),))
    again = {"noise": "nasopt noise x.py", "compare": "nasopt compare x.py"}
    commands = [command for command, _ in next_commands(few, "r s/x.db", again)]
    assert commands[:2] == ["nasopt dashboard 'r s/x.db'", "nasopt noise x.py"]
    more = "nasopt compare x.py --samplers random --seeds 8 --trials 40"
    assert commands[2:] == ([more] if seeds < 8 else [])
    assert len(next_commands(few, "x.db", {})) == 1


@pytest.mark.parametrize(
    ("places", "text"),
    [
        ((1200, 1200, 1200), "1,200"),
        ((0, 0, 0), "less than 1"),
        ((5, 0, None), "5 (95 % interval less than 1 to more than 2,000)"),
    ],
)
def test_how_far_the_baseline_has_to_go_is_said_in_words(places, text):
    assert _equals(Equivalent("tpe", "random", 10, *places, most=2000)) == text


def test_a_single_pair_of_studies_has_no_interval_to_be_told():
    one = [replace(each, seeds=(0,)) for each in (RANDOM, TPE)]
    assert "is as good as" in shown(RESULT)
    assert "is as good as" not in shown(replace(RESULT, standings=tuple(one)))


def test_a_long_name_of_a_sampler_is_folded_and_no_number_cut():
    name = "TPESampler(group=True, multivariate=True)"
    long = replace(TPE, sampler=name)
    text = shown(replace(RESULT, standings=(RANDOM, long)))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "+0.0123 (-0.0012 +0.0234)" in text
    column = "".join(line.split(" 0.9")[0].strip() for line in text.splitlines()[2:8])
    assert name.replace(" ", "") in column.replace(" ", "")
