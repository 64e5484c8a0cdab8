"""Draw the pictures of docs/how-to/figures.md: python -m tests.pictures

Trains 4 studies of 40 small networks on digits (minutes); Chromium takes the pictures.
"""

import tempfile
from pathlib import Path

import nasopt
from nasopt import figures
from tests.browser import chromium

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "images" / "figures"
WIDTH = 720  # pixels


def main() -> None:
    experiment = nasopt.load_experiment(ROOT / "studies" / "digits.py")
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "digits.db"
        comparison = nasopt.compare(
            experiment, samplers="random,surrogate", seeds=2, trials=40, replicates=1, storage=path
        )
        study = nasopt.open(path).study("digits/surrogate/0")
        drawn = {
            "incumbents": figures.incumbents(comparison),
            "samplers": figures.samplers(comparison),
            "front": figures.front(comparison),
            "choices": figures.choices(comparison),
            "importances": figures.importances(comparison),
            "learning_curves": figures.learning_curves(study),
            "network": figures.network(study),
        }
        with chromium(Path(temporary) / "chromium") as browser:
            for name, figure in drawn.items():
                page = Path(temporary) / f"{name}.html"
                figure.update_layout(paper_bgcolor="white", plot_bgcolor="white", width=WIDTH)
                figure.write_html(page, config={"displayModeBar": False})
                browser.open(page, width=WIDTH + 16, height=int(figure.layout.height) + 16)
                browser.wait_for(name, "return document.querySelectorAll('.main-svg').length")
                browser.screenshot(FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
