"""The notes for optuna-dashboard, in Markdown: the outcome of each trial, and their place.

A person's note is never touched: ours are written if there is none, and that of a study anew
only while it is as we left it. A study that was deleted gets none.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from nasopt.analysis.outcome import opened
from nasopt.space.layers import Dense, in_pixels
from nasopt.storage.attributes import NOTE
from nasopt.storage.rdb import Storage
from nasopt.storage.reading import STUDY_ATTRS
from nasopt.storage.record import EndedBy, StudyRecord, TrialRecord, reports_of
from nasopt.text import accuracy, latency
from nasopt.training.metrics import in_words

PIECE = 2045  # characters of an attribute, as optuna-dashboard cuts a note
GAP = "\u2003"  # a space that is not trimmed: optuna-dashboard leaves none between columns


class Notebook:
    """The notes of `study`, one of nasopt's."""

    def __init__(self, storage: Storage, study_id: int, study: StudyRecord) -> None:
        self.storage = storage
        self.study_id = study_id
        self.study = study
        self.space = study.space

    def write(self, trials: Sequence[FrozenTrial]) -> None:
        """Write a note for each of these finished trials that has none."""
        if not trials:
            return
        by_key = {version_key(trial._trial_id): trial for trial in trials}
        insert = self.storage.dialect.insert(STUDY_ATTRS).on_conflict_do_nothing()
        with suppress(KeyError), self.storage.changing(self.study_id) as connection:
            versions = [self._row(key, 1) for key in by_key]
            new = connection.execute(insert.returning(STUDY_ATTRS.c.key), versions).scalars()
            for key in new.all():
                attrs = note_attributes(by_key[key]._trial_id, self.text(by_key[key]))
                connection.execute(insert, [self._row(*each) for each in attrs.items()])

    def write_study(self, text: str) -> None:
        """Write the note of the study, unless a person has written one or changed ours."""
        attrs = self.storage.get_study_system_attrs(self.study_id)
        new = renewed(attrs, text)
        if new is None:
            return
        key = version_key(None)
        insert = self.storage.dialect.insert(STUDY_ATTRS)
        with suppress(KeyError), self.storage.changing(self.study_id) as connection:
            if key in attrs:
                mine = (STUDY_ATTRS.c.study_id == self.study_id) & (STUDY_ATTRS.c.key == key)
                as_read = STUDY_ATTRS.c.value_json == json.dumps(attrs[key])
                change: Any = sa.update(STUDY_ATTRS).where(mine, as_read)
                change = change.values(value_json=json.dumps(new[key]))
            else:
                change = insert.on_conflict_do_nothing().values(self._row(key, new[key]))
            if connection.execute(change.returning(STUDY_ATTRS.c.key)).scalar() is None:
                return  # somebody wrote it in this moment
            replace = insert.on_conflict_do_update(
                index_elements=["study_id", "key"],
                set_={"value_json": insert.excluded.value_json},
            )
            connection.execute(replace, [self._row(*each) for each in new.items()])

    def text(self, trial: FrozenTrial) -> str:
        """Return the outcome of a finished trial: why it ended, its figures, its network."""
        parts = [self._headline(trial), table(*_figures(trial, self.study))]
        if self.space is not None and trial.params:
            parts.append(table(LAYER_COLUMNS, self._layers(trial)))
        choices = {
            name: value
            for name, value in trial.params.items()
            if self.space is None or name.startswith("recipe.")
        }
        if choices:
            rows = [
                (name.removeprefix("recipe."), _number(value)) for name, value in choices.items()
            ]
            parts.append(table(("Recipe" if self.space else "Choice", "Value"), rows))
        return "\n\n".join(parts)

    def _headline(self, trial: FrozenTrial) -> str:
        record = TrialRecord.of(trial)
        reason = escaped(record.reason or "no reason is known")
        if record.ended_by is EndedBy.LIMIT:
            return f"**Over the limit, never trained**: {escaped(record.infeasible)} does not hold."
        if record.repeat_of is not None:
            return f"**The network of trial {record.repeat_of} again**: told its result, for free."
        if record.ended_by is EndedBy.TRAINED:
            return "**Trained to its end.**"
        if trial.state is TrialState.FAIL:
            return f"**Failed**: {reason}."
        if record.ended_by is EndedBy.PRUNER:
            return (
                f"**{reason.capitalize()} of {self.study.epochs}**: its "
                f"{in_words(self.study.metric)} there was too low for the pruner "
                f"{escaped(self.study.pruner)}."
            )
        return f"**Ended early**: {reason}."

    def _layers(self, trial: FrozenTrial) -> Iterator[tuple[Any, ...]]:
        assert self.space is not None
        assert self.space.input_shape is not None
        side = self.space.input_shape[1:]
        for number, layer in enumerate(self.space.decode(trial.params).layers, 1):
            side = layer.shrink(side)
            yield number, *layer.wording.cells, "" if isinstance(layer, Dense) else in_pixels(side)

    def _row(self, key: str, value: Any) -> dict[str, Any]:
        return {"study_id": self.study_id, "key": key, "value_json": json.dumps(value)}


class TrialNotes:
    """A callback of a search: a note for each trial that ends."""

    def __init__(self) -> None:
        self.notebooks: dict[int, Notebook] = {}

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        study_id, storage = study._study_id, opened(study)
        assert storage is not None
        if study_id not in self.notebooks:
            record = StudyRecord.from_attrs(study.study_name, study.user_attrs)
            self.notebooks[study_id] = Notebook(storage, study_id, record)
        self.notebooks[study_id].write([trial])


LAYER_COLUMNS = ("Layer", "Type", "Filters", "Size", "Stride", "Map after it")


def _figures(trial: FrozenTrial, study: StudyRecord) -> tuple[list[str], list[list[str]]]:
    record = TrialRecord.of(trial)
    reported = sorted(reports_of(trial).items())
    known = trial.values or [value for _, value in reported[-1:]]
    shown = {
        f"Validation {in_words(study.metric)}": accuracy(known[0]) if known else None,
        "Parameters": _count(record.parameters),
        "MACs": _count(record.macs),
        "Latency": latency(record.latency) or None,
        "Epochs": None if record.epochs is None else f"{record.epochs} of {study.epochs}",
        "Training": f"{record.seconds:.1f} s" if record.seconds else None,
    }
    there = {name: text for name, text in shown.items() if text is not None}
    return list(there), [list(there.values())]


def _count(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else escaped(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table in Markdown, its cells as they are given; "" without columns."""
    if not columns:
        return ""
    lines = [columns, *rows]
    drawn = ["".join(f"|{GAP}{cell} " for cell in line) + "|" for line in lines]
    return "\n".join((drawn[0], "|" + "---:|" * len(columns), *drawn[1:]))


def escaped(text: Any) -> str:
    """Return text that Markdown shows as it stands: no markup, no HTML, no formula."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~$&-])", r"\\\1", " ".join(str(text).split()))


# Where optuna-dashboard looks for notes: attributes of the study.


def version_key(trial_id: int | None) -> str:
    return "dashboard:note_ver" if trial_id is None else f"dashboard:{trial_id}:note_ver"


def piece_key(trial_id: int | None, number: int | str) -> str:
    return version_key(trial_id).removesuffix("ver") + f"str:{number}"


def note_attributes(trial_id: int | None, text: str, version: int = 1) -> dict[str, Any]:
    """Return the attributes of a study that are the note of one of its trials, or its own."""
    pieces = {
        piece_key(trial_id, number): text[start : start + PIECE]
        for number, start in enumerate(range(0, len(text), PIECE))
    }
    return {version_key(trial_id): version, **pieces}


def renewed(attrs: Mapping[str, Any], text: str) -> dict[str, Any] | None:
    """Return the study's attributes that must change for `text` to be its note.

    None if it is that, or if a person has written one or changed ours.
    """
    version = attrs.get(version_key(None))
    pieces = [name for name in attrs if name.startswith(piece_key(None, ""))]
    before = "".join(attrs[piece_key(None, number)] for number in range(len(pieces)))
    if before == text or (version is not None and attrs.get(NOTE) != _digest(before)):
        return None
    blank = dict.fromkeys(pieces, "")  # a shorter note leaves some of them empty
    note = note_attributes(None, text, 1 + (version or 0))
    return {**blank, **note, NOTE: _digest(text)}


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
