"""Studies in a database, as their workers and plain Optuna see them."""

from pathlib import Path

import optuna
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nasopt.storage.opening import open_storage
from nasopt.storage.rdb import TRIALS, Storage

RUNNING, WAITING = TrialState.RUNNING, TrialState.WAITING
COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
DISTRIBUTIONS = {
    "filters": CategoricalDistribution((8, 16)),
    "width": IntDistribution(10, 100),
    "lr": FloatDistribution(1e-4, 1, log=True),
}
PARAMS = {"filters": 16, "width": 32, "lr": 0.1 + 0.2}


def file_storage(path: Path) -> Storage:
    storage = open_storage(path)
    storage.create_new_study([StudyDirection.MAXIMIZE], "study")
    return storage


def plain(location: str, study_id: int) -> optuna.Study:
    """The study as plain Optuna opens it."""
    storage = open_storage(location)
    return optuna.load_study(storage=storage, study_name=storage.get_study_name_from_id(study_id))


def close(storage: Storage) -> None:
    storage.remove_session()
    storage.engine.dispose()


def wait(storage: Storage, study_id: int, count: int) -> None:
    """Put `count` trials into the queue."""
    with storage.engine.begin() as connection:
        rows = [{"study_id": study_id, "state": WAITING, "number": n} for n in range(count)]
        connection.execute(sa.insert(TRIALS), rows)


def trials(storage: Storage, study_id: int) -> list[FrozenTrial]:
    return storage.get_all_trials(study_id)
