"""Several hosts at one database: what is trained twice, and when a dead one's trial goes on.

    python -m tests.takeover

Hosts are processes with names, clocks and folders of their own; they share a folder with a SQLite
file, or a PostgreSQL server that is started here.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from nasopt.storage.leases import SILENCE_SECONDS
from nasopt.storage.opening import open_storage
from tests.cluster import Cluster
from tests.hosts import Host, ended, kill_in_mid_trial, rows, study_file

TRIALS = 6
RUN = ("--sampler", "random", "--device", "cpu", "--storage")
OF_GONE = """
SELECT DISTINCT t.trial_id FROM trials t JOIN trial_intermediate_values USING (trial_id)
JOIN trial_system_attributes a USING (trial_id)
JOIN nasopt_workers w ON a.value_json = '"' || w.token || '"'
WHERE t.state = 'RUNNING' AND a.key = 'nasopt:owner' AND w.host = 'gone'
"""
OWNER = """
SELECT value_json FROM trial_system_attributes WHERE key = 'nasopt:owner' AND trial_id = {}
"""


@dataclass
class Place:
    """A folder of one scenario, its study file, and what the study is if nothing disturbs it."""

    folder: Path
    study: str
    whole: list[Any]
    new_url: Callable[[], str]

    def run(self, host: Host, location: str) -> Any:
        return host.start("run", self.study, *RUN, location)

    def hosts(self, first: str, second: str, **settings: Any) -> tuple[Host, Host]:
        """Each with its folders; `settings` are of the second."""
        return Host(self.folder / "a", first), Host(self.folder / "b", second, **settings)


def told(location: str) -> list[Any]:
    storage = open_storage(location, "read")
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).trials
    storage.remove_session()
    storage.engine.dispose()
    return [(t.number, t.params, t.values, t.intermediate_values, t.state.name) for t in trials]


def twice(*hosts: Host) -> tuple[int, int, int]:
    """(batches trained more than once, all batches, those of one training)."""
    batches = [batch for host in hosts for batch in host.batches()]
    distinct = set(batches)
    return len(batches) - len(distinct), len(distinct), len(distinct) // TRIALS


def restarted(place: Place) -> str:
    """A container killed and started again under another name, on the same folder."""
    location = str(place.folder / "data" / "x.db")
    before, after = place.hosts("before", "after")
    kill_in_mid_trial(place.run(before, location), f"sqlite:///{location}")
    ended(place.run(after, location))
    again, batches, one = twice(before, after)
    assert told(location) == place.whole
    assert again <= one
    return f"the same study, {again} of {batches} batches trained twice (a training has {one})"


def side_by_side(place: Place, names: tuple[str, str], ahead: float) -> str:
    url = place.new_url()
    first, second = place.hosts(*names, ahead=ahead)
    for process in [place.run(host, url) for host in (first, second)]:
        _, said = ended(process)
        assert "was left by a worker" not in said, said
        assert "another worker took" not in said, said
    again, batches, _ = twice(first, second)
    assert again == 0
    assert len(told(url)) == TRIALS
    return f"nothing stolen, {again} of {batches} batches trained twice"


def killed(place: Place, silence: float) -> str:
    """A host dies while another works at its study: until its trial has another owner."""
    url = place.new_url()
    gone = Host(place.folder / "a", "gone", NASOPT_TAKEOVER=str(silence))
    here = Host(place.folder / "b", "here")
    dying, living = place.run(gone, url), place.run(here, url)
    kill_in_mid_trial(dying, url, OF_GONE)
    died = time.monotonic()
    ((trial,),) = rows(url, OF_GONE)
    before = rows(url, OWNER.format(trial))
    while rows(url, OWNER.format(trial)) in (before, []):
        assert living.poll() is None, living.communicate()
        assert time.monotonic() < died + silence + 60, "it was not taken over"
        time.sleep(0.05)
    seconds = time.monotonic() - died
    ended(living)
    again, batches, one = twice(gone, here)
    assert len(told(url)) == TRIALS
    assert again <= one
    return f"its trial went on after {seconds:.1f} s, {again} of {batches} batches trained twice"


def compared(place: Place) -> str:
    """Two hosts, one comparison."""
    words = ("compare", place.study, "--samplers", "random,tpe", "--seeds", "2", "--trials", "2")
    options = ("--replicates", "1", "--device", "cpu", "--storage", place.new_url())
    hosts = place.hosts("a", "b")
    for process in [host.start(*words, *options) for host in hosts]:
        ended(process)
    again, batches, _ = twice(*hosts)
    assert again == 0
    return f"{again} of {batches} batches trained twice"


SCENARIOS: dict[str, Callable[[Place], str]] = {
    "restarted under another name": restarted,
    "twins with folders of their own": lambda place: side_by_side(place, ("twin", "twin"), 0.0),
    "a clock 11 minutes ahead": lambda place: side_by_side(place, ("a", "b"), 660.0),
    "a clock 11 minutes behind": lambda place: side_by_side(place, ("a", "b"), -660.0),
    "a host killed, NASOPT_TAKEOVER=2": lambda place: killed(place, 2.0),
    "two hosts compare": compared,
    f"a host killed, the default ({SILENCE_SECONDS:.0f} s)": lambda place: killed(
        place, SILENCE_SECONDS
    ),
}


@contextmanager
def places() -> Iterator[Callable[[int], Place]]:
    """Makes the place of a scenario by its number."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = study_file(folder / "studies", TRIALS)
        Host(folder / "whole", "whole").run("run", study, *RUN, "x.db")
        whole = told(str(folder / "whole" / "x.db"))
        cluster = Cluster()
        try:
            yield lambda number: Place(folder / str(number), study, whole, cluster.new)
        finally:
            cluster.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="scenarios with this in their name")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    broken = 0
    with places() as place:
        for number, (name, scenario) in enumerate(SCENARIOS.items()):
            if args.only not in name:
                continue
            try:
                print(f"{name}: {scenario(place(number))}", flush=True)
            except AssertionError as error:
                broken += 1
                print(f"{name}: BROKEN: {error!r}", flush=True)
    raise SystemExit(broken > 0)


if __name__ == "__main__":
    main()
