import shutil

import pytest

from tests.finals_kills import finish, kill_at, killed_at_random, searched

LEDGER, LOOKS = "nasopt.storage.ledger:Ledger", "nasopt.storage.looks:Looks"
LATENCIES = "nasopt.storage.latencies:Latencies"
SAVING = "nasopt.models.saving"
IN_ORDER = [  # of the stages: each kill finds what the one before has left
    (f"{LEDGER}.append", 3, False),  # re-ranking
    (f"{LEDGER}.save_checkpoint", 1, False),  # the weights of the first final training
    (f"{LEDGER}.save_checkpoint", 1, True),  # kept, but the last epoch is not told yet
    (f"{LEDGER}.append", 5, True),  # an epoch recorded, nothing more
    (f"{LOOKS}.add", 1, False),  # all images predicted, nothing recorded
    (f"{LOOKS}.add", 1, True),  # recorded, but nobody has seen it
    (f"{LEDGER}.discard_checkpoint", 2, False),
    (f"{LATENCIES}.once", 2, False),
    (f"{SAVING}:_check", 1, False),  # all files written, in the folder beside
    (f"{SAVING}:_into_place", 1, False),
    (f"{SAVING}:_into_place", 1, True),  # the folder is there, and nothing was said of it
]


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed") / "new"
    searched(folder)
    return folder


@pytest.fixture(scope="module")
def whole(new, tmp_path_factory):
    return finish(shutil.copytree(new, tmp_path_factory.mktemp("whole") / "it"))


def test_finals_killed_at_every_stage_come_to_the_same_and_look_once(new, whole, tmp_path):
    folder = shutil.copytree(new, tmp_path / "it")
    for place, count, after in IN_ORDER:
        kill_at(folder, place, count, after=after)
    assert finish(folder) == whole
    assert whole["looks"] == 1


def test_finals_killed_at_any_moment_come_to_the_same(new, whole):
    assert killed_at_random(new, 2, whole, seconds=4.0).total() == 2
