"""`View`: a database to look at; attributes added to its studies stay in this process."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from optuna.trial import FrozenTrial

from nasopt.reporting.notes import Notebook, note_attributes, renewed
from nasopt.storage.database import name_error
from nasopt.storage.rdb import Storage


class View(Storage):
    """The storage `opened` for reading, seen through the attributes that are set on its studies."""

    def __init__(self, opened: Storage) -> None:
        super().__init__(opened.url, engine_kwargs=opened.engine_kwargs, skip_table_creation=True)
        sa.event.listen(self.engine, "handle_error", name_error)
        self.path = opened.path
        sa.event.listen(self.engine, "handle_error", name_error)
        # study id -> system attributes; one view of another shows what is kept there
        self.kept: dict[int, dict[str, Any]] = (
            opened.kept if isinstance(opened, View) else defaultdict(dict)
        )

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.kept[study_id][key] = value

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return {**super().get_study_system_attrs(study_id), **self.kept[study_id]}

    def get_all_studies(self) -> list[Any]:
        studies = super().get_all_studies()
        for study in studies:
            study.system_attrs.update(self.kept[study._study_id])
        return studies


class ViewNotebook(Notebook):
    """The notes of a study that are kept in a `View`."""

    storage: View

    def write(self, trials: Sequence[FrozenTrial]) -> None:
        for trial in trials:
            self.storage.kept[self.study_id] |= note_attributes(trial._trial_id, self.text(trial))

    def write_study(self, text: str) -> None:
        attrs = self.storage.get_study_system_attrs(self.study_id)
        self.storage.kept[self.study_id] |= renewed(attrs, text) or {}
