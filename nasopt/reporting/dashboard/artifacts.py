"""The files that optuna-dashboard offers beside a study."""

import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import optuna
from optuna.artifacts import FileSystemArtifactStore, upload_artifact

from nasopt.analysis.outcome import Outcome
from nasopt.errors import StorageError

BEST = "best-network.json"


def open_store(folder: str | Path) -> FileSystemArtifactStore:
    """Open the folder of the files, made if need be.

    Raises StorageError if it cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"artifact-dir={folder}: cannot be made ({error.strerror}); name another folder"
        ) from error
    return FileSystemArtifactStore(str(folder))


def keep_best(study: optuna.Study, best: Outcome, store: FileSystemArtifactStore) -> None:
    """Keep one file for each study, and write it anew when a better network is found."""
    keep(study, BEST, json.dumps(best.to_json(), indent=2).encode(), store)


def keep(study: optuna.Study, name: str, content: bytes, store: FileSystemArtifactStore) -> None:
    """Keep one file of this name for the study, in the place of the one before."""
    attrs = study._storage.get_study_system_attrs(study._study_id)
    known = next((kept for key in attrs if (kept := _kept(key, attrs[key], name))), None)
    if known is not None:
        store.write(known, io.BytesIO(content))
        return
    with TemporaryDirectory() as folder:
        file = Path(folder, name)
        file.write_bytes(content)
        upload_artifact(artifact_store=store, file_path=str(file), study_or_trial=study)


def _kept(key: str, value: Any, name: str) -> str | None:
    """Return the id of our file of this name, if this attribute of a study names it.

    The id is one that Optuna makes: another would be a path that leads out of the folder.
    """
    if not key.startswith("artifacts:"):
        return None
    try:
        meta = json.loads(value)
        if meta["filename"] == name:  # of one deleted on a page there is nothing
            return str(UUID(meta["artifact_id"]))
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        pass
    return None
