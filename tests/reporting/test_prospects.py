"""What was found in a folder of pictures, in sentences."""

from nasopt import Conv, Experiment, Space, categorical
from nasopt.data import image_folder
from nasopt.data.survey import look_at
from nasopt.reporting.prospects import findings, prospects
from nasopt.search.proposal import Proposal
from tests.reporting.test_study_file import photos


def test_folders_of_splits_are_told(tmp_path):
    photos(tmp_path / "train", each=5)
    photos(tmp_path / "test", each=2)
    assert findings(look_at(tmp_path))[-1] == (
        "8 for training, 2 for validation and 4 for test: the folder has those for training and "
        "test, validation is split off training."
    )
    (tmp_path / "test").rename(tmp_path / "val")
    assert findings(look_at(tmp_path))[-1] == (
        "10 for training and 4 for validation, as the folder has them: there is no test split."
    )
    photos(tmp_path / "test", each=1)
    assert findings(look_at(tmp_path))[-1] == (
        "10 for training, 4 for validation and 2 for test, as the folder has them."
    )


def test_how_many_of_many_pictures_are_searched_with_is_told(tmp_path):
    photos(tmp_path, each=10)
    told = []
    for limit in (None, 8):
        dataset = image_folder(tmp_path, 8, limit=limit)
        experiment = Experiment(dataset=dataset, space=Space(Conv(filters=categorical(2, 4))))
        told.append(prospects(Proposal(look_at(tmp_path), experiment, 1.0, "cpu")))
    every, few = told
    assert not any("searched with" in each for each in every)
    assert few[1] == (
        "So that trials are short, 8 of the 16 pictures for training and validation are searched "
        "with."
    )
    assert few[2].startswith("With 2 validation pictures")
