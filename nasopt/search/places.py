"""The places of workers: devices dealt to them in turn, and the cores divided among them."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch

from nasopt.errors import StudyError
from nasopt.text import several
from nasopt.training.devices import find_device, free_cores

logger = logging.getLogger("nasopt")


class Place(NamedTuple):
    """The device of a process, and the threads that torch may use there; None: torch's own.

    `trainings` is how many workers it is, each in a thread: one, but on a card that several share.
    """

    device: str
    threads: int | None = None
    trainings: int = 1

    @property
    def where(self) -> str:
        """The device, in words."""
        return self.device

    def take(self) -> None:
        """Let this process be the worker of this place."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)


def find_places(device: str, workers: int | None = None, per_gpu: int | None = None) -> list[Place]:
    """Return the places of as many workers as were asked for and find room.

    `device` is one name, or several with commas between; where there are more workers than one,
    "auto" and "cuda" are all cards. By default there is one worker, or one for each device that is
    named, or `per_gpu` for each card, which share a process. What goes beyond `per_gpu` and a
    process for each core finds no room, and a warning says so. OMP_NUM_THREADS stays as it is, if
    set.

    Raises StudyError for a number below 1 and a device that is not there.
    """
    for name, number in (("workers", workers), ("workers_per_gpu", per_gpu)):
        if number is not None and number < 1:
            raise StudyError(f"{name}={number}: use a whole number from 1")
    names = [name.strip() for name in device.split(",")]
    if len(names) == 1 and (workers or per_gpu or 1) == 1:
        return [Place(device)]
    devices = _devices(names)
    wanted = workers or sum(per_gpu or 1 if is_card(each) else 1 for each in devices)
    cores = free_cores()
    dealt = deal(devices, wanted, per_gpu or 1)
    places = _together(dealt)
    if len(dealt) < wanted or cores < len(places):
        logger.warning("workers=%d: %s", wanted, _no_room(len(dealt), len(places), cores))
    count = min(len(places), cores)
    return [place._replace(threads=_share(cores, count)) for place in places[:count]]


def deal(devices: Sequence[str], workers: int, per_gpu: int) -> list[str]:
    """Return the devices of as many workers, in turn; a card is dealt `per_gpu` times at most."""
    rounds = range(workers)
    dealt = (each for turn in rounds for each in devices if turn < per_gpu or not is_card(each))
    return list(dealt)[:workers]


def _together(devices: Sequence[str]) -> list[Place]:
    """Return the places of workers on these devices: of those on one card a single one."""
    cards = Counter(device for device in devices if device.startswith("cuda"))
    places = []
    for device in devices:
        if device not in cards:
            places.append(Place(device))
        elif cards[device]:
            places.append(Place(device, trainings=cards[device]))
            cards[device] = 0
    return places


def at_most(places: Sequence[Place], workers: int) -> list[Place]:
    """Return the places of so many of the workers at `places`, taken from these in turn."""
    turns = range(max(place.trainings for place in places))
    taken = [
        number for turn in turns for number, place in enumerate(places) if turn < place.trainings
    ]
    kept = Counter(taken[:workers])
    return [
        place._replace(trainings=kept[number])
        for number, place in enumerate(places)
        if kept[number]
    ]


def apart(places: Sequence[Place]) -> list[Place]:
    """Return places of the same workers, each with a process of its own."""
    return [place._replace(trainings=1) for place in places for _ in range(place.trainings)]


def is_card(device: str) -> bool:
    return device.partition(":")[0] in ("cuda", "mps")


def _devices(names: Sequence[str]) -> list[str]:
    """Return `names` as torch has them, a card once, with all cards in the place of "cuda"."""
    found: dict[str, None] = {}
    for name in names:
        device = find_device(name)
        if device.type != "cuda":
            found[device.type] = None
        elif device.index is not None:
            found[str(device)] = None
        else:
            found |= dict.fromkeys(f"cuda:{card}" for card in range(torch.cuda.device_count()))
    return list(found)


def _no_room(dealt: int, processes: int, cores: int) -> str:
    if cores <= processes:
        free = "1 core is" if cores == 1 else f"{cores} cores are"
        return (
            f"{free} free to this process; more processes than that would only wait for each "
            "other, so no more are begun"
        )
    return (
        f"{several(processes, 'card')}, with {several(dealt, 'worker')} in all; "
        "--workers-per-gpu K trains K at once on each"
    )


def _share(cores: int, workers: int) -> int | None:
    if workers == 1 or os.environ.get("OMP_NUM_THREADS"):
        return None
    return max(1, min(cores, torch.get_num_threads()) // workers)
