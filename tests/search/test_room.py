"""`Room`: several at once, or one alone, in whatever order threads ask for it."""

import threading
from collections.abc import Iterator

import pytest

from nasopt.search.resume import Stopped
from nasopt.search.room import Room


def yes() -> bool:
    return True


class Visitor:
    """A thread that enters, and stays until it is let go."""

    def __init__(self, room: Room, alone: bool = False) -> None:
        self.room, self.alone = room, alone
        self.is_in, self.go, self.asked = (threading.Event() for _ in range(3))
        self.thread = threading.Thread(target=self._visit)
        self.thread.start()

    def _visit(self) -> None:
        def alone() -> bool:
            self.asked.set()
            return self.alone

        assert self.room.enter(alone)
        self.is_in.set()
        self.go.wait()
        self.room.leave()

    def leave(self) -> None:
        self.go.set()
        self.thread.join()


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def visitors(room: Room) -> Iterator[list[Visitor]]:
    """Two that are there at once."""
    both = [Visitor(room), Visitor(room)]
    for each in both:
        each.is_in.wait()
    yield both
    for each in both:
        each.leave()


def test_one_that_is_to_be_alone_waits_for_all_others_and_keeps_out_the_next(room, visitors):
    alone = Visitor(room, alone=True)
    alone.asked.wait()
    while not room._to_be_alone:
        pass
    late = Visitor(room)
    late.asked.wait()
    visitors[0].leave()
    assert not alone.is_in.is_set()
    visitors[1].leave()
    alone.is_in.wait()
    assert room.is_closed
    assert not late.is_in.is_set()
    alone.leave()
    late.is_in.wait()
    late.leave()


def test_one_that_need_not_be_alone_any_more_lets_the_others_in(room):
    assert room.enter(yes)
    other = Visitor(room)
    other.asked.wait()
    assert not other.is_in.is_set()
    room.open()
    other.is_in.wait()
    other.leave()
    room.leave()


def test_one_whose_reason_to_be_alone_is_gone_enters_beside_the_others(room, visitors):
    alone = Visitor(room, alone=True)
    alone.asked.wait()
    alone.alone = False  # another process took that trial
    alone.is_in.wait()
    assert not room.is_closed
    alone.leave()


def test_a_wait_ends_when_it_is_asked_to_and_leaves_no_trace(room, visitors):
    asked = iter([False, True])
    assert not room.enter(yes, lambda: next(asked))
    with room.beside_others(lambda: False):
        pass
    with pytest.raises(Stopped), room.beside_others(yes):
        pass
    visitors[0].leave()
    visitors[1].leave()
    assert room.enter(yes)
