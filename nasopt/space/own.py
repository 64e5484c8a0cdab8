"""Blocks of the user's own: classes that are taken in as they are defined, and known by their code.

A database or a model's folder has their names, fields and code digests, but no code: what is read
there without the class can be counted, drawn and compared, but not built.
"""

import keyword
import math
from collections.abc import Sequence
from dataclasses import MISSING, FrozenInstanceError, dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from nasopt.errors import SpaceError
from nasopt.space.code import Code, code_of
from nasopt.space.fields import Categorical, Choice, Integer

if TYPE_CHECKING:
    from nasopt.space.layers import Layer

TAKEN = ("conv", "pool", "dense", "layer", "edge", "recipe")  # the beginnings of parameters' names
OVERRIDDEN = ("build",)

# by name, in the order of definition: two studies may each have a block of one name
_defined: dict[str, list["type[Layer]"]] = {}


class Frozen:
    """The base of frozen dataclasses that a user may decorate as such once more."""

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


def take_in(cls: "type[Layer]", base: "type[Layer]") -> None:
    """Make a frozen dataclass of a block's class, and remember it.

    Raises SpaceError for a name that cannot be.
    """
    name = cls.__name__
    if name.lower() in TAKEN:
        raise SpaceError(f"{name}: a name of nasopt's own; give the block another")
    written = {each for each in vars(cls) if not each.startswith("__")}
    dataclass(frozen=True, kw_only=True)(cls)
    for each in ("__setattr__", "__delattr__"):  # Frozen has them, and a decorator would refuse
        delattr(cls, each)
    names = [each.name for each in fields(cls)]
    for each in sorted((written - {*OVERRIDDEN, "_recorded"}) | {*names}):
        if hasattr(base, each):
            raise SpaceError(f"{name}.{each}: a name of nasopt.Layer's own; rename it")
    cls.kind, cls.is_own = name, True
    cls.shrinking = ("stride",) if "stride" in names else ()
    if "_recorded" not in vars(cls):
        _defined.setdefault(name, []).append(cls)


def check_values(cls: "type[Layer]", given: dict[str, Any]) -> None:
    """Raise SpaceError for a value of a field that cannot be kept, and for such a stride."""
    for each in fields(cls):
        value = given.get(each.name, each.default)
        where = f"{cls.__name__}.{each.name}={value!r}"
        if value is not MISSING and not isinstance(value, Choice | Categorical | Integer):
            raise SpaceError(f"{where}: use a number, text or boolean, categorical or integer")
        for one in getattr(value, "boundary_values", (value,)):
            if isinstance(one, str) and not one.isprintable():
                raise SpaceError(f"{where}: a text that cannot be shown; use another")
            if isinstance(one, float) and not math.isfinite(one):
                raise SpaceError(f"{where}: not finite; use a number")
        if each.name == "stride" and value is not MISSING:
            strides = getattr(value, "boundary_values", (value,))
            if any(type(stride) is not int or stride < 1 for stride in strides):
                raise SpaceError(f"{where}: use whole numbers from 1")


def values(layer: "Layer") -> dict[str, Any]:
    """Return the values of a layer's fields by name."""
    return {each.name: getattr(layer, each.name) for each in fields(layer)}


def source_of(cls: "type[Layer]", base: "type[Layer]") -> Code:
    """Return the code of a block. Raises SpaceError if it is not here, or not to be found."""
    if "_recorded" in vars(cls):
        raise SpaceError(missing(cls))
    if cls.build is base.build:
        raise SpaceError(unbuilt(cls))
    if "_source" not in vars(cls):
        cls._source = code_of(cls, base)  # type: ignore[attr-defined]
    code: Code = vars(cls)["_source"]
    return code


def digest_of(cls: "type[Layer]", base: "type[Layer]") -> str:
    """Return what tells the code of a block from other code under its name."""
    return vars(cls).get("_recorded") or source_of(cls, base).digest


def class_of(name: str, code: str, names: Sequence[str], base: "type[Layer]") -> "type[Layer]":
    """Return the class of that name, code and fields; one that cannot be built if it is not here.

    Raises SpaceError for what is no name.
    """
    for cls in reversed(_defined.get(name, [])):
        if _has_code(cls, code, base) and {each.name for each in fields(cls)} == {*names}:
            return cls
    return _recorded(name, code, tuple(names), base)  # type: ignore[arg-type]


def _has_code(cls: "type[Layer]", code: str, base: "type[Layer]") -> bool:
    try:
        return digest_of(cls, base) == code
    except SpaceError:  # typed into a prompt, say
        return False


@cache
def _recorded(name: str, code: str, names: tuple[str, ...], base: "type[Layer]") -> "type[Layer]":
    for each in (name, *names):
        if not isinstance(each, str) or not each.isidentifier() or keyword.iskeyword(each):
            raise SpaceError(f"layers: {each!r} is no name of a block or field")
    if not isinstance(code, str):
        raise SpaceError(f"{name}: code={code!r} is no digest")
    annotations = dict.fromkeys(names, Any)
    return type(name, (base,), {"__annotations__": annotations, "_recorded": code})


def is_here(cls: "type[Layer]") -> bool:
    """Return whether the class of a block can be built in this process."""
    return "_recorded" not in vars(cls)


def missing(cls: "type[Layer]") -> str:
    """Return what a block lacks whose class is not here, and the remedy."""
    name = cls.__name__
    if name in _defined:
        return (
            f"{name}: the class of that name here has other code than the block had (its code is "
            f"{vars(cls)['_recorded']}); define it as it was"
        )
    return (
        f"{name}: a block of a study file's own, whose code is not here; give that file (--blocks "
        "FILE, or nasopt.load_experiment), or import the class"
    )


def unbuilt(cls: "type[Layer]") -> str:
    """Return why a block has no `build`."""
    if not is_here(cls):
        return missing(cls)
    return f"{cls.__name__}.build: missing; define build(self, in_shape), which returns a module"
