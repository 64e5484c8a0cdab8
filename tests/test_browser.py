"""The browser that other tests look through sees what they rely on."""

from pathlib import Path

import pytest
from PIL import Image

from tests.browser import Browser

GOOD = """<!doctype html><html lang="en"><head><title>Good</title><style>
p { color: black; background: white }
@media (prefers-color-scheme: dark) { p { color: rgb(1, 2, 3) } }
@media print { p { display: none } }
</style></head><body><main><h1>Good</h1><p>Here</p></main></body></html>"""
BAD = """<!doctype html><html><head><title>Bad</title></head><body>
<img src="http://127.0.0.1:9/missing.png"><script>console.error("a fault of the page")</script>
<script>nowhere()</script></body></html>"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    page = tmp_path / "good #1.html"
    page.write_text(GOOD)
    return page


def test_a_sound_page_has_no_errors_no_requests_and_no_faults(browser: Browser, good: Path) -> None:
    browser.open(good)
    assert browser.text == "Good\n\nHere"
    assert browser.requests() == [good.as_uri()]
    assert (browser.errors(), browser.faults()) == ([], [])


def test_what_a_page_does_wrong_is_seen(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(BAD)
    browser.open(page)
    assert browser.requests() == [page.as_uri(), "http://127.0.0.1:9/missing.png"]
    found = "\n".join(browser.errors())
    assert "missing.png" in found
    assert "a fault of the page" in found
    assert "nowhere is not defined" in found
    assert {fault.split(": ")[1] for fault in browser.faults()} == {"html-has-lang", "image-alt"}


def test_what_one_page_did_is_not_told_of_the_next(browser: Browser, good: Path) -> None:
    bad = good.with_name("bad.html")
    bad.write_text(BAD)
    browser.open(bad)
    browser.open(good)
    assert browser.errors() == []


@pytest.mark.parametrize("width", [390, 1280])
def test_a_window_has_the_width_that_was_asked_for(
    browser: Browser, good: Path, width: int
) -> None:
    browser.open(good, width=width)
    assert browser.run("return innerWidth") == width


def test_dark_light_and_print_are_what_the_styles_see(browser: Browser, good: Path) -> None:
    colour = "return getComputedStyle(document.querySelector('p')).color"
    browser.open(good, dark=True)
    assert browser.run(colour) == "rgb(1, 2, 3)"
    browser.open(good)
    assert browser.run(colour) == "rgb(0, 0, 0)"
    with browser.printed():
        assert browser.text == "Good"
    assert browser.text == "Good\n\nHere"


def test_a_screenshot_is_of_the_window_or_of_the_whole_page(
    browser: Browser, tmp_path: Path
) -> None:
    page = tmp_path / "tall.html"
    page.write_text("<!doctype html><body style='margin: 0'><div style='height: 3000px'>")
    browser.open(page, width=400, height=300)
    for whole, height in ((False, 300), (True, 3000)):
        browser.screenshot(tmp_path / "shot.png", whole=whole)
        with Image.open(tmp_path / "shot.png") as image:
            assert image.size == (400, height)
