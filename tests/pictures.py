"""Draw the pictures of docs/how-to/figures.md from the database of docs/notebooks/lecture.ipynb.

Run the notebook, then: python -m tests.pictures docs/notebooks/runs/lecture.db
"""

import sys
import tempfile
from pathlib import Path

import nasopt
from nasopt import figures
from tests.browser import chromium

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "images" / "figures"
WIDTH = 720  # pixels


def main(location: str) -> None:
    database = nasopt.open(location)
    comparison = database.comparison("lecture/*", replicates=1)
    study = database.study("lecture/surrogate/0")
    drawn = {
        "incumbents": figures.incumbents(comparison),
        "samplers": figures.samplers(comparison),
        "front": figures.front(comparison),
        "choices": figures.choices(comparison),
        "importances": figures.importances(comparison),
        "learning_curves": figures.learning_curves(study),
        "network": figures.network(study),
    }
    with tempfile.TemporaryDirectory() as temporary, chromium(Path(temporary)) as browser:
        for name, figure in drawn.items():
            page = Path(temporary) / f"{name}.html"
            figure.update_layout(paper_bgcolor="white", plot_bgcolor="white", width=WIDTH)
            figure.write_html(page, config={"displayModeBar": False})
            browser.open(page, width=WIDTH + 16, height=int(figure.layout.height) + 16)
            browser.wait_for(name, "return document.querySelectorAll('.main-svg').length")
            browser.screenshot(FOLDER / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1])
