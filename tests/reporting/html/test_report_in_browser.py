"""The page as a person meets it: in a real browser."""

from itertools import pairwise
from pathlib import Path

import pytest

import nasopt
from nasopt.reporting.html import write_report
from nasopt.storage.opening import open_storage
from tests.benchmarks.growth import fill
from tests.browser import Browser
from tests.examples import small

NAME = "<script>alert(1)</script>"
FIGURES = 9  # three of progress, and six more
DRAWN = """return [...document.querySelectorAll(".plot")].filter(plot => plot.data &&
    plot.querySelector(".main-svg") && plot.data.every(trace => (trace.x || []).length)).length"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two samplers with two seeds, under a name that would do harm."""
    folder = tmp_path_factory.mktemp("report")
    nasopt.compare(
        small(trials=25, name=NAME), samplers="random,tpe", seeds=2, replicates=2,
        storage=folder / "x.db", device="cpu",
    )  # fmt: skip
    write_report(open_storage(folder / "x.db", "read"), folder / "report.html")
    return folder / "report.html"


def opened(browser: Browser, page: Path, **window: object) -> None:
    browser.open(page, **window)
    browser.wait_for("all figures", f"{DRAWN.replace('return ', 'return (')}) === {FIGURES}")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_all_is_drawn_and_nothing_is_asked_of_the_network(browser, page, width, dark):
    opened(browser, page, width=width, dark=dark)
    assert browser.requests() == [page.as_uri()]
    assert browser.errors() == []
    assert browser.run("return document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_the_page_has_no_fault_for_those_who_cannot_see_or_point(browser, page, width, dark):
    opened(browser, page, width=width, dark=dark)
    # axe needs half a minute for a hundred rows, which are all alike
    browser.run(
        "for (const row of document.querySelectorAll('tbody tr:nth-child(n + 4)')) row.remove()"
    )
    browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
    assert browser.faults({"include": [["html"]], "exclude": [[".plot > *"]]}) == []


def test_a_name_that_is_a_script_is_only_shown(browser, page):
    opened(browser, page)
    assert browser.run("return document.querySelector('h1').textContent") == NAME
    assert browser.run("return document.querySelectorAll('script:not([src])').length") == (
        2 + FIGURES
    )
    hovered = browser.run(
        "return document.querySelector('#front-macs .plot').data[1].customdata[0]"
    )
    assert hovered.startswith(NAME)
    browser.run(
        "Plotly.Fx.hover(document.querySelector('#front-macs .plot'),"
        " [{curveNumber: 1, pointNumber: 0}])"
    )
    browser.wait_for("a label", "return document.querySelector('.hoverlayer text')")
    assert browser.run("return document.querySelectorAll('.plot script').length") == FIGURES
    assert browser.errors() == []


def test_what_cannot_be_seen_is_said(browser, page):
    opened(browser, page)
    captions = browser.run(
        """return [...document.querySelectorAll(".plot")].map(plot => [plot.getAttribute("role"),
            document.getElementById(plot.getAttribute("aria-describedby")).textContent.length])"""
    )
    assert all(role == "img" and length > 40 for role, length in captions)
    layers = browser.run(
        "return [...document.querySelectorAll('.network .hidden')].map(e => e.textContent)"
    )
    assert layers[0].startswith("Layer 1: ")


@pytest.mark.parametrize("width", [390, 1280])
def test_of_twenty_layers_no_name_lies_on_another(browser, tmp_path, width):
    fill(tmp_path / "x.db", "random", trials=100)
    write_report(open_storage(tmp_path / "x.db", "read"), tmp_path / "report.html")
    browser.open(tmp_path / "report.html", width=width)
    for figure in ("choices", "importance"):
        names = f"document.querySelectorAll('#{figure} .xtick text')"
        browser.wait_for("the names", f"return {names}.length")
        ends = browser.run(
            f"return [...{names}].map(e => e.getBoundingClientRect()).map(b => [b.left, b.right])"
        )
        assert browser.run(f"return [...{names}].map(e => e.textContent)")[:2] == ["5", "10"]
        assert all(right < left for (_, right), (left, _) in pairwise(sorted(ends)))
        below = browser.run(
            f"return document.querySelector('#{figure} .xtitle').getBoundingClientRect().top"
            f" - {names}[0].getBoundingClientRect().bottom"
        )
        assert below > -2  # pixels: around letters there is some room


def cells(browser: Browser, header: str) -> list[str]:
    """What can be seen in a column of the table of trials."""
    return browser.run(
        """const table = document.getElementById("trial-table");
        const column = [...table.tHead.rows[0].cells].findIndex(
            cell => cell.textContent === arguments[0]);
        return [...table.tBodies[0].rows].filter(row => !row.hidden)
            .map(row => row.cells[column].textContent)""",
        header,
    )


def test_the_table_sorts_by_keyboard(browser, page):
    opened(browser, page)
    accuracies = [float(text.rstrip("%")) for text in cells(browser, "accuracy")]
    assert accuracies == sorted(accuracies, reverse=True)
    browser.run(
        "[...document.querySelectorAll('#trial-table button')]"
        ".find(each => each.textContent === 'parameters').focus()"
    )
    button = browser.driver.switch_to.active_element
    for order, reverse in (("ascending", False), ("descending", True)):
        button.send_keys("\n")
        sizes = [int(text.replace(",", "")) for text in cells(browser, "parameters")]
        assert sizes == sorted(sizes, reverse=reverse)
        assert browser.run("return document.querySelector('[aria-sort]').ariaSort") == order
        assert browser.run("return document.querySelectorAll('[aria-sort]').length") == 1


def test_the_table_filters_by_what_is_typed(browser, page):
    opened(browser, page)
    total = len(cells(browser, "study"))
    browser.driver.find_element("id", "filter").send_keys("tpe/1 complete")
    shown = cells(browser, "study")
    assert 0 < len(shown) < total
    assert set(shown) == {f"{NAME}/tpe/1"}
    assert set(cells(browser, "how it ended")) == {"complete"}
    browser.wait_for_text(f"{len(shown)} of {total} trials")


def test_text_in_figures_follows_the_page_from_dark_to_light_and_in_print(browser, page):
    colour = "return getComputedStyle(document.querySelector('.plot .xtick text')).fill"
    opened(browser, page, dark=True)
    assert browser.run(colour) == "rgb(232, 234, 237)"
    with browser.printed():
        assert browser.run(colour) == "rgb(27, 30, 35)"


def test_without_scripts_the_table_and_the_captions_are_there(browser, page):
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open(page)
        source = browser.driver.find_element("tag name", "main").text
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "At the end the best network found" in source
    assert "parameters" in source


def test_without_scripts_no_empty_box_stands_for_a_figure_and_the_top_says_why(browser, page):
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open(page)
        header = browser.driver.find_element("tag name", "header").text
        plots = browser.driver.find_elements("class name", "plot")
        assert len(plots) == FIGURES
        assert not any(plot.is_displayed() for plot in plots)
        tables = browser.driver.find_elements("css selector", "figure details summary")
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "The figures need JavaScript, which is off." in header
    assert len(tables) == browser_figures(page)


def browser_figures(page: Path) -> int:
    """Figures with a caption, each of which has its numbers."""
    return page.read_text().count("<figcaption")
