"""`Browser`: a real headless Chromium, to look at pages as a person would."""

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # it refuses to be run by root otherwise
    "--disable-gpu",
    "--disable-dev-shm-usage",
    # a page's requests are counted: the browser itself makes none
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--hide-scrollbars",  # as a telephone does
    "--no-first-run",
    "--no-proxy-server",
)
SECONDS = 120  # that a page may take, on a busy machine
LOCAL = ("about:", "blob:", "chrome:", "data:", "devtools:")


def is_installed() -> bool:
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


class Browser:
    """A window of Chromium; `driver` is Selenium's.

    browser.open(url, width=390, dark=True)
    browser.wait_for("the number of svg elements", "return document.querySelectorAll('svg').length")
    assert not browser.errors() and not browser.requests() and not browser.faults()
    """

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        self._errors: list[str] = []
        self._requests: list[str] = []

    def open(
        self,
        page: str | Path,
        *,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        reduced_motion: bool = False,
    ) -> None:
        """Go to a URL or file, in a window of so many CSS pixels; forget what was collected."""
        self.driver.get("about:blank")
        self.resize(width, height)
        features = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if reduced_motion else "no-preference",
        }
        self._emulate(media="", features=features)
        self._collect()
        self._errors.clear()
        self._requests.clear()
        self.driver.get(page.resolve().as_uri() if isinstance(page, Path) else page)

    def resize(self, width: int, height: int) -> None:
        """As a device of that size shows it; a window would not become narrower than 500."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._command("Emulation.setDeviceMetricsOverride", **metrics)

    @contextmanager
    def printed(self) -> Iterator[None]:
        """The page as its print style shows it."""
        self._emulate(media="print", features={})
        yield
        self._emulate(media="", features={})

    def run(self, script: str, *args: Any) -> Any:
        """What a script of the page's own gives: `return document.title`."""
        return self.driver.execute_script(script, *args)

    def wait_for(self, what: str, script: str, *args: Any) -> Any:
        """What `script` gives, once it is something true; `what` is missed if it never is."""
        waiting = WebDriverWait(self.driver, SECONDS, poll_frequency=0.05)
        return waiting.until(lambda _: self.run(script, *args), f"{what}: not there")

    @property
    def text(self) -> str:
        """What can be read on the page."""
        return str(self.run("return document.body.innerText"))

    def wait_for_text(self, *texts: str) -> None:
        for text in texts:
            self.wait_for(text, "return document.body.innerText.includes(arguments[0])", text)

    def errors(self) -> list[str]:
        """What the console had to complain of since `open`."""
        self._collect()
        return list(self._errors)

    def requests(self) -> list[str]:
        """The addresses that the page asked for since `open`, its own the first."""
        self._collect()
        return list(self._requests)

    def faults(self, root: str = "html") -> list[str]:
        """What axe-core finds serious or critical for people who cannot see or point, below the
        element `root`: a line each."""
        self.run(files("selenium_axe_python").joinpath("axe-core/axe.min.js").read_text("utf-8"))
        found = self.driver.execute_async_script(
            "axe.run(arguments[0], {resultTypes: ['violations']}).then(arguments[1])", root
        )
        return [
            f"{each['impact']}: {each['id']}: {each['help']}: {node['html'][:200]}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        clip = {}
        if whole:
            size = self._command("Page.getLayoutMetrics")["cssContentSize"]
            clip = {
                "clip": {
                    "x": 0,
                    "y": 0,
                    "width": size["width"],
                    "height": size["height"],
                    "scale": 1,
                }
            }
        shot = self._command("Page.captureScreenshot", captureBeyondViewport=whole, **clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _emulate(self, media: str, features: dict[str, str]) -> None:
        listed = [{"name": name, "value": value} for name, value in features.items()]
        self._command("Emulation.setEmulatedMedia", media=media, features=listed)

    def _command(self, name: str, **params: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, params)

    def _collect(self) -> None:
        for entry in self.driver.get_log("browser"):
            if entry["level"] == "SEVERE":
                self._errors.append(entry["message"])
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(LOCAL):
                    self._requests.append(url)


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser whose profile is in `folder`, ended at the end."""
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # the path is given: Selenium would look for a driver on the internet
    driver = Chrome(options, ChromeService(str(shutil.which("chromedriver"))))
    driver.set_script_timeout(SECONDS)
    driver.set_page_load_timeout(SECONDS)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
