"""`TensorBoard`: a folder of event files for each trial, with its hyperparameters and curves."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from nasopt.trackers.content import TrackedStudy, TrackedTrial
from nasopt.trackers.tracker import Tracker

MARK = ".nasopt"  # a file in the folder of a study, with its identity


class TensorBoard(Tracker):
    """A tracker that writes event files below `folder`; `tensorboard --logdir FOLDER` shows them.

        nasopt.run(experiment, callbacks=[TensorBoard("tensorboard")])

    A trial is a run, `<study>/trial-0012`: its curves by epoch, its costs, the note on its outcome,
    and its parameters on the page HParams. One that is there already is left as it is.
    """

    extra = module = "tensorboard"

    def __init__(self, folder: str | Path = "tensorboard") -> None:
        super().__init__()
        self.folder = Path(folder)

    @property
    def command(self) -> list[str]:
        return ["tensorboard", "--logdir", str(self.folder)]

    @property
    def remedy(self) -> str:
        return f"give another folder than {self.folder}, or make room"

    def write(self, study: TrackedStudy, trial: TrackedTrial) -> bool:
        folder = self._folder(study) / f"trial-{trial.number:04d}"
        if folder.exists():
            return False
        being_written = folder.with_name(f".{uuid4().hex}")  # a kill leaves no half of a run
        try:
            _write(being_written, trial)
            os.replace(being_written, folder)
        except BaseException:
            shutil.rmtree(being_written, ignore_errors=True)
            raise
        return True

    def _folder(self, study: TrackedStudy) -> Path:
        """Return the folder of a study; another one if a study of its name was there before."""
        folder = self.folder.joinpath(*map(_as_file_name, study.name.split("/")))
        for each in (folder, folder.with_name(f"{folder.name}-{study.identity[:8]}")):
            each.mkdir(parents=True, exist_ok=True)
            mark = each / MARK
            if not mark.exists():
                mark.write_text(study.identity)
            if mark.read_text() == study.identity:
                return each
        return each


def _as_file_name(part: str) -> str:
    return re.sub(r"[^\w.,=()+ -]|^\.+$|^$", "_", part)


def _write(folder: Path, trial: TrackedTrial) -> None:
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    with SummaryWriter(str(folder)) as writer:
        for summary in hparams(_plain(trial.params), dict(trial.numbers)):  # type: ignore[no-untyped-call]
            writer.file_writer.add_summary(summary, walltime=trial.ended)
        for name, curve in trial.curves.items():
            for epoch, value in curve.items():
                writer.add_scalar(name, value, epoch, walltime=trial.time(epoch))
        for name in trial.numbers.keys() - trial.curves.keys():
            writer.add_scalar(name, trial.numbers[name], 0, walltime=trial.ended)
        for name, text in {**trial.tags, "outcome": trial.note}.items():
            if text:
                writer.add_text(name, text, 0, walltime=trial.ended)


def _plain(params: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    kept = (bool, int, float, str)
    return {name: each if isinstance(each, kept) else str(each) for name, each in params.items()}
