"""The benchmark that the tests of this folder share."""

from pathlib import Path

import pytest

from nasopt import load_benchmark
from nasopt.benchmarks import Benchmark
from tests.benchmarks.tables import rows, written


@pytest.fixture
def table(tmp_path: Path) -> Benchmark:
    return load_benchmark(str(written(tmp_path / "mine.csv", rows())))
