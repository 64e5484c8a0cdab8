"""Finals of small searches, from Python and by the command."""

import shutil
import sqlite3

import numpy as np
from PIL import Image

import nasopt
from nasopt.cli.main import main
from tests.examples import small

FEW = {"top": 2, "seeds": 2, "device": "cpu"}


def here(**fields):
    return small(name="here", **fields)


def copied(folder, to):
    shutil.copytree(folder, to)
    return to


def finals(folder, experiment=None, **options):
    given = {**FEW, "output": folder / "model", **options}
    return nasopt.finals(experiment or here(), storage=folder / "x.db", **given)


def rows(folder, query):
    with sqlite3.connect(folder / "x.db") as database:
        return database.execute(query).fetchall()


def pictures(folder, count=10):
    random = np.random.default_rng(0)
    for number, name in enumerate(("cats", "dogs")):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(90, 256, (8, 8, 3)) // (1 + number)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")
    return folder


def run_command(folder, *more):
    words = ["finals", str(folder / "x.db"), "--top", "2", "--seeds", "2", "--device", "cpu"]
    return main([*words, "-o", str(folder / "model"), *more])
