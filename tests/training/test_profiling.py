"""`nasopt.training.profiling`: every moment of a trial belongs to one part."""

import time
from pathlib import Path

import pytest

from nasopt.errors import OutOfMemory
from nasopt.search.search import Search
from nasopt.training.profiling import PARTS, Profile
from tests.examples import small


def test_the_time_between_two_laps_belongs_to_the_second():
    profile = Profile()
    before = profile.since
    profile.timer("data")
    middle = profile.since
    profile.timer("forward")
    profile.timer("data")
    taken = profile.take()
    assert taken["forward"] == pytest.approx(profile.since - middle, abs=1e-3)
    assert sum(taken.values()) == pytest.approx(profile.since - before)
    assert sum(profile.take().values()) == 0


def test_work_that_is_only_queued_is_waited_for_before_the_clock_is_read():
    calls: list[float] = []
    profile = Profile(wait=lambda: calls.append(time.perf_counter()))
    profile.timer("forward")
    assert len(calls) == 1
    assert calls[0] <= profile.since


@pytest.mark.parametrize("pruner", ["none", "median"])
def test_the_parts_of_all_trials_add_up_to_the_time_that_passed(tmp_path: Path, pruner: str):
    search = Search(
        small(pruner=pruner, trials=12), storage=tmp_path / "x.db", device="cpu", profile=True
    )
    progress = iter(search)
    next(progress)
    started = time.perf_counter()
    shares = [each.seconds for each in progress if each.finished is not None]
    passed = time.perf_counter() - started
    assert len(shares) >= 12
    assert all(each is not None and each.keys() == set(PARTS) for each in shares)
    total = sum(sum(each.values()) for each in shares if each is not None)
    assert 0.95 * passed < total <= passed
    spent = {part: sum(each[part] for each in shares if each) for part in PARTS}
    assert spent.pop("waiting") == 0  # for nobody
    assert all(seconds > 0 for seconds in spent.values())
    training = sum(spent[part] for part in ("data", "forward", "backward", "optimizer"))
    results = [search.evaluator.ledger.results(key) for key in search.counts.trained]
    recorded = sum(result.seconds for each in results for result in each)
    assert training + spent["evaluation"] == pytest.approx(recorded, rel=0.1)


def test_a_search_that_is_not_profiled_has_no_shares(tmp_path: Path):
    search = Search(small(trials=2), storage=tmp_path / "x.db", device="cpu")
    assert [each.seconds for each in search if each.finished is not None] == [None, None]


def test_an_evaluation_that_ends_early_is_profiled_like_any_other(tmp_path: Path, monkeypatch):
    search = Search(small(trials=1), storage=tmp_path / "x.db", device="cpu", profile=True)

    def no_room(*_: object, **__: object) -> None:
        raise OutOfMemory("out of memory on cpu")

    monkeypatch.setattr(search.evaluator.backend, "trainer", no_room)
    (share,) = [each.seconds for each in search if each.finished is not None]
    assert share is not None
    assert share["storage"] > 0
