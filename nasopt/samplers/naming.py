"""The names of samplers in studies: a name that was given, of the registry, or of the class."""

import threading
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from optuna.samplers import BaseSampler

from nasopt.errors import StudyError, check_name
from nasopt.samplers.settings import settings_of

_quiet = threading.Lock()
MOST_CHARACTERS = 100  # of the 512 of a study's name, beside those of its experiment

Named = Mapping[str, str | BaseSampler]  # {"mine": MySampler()}
GivenSampler = str | BaseSampler | Named


def sampler_name(sampler: GivenSampler) -> str:
    """Return the sampler's name in a study.

    It is the one that was given, else the name in small letters, or the class of an object.
    """
    if isinstance(sampler, Mapping):
        return next(iter(sampler))
    return sampler.lower() if isinstance(sampler, str) else type(sampler).__name__


def unnamed(sampler: GivenSampler) -> str | BaseSampler:
    """Return the sampler without the name that it was given."""
    return next(iter(sampler.values())) if isinstance(sampler, Mapping) else sampler


def given_settings(sampler: GivenSampler) -> dict[str, Any] | None:
    """Return the settings that its study is of; None if they are in the name of the study."""
    inner = unnamed(sampler)
    if isinstance(inner, str):
        return {"sampler": inner.lower()} if isinstance(sampler, Mapping) else None
    return settings_of(inner)


def check_given(sampler: GivenSampler, own: Collection[str]) -> None:
    """Raise StudyError for a mapping that names no sampler, or as one of nasopt's `own`."""
    if not isinstance(sampler, Mapping):
        return
    if len(sampler) != 1:
        raise StudyError(f"sampler={dict(sampler)!r}: {len(sampler)} samplers; give one")
    name = sampler_name(sampler)
    check_name(name, "sampler", StudyError)
    if len(name) > MOST_CHARACTERS or "/" in name:
        raise StudyError(
            f"sampler={name[:40]!r}: a name of up to {MOST_CHARACTERS} characters, without a /; "
            "give another"
        )
    if name.lower() in own:
        raise StudyError(f"sampler={name!r}: the name of one of nasopt's; give another")


def told_apart(samplers: Iterable[GivenSampler] | Named) -> Iterator[GivenSampler]:
    """Yield samplers whose names differ: objects of one class are named by their settings, too.

    Raises StudyError if the names of two are the same for all that.
    """
    listed = list(_listed([samplers] if isinstance(samplers, Mapping) else samplers))
    classes = Counter(sampler_name(each) for each in listed if isinstance(each, BaseSampler))
    found = [
        {_with_settings(each): each}
        if isinstance(each, BaseSampler) and classes[sampler_name(each)] > 1
        else each
        for each in listed
    ]
    names = Counter(sampler_name(each) for each in found if not isinstance(each, str))
    names.update({sampler_name(each) for each in found if isinstance(each, str)})
    for name, count in names.items():
        if count > 1:
            raise StudyError(
                f"samplers: {count} are called {name}; give each a name, as in "
                '{"mine": ..., "other": ...}'
            )
    yield from found


def _listed(samplers: Iterable[GivenSampler]) -> Iterator[GivenSampler]:
    """Yield the samplers one by one, those of a mapping with their names."""
    for each in samplers:
        if not isinstance(each, Mapping):
            yield each
            continue
        for name, inner in each.items():
            is_same = isinstance(inner, str) and inner.lower() == str(name).lower()
            yield inner if is_same else {name: inner}


def _with_settings(sampler: BaseSampler) -> str:
    """Return the class of `sampler` with the settings that are not as the class has them."""
    usual = _usual_settings(type(sampler))
    other = {key: value for key, value in settings_of(sampler).items() if usual.get(key) != value}
    other.pop("class", None)
    shown = ", ".join(f"{key.lstrip('_')}={_shown(value)}" for key, value in other.items())
    return f"{type(sampler).__name__}({shown})" if shown else type(sampler).__name__


def _usual_settings(kind: type[BaseSampler]) -> dict[str, Any]:
    with _quiet, warnings.catch_warnings():  # which is not for several threads
        warnings.simplefilter("ignore")  # that it is experimental was said of the sampler itself
        try:
            return settings_of(kind())
        except TypeError:  # it has arguments that must be given: all settings are shown
            return {}


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "class" in value:
        return str(value["class"]).rpartition(".")[2]
    return repr(value)
