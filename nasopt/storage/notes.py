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

import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from nasopt.space.layers import Dense, in_pixels
from nasopt.space.space import Space
from nasopt.storage.rdb import EXPERIMENT, Storage
from nasopt.storage.reading import STUDY_ATTRS
from nasopt.text import accuracy

PIECE = 2045  # characters of an attribute, as optuna-dashboard cuts a note
GAP = "\u2003"  # a space that is not trimmed: optuna-dashboard leaves none between columns
OURS = "nasopt:note"  # system attribute of a study: the digest of its note as we left it


class Notebook:
    """The notes of a study of nasopt's; `attrs` are its user attributes."""

    def __init__(self, storage: Storage, study_id: int, attrs: Mapping[str, Any]) -> None:
        begun = attrs[EXPERIMENT]
        self.storage = storage
        self.study_id = study_id
        self.epochs = int(begun["recipe"]["epochs"])
        self.pruner = str(attrs.get("pruner"))
        self.input_shape = tuple(begun.get("input_shape", ()))  # a benchmark has no images
        self.space = Space.from_json(begun["space"]) if self.input_shape else None
        if self.space is not None:
            self.space = self.space.on(self.input_shape)

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
        parts = [self._headline(trial), table(*_figures(trial, self.epochs))]
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
        attrs = trial.user_attrs
        reason = escaped(attrs.get("reason", "no reason is known"))
        if "infeasible" in attrs:
            return (
                f"**Over the limit, never trained**: {escaped(attrs['infeasible'])} does not hold."
            )
        if "repeat_of" in attrs:
            return (
                f"**The network of trial {attrs['repeat_of']} again**: told its result, for free."
            )
        if trial.state is TrialState.COMPLETE:
            return "**Trained to its end.**"
        if trial.state is TrialState.FAIL:
            return f"**Failed**: {reason}."
        if reason.startswith("pruned after"):
            return (
                f"**{reason.capitalize()} of {self.epochs}**: its accuracy there was too low for "
                f"the pruner {escaped(self.pruner)}."
            )
        return f"**Ended early**: {reason}."

    def _layers(self, trial: FrozenTrial) -> Iterator[tuple[Any, ...]]:
        assert self.space is not None
        side = self.input_shape[1:]
        for number, layer in enumerate(self.space.decode(trial.params).layers, 1):
            side = layer.shrink(side)
            yield number, *layer.wording.cells, "" if isinstance(layer, Dense) else in_pixels(side)

    def _row(self, key: str, value: Any) -> dict[str, Any]:
        return {"study_id": self.study_id, "key": key, "value_json": json.dumps(value)}


LAYER_COLUMNS = ("Layer", "Type", "Filters", "Size", "Stride", "Map after it")


def _figures(trial: FrozenTrial, epochs: int) -> tuple[list[str], list[list[str]]]:
    attrs = trial.user_attrs
    reported = sorted(trial.intermediate_values.items())
    known = trial.values or [value for _, value in reported[-1:]]
    shown = {
        "Validation accuracy": accuracy(known[0]) if known else None,
        "Parameters": _count(attrs.get("parameters")),
        "MACs": _count(attrs.get("macs")),
        "Epochs": f"{attrs['epochs']} of {epochs}" if "epochs" in attrs else None,
        "Training": f"{attrs['seconds']:.1f} s" if attrs.get("seconds") else None,
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
    if before == text or (version is not None and attrs.get(OURS) != _digest(before)):
        return None
    blank = dict.fromkeys(pieces, "")  # a shorter note leaves some of them empty
    note = note_attributes(None, text, 1 + (version or 0))
    return {**blank, **note, OURS: _digest(text)}


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
