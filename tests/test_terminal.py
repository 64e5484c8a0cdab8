import io
import json

import pytest
from rich.console import Console

from nasopt import Architecture, Conv, Dense, Pool
from nasopt.analysis.outcome import Outcome
from nasopt.terminal import big, duration, outcome_table, print_json


def table(layers, width: int = 80, **fields) -> str:
    outcome = Outcome(
        **{
            "study": "x/tpe/0", "number": 3, "state": "complete",
            "architecture": Architecture(tuple(layers)), "recipe": {}, "accuracy": 0.91234,
            "accuracies": (), "parameters": 1_234, "macs": 5_678_901, "attributes": {}, **fields,
        }
    )  # fmt: skip
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(outcome_table(outcome, width))
    text = console.file.getvalue()
    return "\n".join(line.rstrip() for line in text.splitlines())


def test_the_outcome_is_drawn_as_the_lecture_draws_it():
    layers = [Conv(filters=24, kernel_size=3, stride=1), Conv(filters=48, kernel_size=5, stride=2)]
    assert table([*layers, Dense(width=64), Dense(width=32)]) == "\n".join(
        [
            "Layer              1    2",
            "# of filters      24   48",
            "Size of filters  3x3  5x5",
            "Stride             1    2",
            "",
            "Dense widths         64 32",
            "Validation accuracy  0.9123",
            "Parameters           1,234",
            "MACs                 5,678,901",
        ]
    )


@pytest.mark.parametrize("filters", [8, 64, 512])
def test_twenty_layers_fit_80_columns_in_even_blocks(filters):
    lines = table([Conv(filters=filters, kernel_size=5, stride=2)] * 20).splitlines()
    assert max(map(len, lines)) <= 80
    numbers = [line.split()[1:] for line in lines if line.startswith("Layer")]
    assert numbers == [[str(i) for i in range(1, 11)], [str(i) for i in range(11, 21)]]


def test_a_narrow_terminal_gets_more_blocks():
    lines = table([Conv(filters=64)] * 8, width=40).splitlines()
    assert max(map(len, lines)) <= 40


def test_kinds_of_layers_are_named_where_they_differ():
    text = table([Conv(filters=8, op="residual"), Pool(op="average"), Conv(filters=8)])
    rows = {line[:15].strip(): line[15:].split() for line in text.splitlines()}
    assert rows["Type"] == ["res", "avg", "conv"]
    assert rows["# of filters"] == ["8", "8"]
    assert rows["Size of filters"] == ["3x3", "2x2", "3x3"]
    assert rows["Stride"] == ["1", "2", "1"]


def test_values_of_open_recipe_fields_stand_below():
    assert "Recipe: lr           0.03162" in table(
        [Conv(filters=8)], recipe={"recipe.lr": 0.031623}
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (111_132, "111,132"),
        (24**20, "4.0e27 = 4_019_988_717_840_603_673_710_821_376"),
        (10**40, "1.0e40"),
    ],
)
def test_large_numbers_are_exact_with_their_magnitude(number, text):
    assert big(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.31, "0.3 s"), (45, "45 s"), (720, "12 min"), (12_240, "3.4 h"), (200_000, "2.3 days")],
)
def test_durations_are_in_the_unit_that_one_would_say(seconds, text):
    assert duration(seconds) == text


def test_json_has_null_for_what_is_not_finite(capsys):
    print_json({"a": float("nan"), "b": (1, float("inf")), 3: "x"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": None, "b": [1, None], "3": "x"}
