"""`nasopt.search.places`: devices dealt to workers in turn, and the cores divided among them."""

import pytest
import torch

from nasopt.errors import StudyError
from nasopt.search.places import Place, apart, at_most, deal, find_places


@pytest.fixture
def six_cores(machine_of) -> None:
    machine_of(6)


@pytest.mark.usefixtures("six_cores")
def test_workers_divide_the_cores_among_them():
    assert find_places("cpu", 3) == [Place("cpu", 2)] * 3
    before = torch.get_num_threads()
    assert before == 6
    Place("cpu", 2).take()
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("six_cores")
def test_one_worker_has_all_cores():
    (place,) = find_places("cpu")
    place.take()
    assert place.device == "cpu"
    assert torch.get_num_threads() == 6


@pytest.mark.usefixtures("six_cores")
def test_there_are_no_more_workers_than_cores_and_that_is_told(caplog):
    assert find_places("cpu", 64) == [Place("cpu", 1)] * 6
    assert caplog.messages == [
        "workers=64: 6 cores are free to this process; more processes than that would only wait "
        "for each other, so no more are begun"
    ]


@pytest.mark.usefixtures("six_cores")
def test_threads_that_the_user_has_set_stay(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert find_places("cpu", 2) == [Place("cpu", None)] * 2


CARDS = ["cuda:0", "cuda:1", "cuda:2"]


@pytest.mark.parametrize(
    ("devices", "workers", "per_gpu", "dealt"),
    [
        (CARDS, 2, 1, ["cuda:0", "cuda:1"]),
        (CARDS, 5, 1, CARDS),
        (CARDS, 5, 2, [*CARDS, "cuda:0", "cuda:1"]),
        (["cpu"], 3, 1, ["cpu"] * 3),
        (["cuda:1", "cpu"], 4, 1, ["cuda:1", "cpu", "cpu", "cpu"]),
        (["mps"], 2, 1, ["mps"]),
    ],
)
def test_cards_are_dealt_in_turn_so_often_and_no_more(devices, workers, per_gpu, dealt):
    assert deal(devices, workers, per_gpu) == dealt


@pytest.fixture
def three_cards(monkeypatch, machine_of) -> None:
    machine_of(16)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)


def devices_of(*given) -> list[str]:
    return [place.device for place in find_places(*given)]


@pytest.mark.usefixtures("three_cards")
def test_which_workers_there_are_follows_from_cards_and_options(caplog):
    assert devices_of("auto") == ["auto"]
    assert devices_of("auto", 2) == devices_of("cuda", 2) == ["cuda:0", "cuda:1"]
    assert devices_of("cuda:2, cuda:0") == ["cuda:2", "cuda:0"]
    assert devices_of("cuda:2,cuda:2") == ["cuda:2"]
    assert devices_of("auto", None, 2) == CARDS
    assert devices_of("cpu", None, 2) == ["cpu"]
    assert not caplog.messages
    assert devices_of("auto", 4) == CARDS
    assert caplog.messages == [
        "workers=4: 3 cards, with 3 workers in all; --workers-per-gpu K trains K at once on each"
    ]


def at_once(*given) -> dict[str, int]:
    return {place.device: place.trainings for place in find_places(*given)}


@pytest.mark.usefixtures("three_cards")
def test_workers_on_one_card_are_threads_of_one_process(machine_of, caplog):
    assert at_once("auto", None, 4) == dict.fromkeys(CARDS, 4)
    assert at_once("auto", 5, 2) == {"cuda:0": 2, "cuda:1": 2, "cuda:2": 1}
    assert at_once("cuda:1", None, 8) == {"cuda:1": 8}
    machine_of(2)
    assert not caplog.messages
    assert at_once("auto", None, 4) == {"cuda:0": 4, "cuda:1": 4}
    assert caplog.messages == [
        "workers=12: 2 cores are free to this process; more processes than that would only wait "
        "for each other, so no more are begun"
    ]


def test_no_more_workers_are_begun_than_find_work():
    places = [Place("cuda:0", 1, 3), Place("cuda:1", 1, 2), Place("cpu", 1)]
    taken = {
        count: [(place.device, place.trainings) for place in at_most(places, count)]
        for count in (1, 2, 4, 99)
    }
    assert taken[1] == [("cuda:0", 1)]
    assert taken[2] == [("cuda:0", 1), ("cuda:1", 1)]
    assert taken[4] == [("cuda:0", 2), ("cuda:1", 1), ("cpu", 1)]
    assert at_most(places, 99) == places
    assert [place.device for place in apart(places)] == CARDS[:1] * 3 + CARDS[1:2] * 2 + ["cpu"]


@pytest.mark.parametrize("count", [0, -1])
@pytest.mark.parametrize("name", ["workers", "workers_per_gpu"])
def test_there_is_at_least_one_worker(name, count):
    numbers = (count, None) if name == "workers" else (None, count)
    with pytest.raises(StudyError, match=rf"^{name}={count}: use a whole number from 1$"):
        find_places("cpu", *numbers)


def test_each_device_of_a_list_is_checked():
    with pytest.raises(StudyError, match=r"^device='cdua': unknown; did you mean cuda\?"):
        find_places("cpu,cdua")
