import json

import pytest

import nasopt
from nasopt.analysis.choices import choices
from nasopt.analysis.front import trade_off
from nasopt.analysis.record import Record
from nasopt.analysis.selection import compare_studies, read_study
from nasopt.figures import choices_figure, comparison_figure, front_figure
from nasopt.figures.palette import COLOURS, GREY, styles
from nasopt.storage import open_storage
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
    found = choices(records)
    (heat,) = choices_figure(found).data
    axis = choices_figure(found).layout.yaxis
    row = axis.tickvals[axis.ticktext.index("filters 8")]
    (filters,) = (each for each in found.preferences if each.kind == "conv.filters")
    place = filters.choices.index("8")
    assert heat.z[row][heat.x.index("1")] == filters.best[0][place] - filters.all[0][place]
    assert axis.ticktext[-1] == f"number of layers {found.preferences[0].choices[0]}"  # at the top


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
