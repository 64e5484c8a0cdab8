"""`log_studies`: the trials of a database, written to a tracker afterwards."""

import logging
import os

from nasopt.analysis.outcome import load_study, studies_of
from nasopt.errors import StudyError
from nasopt.storage.rdb import Storage
from nasopt.trackers.mlflow import MLflow
from nasopt.trackers.tensorboard import TensorBoard
from nasopt.trackers.tracker import Tracker


def make_tracker(name: str, folder: str | None = None, uri: str | None = None) -> Tracker:
    """Return the tracker of that name; raise StudyError for an option that is the other's."""
    if name == "tensorboard":
        if uri is not None:
            raise StudyError(f"--uri={uri}: of mlflow; name a folder for tensorboard with -o")
        return TensorBoard() if folder is None else TensorBoard(folder)
    if folder is not None:
        raise StudyError(f"-o {folder}: of tensorboard; say where mlflow is with --uri")
    # one that waits for a server for minutes would tell what is wrong too late
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    return MLflow(uri)


def log_studies(storage: Storage, tracker: Tracker, study: str | None = None) -> dict[str, int]:
    """Write the finished trials of all studies, or of one, and return how many were not there yet.

    Raises StudyError if there is no such study, TrackerError if the tracker cannot be written to.
    """
    for library in ("mlflow", "alembic"):  # which tell of the tables that they make
        logging.getLogger(library).setLevel(logging.WARNING)
    first = load_study(storage, study)  # says if there is none
    names = studies_of(storage) if study is None else [first.study_name]
    return {name: _log(storage, tracker, name) for name in names}


def _log(storage: Storage, tracker: Tracker, name: str) -> int:
    study = load_study(storage, name)
    trials = study.get_trials(deepcopy=False)
    return tracker.log(study, [trial for trial in trials if trial.state.is_finished()])
