"""What the tests share: Optuna kept quiet, and real parts that must be there in CI."""

import os
from pathlib import Path

import optuna
import pytest

from nasopt.data import DEBIAN_FASHION_MNIST

optuna.logging.set_verbosity(optuna.logging.WARNING)


def missing(reason: str) -> None:
    """Skip a test whose real part is not on this machine; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (and CI must have it)")
    pytest.skip(reason)


@pytest.fixture
def fashion_folder() -> Path:
    if not DEBIAN_FASHION_MNIST.is_dir():
        missing("Fashion-MNIST is not here: apt-get install dataset-fashion-mnist")
    return DEBIAN_FASHION_MNIST
