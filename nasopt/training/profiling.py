"""`Profile`: what the time of a trial goes into."""

import time
from collections.abc import Callable

Timer = Callable[[str], None]  # told what the time since the last call went into

PARTS = (
    "data", "forward", "backward", "optimizer", "evaluation",
    "building", "ledger", "storage", "sampler", "display", "waiting",
)  # fmt: skip


def no_timer(_: str) -> None:
    """What is called where nobody asked: it costs some 40 ns."""


class Profile:
    """Seconds by part: every moment between two laps belongs to one, so that nothing is missing.

    `wait` is called before each look at the clock: on a GPU, work is only queued until then.
    """

    def __init__(self, wait: Callable[[], None] = lambda: None) -> None:
        self.wait = wait
        self.begin()

    def begin(self) -> None:
        """Forget what was."""
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.since = time.perf_counter()

    def timer(self, part: str) -> None:
        self.wait()
        now = time.perf_counter()
        self.seconds[part] += now - self.since
        self.since = now

    def take(self) -> dict[str, float]:
        """The seconds until the last timer; the next ones begin there."""
        taken = self.seconds
        self.seconds = dict.fromkeys(PARTS, 0.0)
        return taken
