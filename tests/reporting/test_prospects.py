"""What was found in a folder of pictures, in sentences."""

from nasopt.data.survey import look_at
from nasopt.reporting.prospects import findings
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
