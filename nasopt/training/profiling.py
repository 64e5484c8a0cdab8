"""`Profile`: the time of a trial, by what it is spent on."""

import time
from collections.abc import Callable

Timer = Callable[[str], None]  # called with what the time since the last call was spent on

PARTS = (
    "data", "forward", "backward", "optimizer", "evaluation",
    "building", "ledger", "storage", "sampler", "display", "waiting",
)  # fmt: skip


def no_timer(_: str) -> None:
    """Do nothing: this is the timer if nobody asked for one, and costs some 40 ns."""


class Profile:
    """The seconds by part; every moment between two calls of `timer` belongs to one of them.

    `wait` is called before each look at the clock: on a GPU, work is only queued until then.
    """

    def __init__(self, wait: Callable[[], None] = lambda: None) -> None:
        self.wait = wait
        self.begin()

    def begin(self) -> None:
        """Set all times to zero, and measure from now on."""
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.since = time.perf_counter()

    def timer(self, part: str) -> None:
        self.wait()
        now = time.perf_counter()
        self.seconds[part] += now - self.since
        self.since = now

    def take(self) -> dict[str, float]:
        """Return the seconds by part until the last call of `timer`; the next ones begin there."""
        taken = self.seconds
        self.seconds = dict.fromkeys(PARTS, 0.0)
        return taken
