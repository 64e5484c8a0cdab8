import json
from dataclasses import replace

import pytest

import nasopt
from nasopt.analysis.choices import preferences
from nasopt.analysis.curves import Curve
from nasopt.analysis.front import Point, TradeOff, trade_off
from nasopt.analysis.learning import LearningCurve
from nasopt.analysis.predictions import Expectation
from nasopt.analysis.record import Record
from nasopt.analysis.selection import compare_studies, read_study
from nasopt.reporting.figures import (
    choices_figure,
    comparison_figure,
    curves_figure,
    front_figure,
    learning_figure,
    predictions_figure,
)
from nasopt.reporting.figures.palette import COLOURS, GREY, accuracy_axis, log_axis, styles
from nasopt.storage.opening import open_storage
from tests.examples import small


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("figures") / "x.db"
    nasopt.compare(
        small(trials=25), samplers="random,tpe", seeds=2, replicates=1, storage=path, device="cpu"
    )
    return path


@pytest.fixture
def records(database) -> list[Record]:
    storage = open_storage(database, "read")
    return [read_study(storage, f"experiment/{name}/0") for name in ("random", "tpe")]


def test_the_front_stands_out_from_the_networks(records):
    found = trade_off(records, "macs")
    others, best = front_figure(found).data
    assert len(others.x) + len(best.x) == len(found.points)
    assert list(best.x) == [point.cost for point in found.front]
    assert best.customdata[-1] == f"{found.front[-1].study}, trial {found.front[-1].number}"


def test_a_cell_of_the_choices_is_the_best_less_all(records):
    found = preferences(records)
    (heat,) = choices_figure(found).data
    axis = choices_figure(found).layout.yaxis
    row = axis.tickvals[axis.ticktext.index("filters 8")]
    (filters,) = (each for each in found.by_kind if each.kind == "conv.filters")
    place = filters.choices.index("8")
    assert heat.z[row][heat.x.index("1")] == filters.best[0][place] - filters.all[0][place]
    assert axis.ticktext[-1] == f"number of layers {found.by_kind[0].choices[0]}"  # at the top


def test_the_comparison_has_a_dot_a_study_and_a_mean_a_sampler(database):
    result = compare_studies(database, "*", replicates=1)
    dots, *means = comparison_figure(result).data
    assert len(dots.x) == 4
    assert {mean.name: mean.x[0] for mean in means} == {
        each.sampler: each.fresh for each in result.standings
    }


def test_figures_are_plain_json_without_a_background(records):
    text = front_figure(trade_off(records, "macs")).to_json()
    layout = json.loads(text)["layout"]["template"]["layout"]
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == "rgba(0, 0, 0, 0)"
    assert "bdata" not in text


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", [*COLOURS, GREY])
@pytest.mark.parametrize("background", ["#ffffff", "#16181c"])
def test_colours_stand_out_from_a_white_page_and_a_dark_one(colour, background):
    low, high = sorted((luminance(colour), luminance(background)))
    assert (high + 0.05) / (low + 0.05) >= 3


def test_samplers_differ_in_dash_and_mark_as_well_as_colour():
    found = styles(["tpe", "random", "gp", "nsga2"])
    assert found["random"].colour == GREY
    for what in ("colour", "dash", "mark"):
        assert len({getattr(found[name], what) for name in found}) == 4


def test_many_samplers_are_told_apart():
    found = styles([f"sampler{number}" for number in range(12)])
    assert len({(style.colour, style.dash) for style in found.values()}) == 12


def equal(value: float) -> TradeOff:
    points = tuple(Point("x/tpe/0", number, value, 1_000 * (number + 1)) for number in range(5))
    return TradeOff("macs", points, points[:1])


@pytest.mark.parametrize("value", [0.0, 0.75, 1.0, 75.0, 100.0, 250.0])
def test_axes_of_equal_accuracies_stay_near_them(value):
    curve = Curve("tpe", "evaluation", (1.0, 2.0), *[(value, value)] * 3)
    learnt = LearningCurve("x/tpe/0", 0, False, (1, 2), (value, value))
    held = [Expectation("x/tpe/0", number, value, value, value, value) for number in range(5)]
    axes = [
        front_figure(equal(value)).layout.yaxis,
        curves_figure([curve], "evaluation").layout.yaxis,
        learning_figure([learnt], None).layout.yaxis,
        predictions_figure(held).layout.xaxis,
    ]
    unit = 1 if value <= 1 else 100
    for axis in axes:
        low, high = axis.range
        assert low < value < high
        assert high - low <= 0.11 * max(unit, value)
        assert value > unit or (low >= -0.01 * unit and high <= 1.01 * unit)


def test_studies_of_equal_accuracies_stand_in_the_middle(database):
    result = compare_studies(database, "*", replicates=0)
    winners = tuple(replace(each, seen=0.5) for each in result.winners)
    axis = comparison_figure(replace(result, score="seen", winners=winners)).layout.xaxis
    assert tuple(axis.range) == pytest.approx((0.45, 0.55))


@pytest.mark.parametrize(
    ("costs", "texts"),
    [
        ([68_000, 1_088_000], ["100k", "200k", "500k", "1M"]),
        ([2_000, 8_000], ["2,000", "4,000", "6,000", "8,000"]),
        ([300_000, 2_000_000_000], ["1M", "10M", "100M", "1G"]),
        ([770], ["770"]),
        ([101, 109], ["102", "104", "106", "108"]),
    ],
)
def test_a_logarithmic_axis_has_a_few_counts_written_out(costs, texts):
    axis = log_axis(costs)
    assert axis["type"] == "log"
    assert axis["ticktext"] == texts
    low, high = (10**end for end in axis["range"])
    assert low < min(costs) <= max(costs) < high
    assert all(low <= tick <= high for tick in axis["tickvals"])


def test_counts_of_nothing_have_no_logarithm():
    assert "type" not in log_axis([0, 100])


def test_between_two_trials_or_epochs_there_is_no_tick():
    curve = Curve("tpe", "evaluation", (1.0, 2.0, 3.0), *[(0.1, 0.2, 0.3)] * 3)
    assert curves_figure([curve], "evaluation").layout.xaxis.dtick == 1


@pytest.mark.parametrize(
    ("shown", "form"),
    [((0.49, 0.535), ".3f"), ((0.4, 0.9), ".2f"), ((0.0, 1.1), ".1f"), ((40.0, 95.0), ".0f")],
)
def test_ticks_have_as_many_decimals_as_steps_between_them_need(shown, form):
    assert accuracy_axis([shown[1]], shown)["tickformat"] == form


def test_a_range_of_nothing_leaves_the_ticks_to_plotly():
    assert "tickformat" not in accuracy_axis([0.5, 0.6], (0.5, 0.5))
