import sqlite3

import numpy as np
import pytest

from nasopt.errors import StorageError
from nasopt.storage.looks import Look, Looks, Predictions, look_key
from nasopt.storage.opening import open_storage


@pytest.fixture
def looks(tmp_path):
    return Looks(open_storage(tmp_path / "x.db").engine)


def look(classes=(0, 1, 1), experiment="here"):
    labels = np.array([0, 1, 2])
    shown = Predictions(np.array(classes), np.array([0.5, 0.25, 1], dtype=np.float32))
    return Look("digits", experiment, {"name": "x"}, labels, {"k1": shown})


def test_a_look_comes_back_as_it_was_taken(looks):
    looks.add("a" * 32, look())
    found = looks.find("a" * 32)
    assert (found.dataset, found.experiment, found.content) == ("digits", "here", {"name": "x"})
    assert found.labels.tolist() == [0, 1, 2]
    assert found.predictions["k1"].classes.tolist() == [0, 1, 1]
    assert found.predictions["k1"].confidences.tolist() == [0.5, 0.25, 1]
    assert found.recorded


def test_a_look_that_is_known_stands_and_is_counted_once(looks):
    looks.add("a" * 32, look())
    looks.add("a" * 32, look(classes=(2, 2, 2), experiment="there"))
    found = looks.find("a" * 32)
    assert found.experiment == "here"
    assert found.predictions["k1"].classes.tolist() == [0, 1, 1]
    assert [key for _, key in looks.taken("digits")] == ["a" * 32]


def test_looks_are_counted_by_data_set(looks):
    looks.add("a" * 32, look())
    looks.add("b" * 32, look())
    assert len(looks.taken("digits")) == 2
    assert looks.taken("mnist") == []


def test_the_key_of_a_look_covers_data_set_and_models():
    keys = {
        look_key(*each) for each in (("d", ["x"]), ("e", ["x"]), ("d", ["y"]), ("d", ["x", "y"]))
    }
    assert len(keys) == 4
    assert look_key("d", ["x"]) == look_key("d", ["x"])


def test_an_older_database_that_is_only_read_has_no_looks(tmp_path, looks):
    looks.add("a" * 32, look())
    looks.engine.dispose()
    with sqlite3.connect(tmp_path / "x.db") as database:
        for table in ("looks", "predictions", "latencies"):
            database.execute(f"DROP TABLE nasopt_{table}")
    old = Looks(open_storage(tmp_path / "x.db", "read").engine)
    assert old.find("a" * 32) is None
    assert old.taken("digits") == []


def test_labels_that_are_no_bytes_are_refused_when_the_file_is_opened(tmp_path, looks):
    looks.add("a" * 32, look())
    looks.engine.dispose()
    with sqlite3.connect(tmp_path / "x.db") as database:
        database.execute("UPDATE nasopt_looks SET labels = 'text'")
    with pytest.raises(StorageError, match=r"nasopt_looks\.labels has a value that it cannot have"):
        open_storage(tmp_path / "x.db", "read")


def test_a_server_keeps_looks_as_a_file_does(postgresql):
    url = postgresql()
    first, second = (Looks(open_storage(url).engine) for _ in range(2))
    first.add("a" * 32, look())
    second.add("a" * 32, look(classes=(2, 2, 2)))
    assert second.find("a" * 32).predictions["k1"].classes.tolist() == [0, 1, 1]
    assert len(first.taken("digits")) == 1
    for each in (first, second):
        each.engine.dispose()
