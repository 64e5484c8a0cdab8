"""`propose`: what fits few pictures or many, and this machine."""

from pathlib import Path

import pytest
from PIL import Image

from nasopt.data.survey import Survey
from nasopt.search import proposal
from nasopt.search.proposal import (
    FEWEST_EPOCHS,
    FEWEST_OF_A_CLASS,
    HALF_AN_HOUR,
    MOST_TRIALS,
    Proposal,
    propose,
)


def pictures(folder: Path, classes: int, each: int) -> Path:
    for label in range(classes):
        (folder / f"{label:03}").mkdir(parents=True)
        for number in range(each):
            Image.new("RGB", (12, 12), (label, number, 0)).save(
                folder / f"{label:03}" / f"{number}.png"
            )
    return folder


def survey(folder: Path, classes: int, each: int, side: int, grey: float = 0.0) -> Survey:
    """What would be found if the pictures of `folder` had so many pixels on a side."""
    total = classes * each
    test = round(total / 5)
    return Survey(
        path=folder, classes={f"{label:03}": each for label in range(classes)}, brought=(),
        training=total - 2 * test, validation=test, test=test,
        short_sides=(side, side, side), grey=grey,
        decoded=total, seconds_a_picture=0.001,
    )  # fmt: skip


def fits(found: Proposal) -> bool:
    """There is something to search, and half an hour is about used or all trials there may be."""
    experiment = found.experiment
    assert len(experiment.sample(20, seed=1)) == 20  # within the limits
    assert found.seconds == pytest.approx(experiment.trials * found.seconds_per_trial)
    most = experiment.trials == MOST_TRIALS
    return most or HALF_AN_HOUR * 0.6 <= found.seconds <= HALF_AN_HOUR * 1.01


def test_few_pictures_get_many_epochs_and_few_parameters(tmp_path):
    found = propose(survey(pictures(tmp_path, 2, 3), 2, 3, 12), name="few", device="cpu")
    assert fits(found)
    assert found.size == 12
    assert found.experiment.name == "few"
    assert found.experiment.recipe.epochs == 60
    assert found.experiment.recipe.flip
    assert found.experiment.data.limit is None


def test_grey_pictures_are_not_mirrored(tmp_path):
    found = propose(survey(pictures(tmp_path, 2, 3), 2, 3, 12, 1.0), name="x", device="cpu")
    assert not found.experiment.recipe.flip


def test_the_size_may_be_given(tmp_path):
    folder = pictures(tmp_path, 2, 3)
    found = propose(survey(folder, 2, 3, 500), name="x", size=16, device="cpu")
    assert found.size == 16
    assert found.experiment.data.input_shape == (3, 16, 16)


def test_of_so_many_pictures_that_a_trial_would_take_too_long_some_are_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(proposal, "TRIAL_SECONDS", 0.01)  # as if there were a thousand times more
    monkeypatch.setattr(proposal, "FEWEST_PICTURES", 500)
    folder = pictures(tmp_path, 4, 250)
    found = propose(survey(folder, 4, 250, 500), name="x", device="cpu")
    assert found.size == 32
    assert found.experiment.recipe.epochs == FEWEST_EPOCHS
    assert found.experiment.data.limit == sum(found.experiment.data.counts) == 500


def test_classes_keep_some_pictures_however_long_a_trial_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(proposal, "TRIAL_SECONDS", 0.01)
    monkeypatch.setattr(proposal, "FEWEST_PICTURES", 10)
    folder = pictures(tmp_path, 3, 80)
    found = propose(survey(folder, 3, 80, 12), name="x", device="cpu")
    assert found.experiment.data.limit == 3 * FEWEST_OF_A_CLASS
