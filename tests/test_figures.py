"""The figures that a user draws are those of the report, with title and caption."""

import pytest

import nasopt
from nasopt import figures
from nasopt.errors import StudyError
from nasopt.reporting.html.contents import Contents
from nasopt.search.search import Search
from nasopt.storage.opening import open_storage
from tests.examples import small


@pytest.fixture(scope="module")
def location(tmp_path_factory):
    path = tmp_path_factory.mktemp("figures") / "x.db"
    nasopt.compare(
        small(trials=25), samplers="random,tpe", seeds=2, replicates=1, storage=path, device="cpu"
    )
    return path


def data(figure):
    """What a figure draws, without its layout: `showlegend` of bands is ours."""
    return [{**trace.to_plotly_json(), "showlegend": None} for trace in figure.data]


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("incumbents", "progress"),
        ("samplers", "comparison"),
        ("front", "front-macs"),
        ("choices", "choices"),
        ("importances", "importance"),
        ("learning_curves", "learning"),
    ],
)
def test_a_figure_draws_what_the_report_draws(name, section, location):
    comparison = nasopt.open(location).comparison(replicates=1)
    shown = Contents(comparison.studies, (), open_storage(location, "read")).sections[section]
    figure = getattr(figures, name)(comparison)
    assert data(figure) == data(shown.figures[0])
    text = figure.layout.title.text
    assert text.startswith(f"<b>{shown.title}</b><br>")
    assert shown.caption.split()[-1] in text


def test_a_study_is_drawn_as_its_result(location):
    study = nasopt.run(small(trials=25), sampler="tpe", storage=location, device="cpu")
    assert figures.front(study) == figures.front(nasopt.StudyResult(study))


def test_incumbents_are_drawn_against_any_cost(location):
    study = nasopt.open(location).study("experiment/tpe/1")
    titles = {
        against: figures.incumbents(study, against).layout.xaxis.title.text
        for against in ("evaluations", "epochs", "seconds")
    }
    assert titles == {
        "evaluations": "networks tried",
        "epochs": "epochs of training",
        "seconds": "seconds of training",
    }


def test_a_network_has_a_block_a_layer_with_its_words(location):
    study = nasopt.open(location).study()
    bars, words = figures.network(study).data
    assert len(bars.x) == len(study.architecture.layers)
    assert bars.customdata[0].startswith("Layer 1: ")
    assert f"trial {study.best.number}: accuracy" in figures.network(study).layout.title.text
    assert "The network of trial 3" in figures.network(study, 3).layout.title.text
    assert list(words.x) == list(bars.x)


def test_where_there_is_nothing_to_draw_an_error_says_why(tmp_path):
    study = Search(small(), storage=tmp_path / "x.db", device="cpu").study
    for name in ("incumbents", "front", "choices", "importances", "learning_curves", "network"):
        with pytest.raises(StudyError):
            getattr(figures, name)(study)
