"""The dashboard in a browser: what a person sees."""

import pytest

import nasopt
from nasopt.analysis.outcome import outcome
from nasopt.reporting.captions import TITLES
from tests.browser import Browser
from tests.examples import small
from tests.reporting.dashboard.serving import (
    HOSTILE,
    PLOTS,
    RANDOM,
    TPE,
    asked,
    copied,
    load,
    serving,
)


def clean(browser: Browser, url: str) -> bool:
    """Whether the page had no error, and asked nobody but its own server."""
    foreign = [request for request in browser.requests() if not request.startswith(url)]
    return (browser.errors(), foreign) == ([], [])


def test_the_list_has_each_study(browser, served):
    browser.open(f"{served}/dashboard")
    browser.wait_for_text(RANDOM, TPE)
    assert clean(browser, served)


@pytest.mark.parametrize("width", [390, 1280])
def test_a_trials_page_has_its_note_as_tables(browser, served, made, width):
    told = outcome(load(made, RANDOM), 2)
    browser.open(f"{served}/dashboard/studies/1/trials?numbers=2", width=width)
    browser.wait_for("the layer table", "return document.querySelectorAll('table').length === 2")
    rows = "return [...document.querySelectorAll('table')].map(t => [...t.rows].map("
    figures, layers = browser.run(f"{rows}r => [...r.cells].map(c => c.innerText.trim())))")
    assert figures[1][:3] == [f"{told.accuracy:.4f}", f"{told.parameters:,}", f"{told.macs:,}"]
    assert [(row[2], row[4]) for row in layers[1:]] == [
        (str(layer.filters), str(layer.stride)) for layer in told.architecture.layers
    ]
    assert clean(browser, served)


@pytest.mark.parametrize("dark", [False, True])
def test_a_studys_page_has_the_plots_drawn_and_to_be_read(browser, served, dark):
    browser.open(f"{served}/dashboard/studies/2", dark=dark)
    marks = (
        "return Object.fromEntries([...document.querySelectorAll('[id^=user-defined-plot]')]"
        ".map(e => [e.id.split(':')[1], e.querySelectorAll('.point, .hm image, .points path')"
        ".length]).filter(each => each[1] > 0))"
    )
    browser.wait_for("the plots", f"{marks.replace('return ', 'const found = ')};"
                     f"return Object.keys(found).length === {len(PLOTS)}")  # fmt: skip
    drawn = browser.run(marks)
    assert set(drawn) == PLOTS
    assert drawn["accuracy-against-macs"] > 1
    titles = browser.run(
        "return [...document.querySelectorAll('[id^=user-defined-plot] .gtitle')]"
        ".map(e => e.querySelector('tspan').textContent)"
    )
    assert set(titles) == {
        "Accuracy against work", TITLES["choices"], TITLES["comparison"],
    }  # fmt: skip
    outside = browser.run(
        "return [...document.querySelectorAll('[id^=user-defined-plot]')].filter(e => {"
        "  const title = e.querySelector('.gtitle').getBoundingClientRect();"
        "  const frame = e.getBoundingClientRect();"
        "  return title.top < frame.top || title.right > frame.right}).map(e => e.id)"
    )
    assert outside == []
    assert clean(browser, served)


@pytest.mark.parametrize("dark", [False, True])
def test_what_a_model_expected_of_a_trial_can_be_read(browser, believing, tmp_path, dark):
    with serving(copied(believing, tmp_path / "x.db"), read_only=True) as url:
        browser.open(f"{url}/dashboard/studies/1", dark=dark)
        browser.wait_for_text("Study User Attributes", "1 to 3 layers", "epochs 2, batch_size 32")
        browser.open(f"{url}/dashboard/studies/1/trials?numbers=7", dark=dark)
        browser.wait_for_text("expected 0.", ", 95 % from 0.", "most alike trial")
        assert "nearest" not in browser.text
        assert clean(browser, url)


def test_two_samplers_are_compared_on_a_page(browser, served):
    browser.open(f"{served}/dashboard/compare-studies?ids=1,2")
    browser.wait_for_text(f"Best Value of {RANDOM}", f"Best Value of {TPE}")
    assert clean(browser, served)


def test_a_studys_note_leads_to_the_trial_it_names(browser, served):
    browser.open(f"{served}/dashboard/studies/1/note")
    browser.wait_for_text("trials are done", "How each network was trained")
    browser.wait_for("a link", "return document.querySelector('table a')")
    browser.run("document.querySelector('table a').click()")
    browser.wait_for_text("Trained to its end.")
    assert "numbers=" in browser.run("return location.search")


def test_read_only_the_page_says_that_a_study_could_not_be_deleted(browser, reading):
    browser.open(f"{reading}/dashboard")
    browser.wait_for_text(RANDOM, TPE)
    browser.run("document.querySelector('[aria-label=\"delete study\"]').click()")
    browser.wait_for_text("Are you sure")
    browser.run("[...document.querySelectorAll('[role=dialog] button')].at(-1).click()")
    browser.wait_for_text("Failed to delete study")
    assert len(asked(f"{reading}/api/studies")["study_summaries"]) == 2


def test_names_from_a_database_are_text_and_nothing_else(browser, tmp_path):
    database = tmp_path / "x.db"
    nasopt.run(small(name=HOSTILE, trials=1), storage=database, device="cpu")
    with serving(database) as url:
        for page in ("/note", "/trials?numbers=0"):
            browser.open(f"{url}/dashboard/studies/1{page}")
            browser.wait_for_text(HOSTILE)
            assert not browser.run("return window.hacked")
            assert browser.errors() == []
        assert (
            f"show {database} --study '{HOSTILE}/surrogate/0'"
            in asked(f"{url}/api/studies/1")["note"]["body"]
        )
