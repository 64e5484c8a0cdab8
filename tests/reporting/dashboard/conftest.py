"""A comparison of two samplers, and dashboards that serve it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import nasopt
from nasopt import Recipe
from tests.examples import small
from tests.reporting.dashboard.serving import copied, serving

TRIALS = 21  # the least of which the best tell something


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """Two samplers compared, only to be copied."""
    database = tmp_path_factory.mktemp("dashboard") / "x.db"
    experiment = small(trials=TRIALS, recipe=Recipe(epochs=1, batch_size=32))
    nasopt.compare(
        experiment, samplers="random,tpe", seeds=1, replicates=1, storage=database, device="cpu"
    )
    return database


@pytest.fixture
def done(made, tmp_path) -> Path:
    """That comparison, as a run leaves it."""
    return copied(made, tmp_path / "x.db")


@pytest.fixture(scope="module")
def served(made, tmp_path_factory) -> Iterator[str]:
    """A dashboard of that comparison: its address."""
    with serving(copied(made, tmp_path_factory.mktemp("served") / "x.db")) as url:
        yield url


@pytest.fixture(scope="session")
def believing(tmp_path_factory) -> Path:
    """A study whose last trials were chosen by a model, only to be copied."""
    database = tmp_path_factory.mktemp("believing") / "x.db"
    nasopt.run(small(trials=8), sampler="surrogate", storage=database, device="cpu")
    return database


@pytest.fixture(scope="module")
def reading(made) -> Iterator[str]:
    """A read-only dashboard of the comparison: its address."""
    with serving(made, read_only=True) as url:
        yield url
