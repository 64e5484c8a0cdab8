import io
from dataclasses import replace

import pytest
from rich.console import Console

import nasopt
from nasopt import Architecture, Conv, Dense, Pool
from nasopt.analysis.outcome import Outcome, outcome, result
from nasopt.analysis.studies import study_summaries
from nasopt.reporting.terminal.results import (
    outcome_table,
    print_outcome,
    print_result,
    print_studies,
    sparkline,
)
from tests.examples import small


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


def test_a_sparkline_goes_from_low_to_high_and_has_an_end_to_its_length():
    assert sparkline([0.0, 0.5, 1.0], 0.0, 1.0) == "▁▅█"
    assert sparkline([0.3, 0.3], 0.3, 0.3) == "▁▁"
    long = sparkline([place / 99 for place in range(100)], 0.0, 1.0)
    assert len(long) <= 30
    assert long[-1] == "█"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    database = tmp_path_factory.mktemp("results") / "x.db"
    return nasopt.run(small(), sampler="random", storage=database, device="cpu")


class Terminal(io.StringIO):
    encoding = "utf-8"


def shown(printing, found, *, terminal: bool, width: int = 80) -> str:
    out = Console(
        file=Terminal(),
        width=width,
        force_terminal=terminal,
        color_system="standard",
        highlight=False,
    )
    printing(out, found)
    return out.file.getvalue()


def test_a_terminal_gets_colours_and_learning_curves(study):
    text = shown(print_result, result(study), terminal=True)
    assert "learning curve" in text
    assert any(block in text for block in "▂▃▄▅▆▇█")
    assert "\x1b[36m3x3" in text
    assert "Learning curve" in shown(print_outcome, outcome(study, 0), terminal=True)


def test_what_is_no_terminal_gets_numbers(study):
    text = shown(print_result, result(study), terminal=False)
    assert "learning curve" not in text
    assert text.isascii()
    assert "After each epoch" in shown(print_outcome, outcome(study, 0), terminal=False)


def test_a_narrow_terminal_gets_fewer_columns_and_these_whole(study):
    summaries = study_summaries(study._storage._backend)
    wide = shown(print_studies, summaries, terminal=False)
    narrow = shown(print_studies, summaries, terminal=False, width=40)
    assert "last activity" in wide
    assert "last activity" not in narrow
    assert "study" in narrow
    (line,) = (line for line in narrow.splitlines() if "experiment/random/0" in line)
    assert f"{study.best_value:.4f}" in line
    assert "…" not in shown(print_result, result(study), terminal=True, width=40)


def test_a_front_of_networks_without_parameters_is_drawn(study):
    best = replace(outcome(study, 0), parameters=None)
    front = replace(result(study), objectives=("accuracy", "macs"), best=(best,), runners_up=())
    assert f"{best.macs:,}" in shown(print_result, front, terminal=False)


def test_behind_the_best_stand_the_next_four(study):
    found = result(study)
    complete = sorted(
        (
            t.value
            for t in study.trials
            if t.state.name == "COMPLETE" and "free" not in t.user_attrs
        ),
        reverse=True,
    )
    assert [each.accuracy for each in (*found.best, *found.runners_up)] == complete[:5]
    assert len(found.to_json()["runners_up"]) == len(found.runners_up)


def test_a_study_of_two_devices_says_so(tmp_path):
    study = nasopt.run(small(trials=3), storage=tmp_path / "x.db", device="cpu")
    one = result(study)
    (here,) = one.devices
    console = Console(file=io.StringIO(), width=200)
    print_result(console, one)
    assert "Trained on" not in console.file.getvalue()
    print_result(console, replace(one, devices={here: 2, "NVIDIA H200": 1}))
    assert (
        f"Trained on {here} (2 trials) and NVIDIA H200 (1 trial): elsewhere a network may end"
        in console.file.getvalue()
    )
    print_outcome(console, outcome(study, 0))
    assert f"Trained on           {here}" in console.file.getvalue()
