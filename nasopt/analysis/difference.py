"""The first difference between two descriptions of experiments: their studies are not alike."""

from typing import Any

from nasopt.space.fields import field_from_json

LEFT_OUT = "left out"  # the place of a value in a description without it


def difference(before: Any, after: Any, place: str = "") -> tuple[str, Any, Any] | None:
    """Return the first difference between two JSON values: (place, before, after)."""
    if before == after:
        return None
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() & after.keys():
        pairs: Any = [
            (f"{place}.{key}", before.get(key, LEFT_OUT), after.get(key, LEFT_OUT))
            for key in {**before, **after}
        ]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [(f"{place}[{i}]", *pair) for i, pair in enumerate(zip(before, after, strict=True))]
    elif isinstance(before, list) and isinstance(after, list):
        return place.lstrip("."), f"{len(before)} entries", f"{len(after)} entries"
    else:
        return place.lstrip("."), _readable(before), _readable(after)
    return next(found for each in pairs if (found := difference(each[1], each[2], each[0])))


def _readable(value: Any) -> Any:
    """Return an open field as it is written; anything else as it is."""
    is_field = isinstance(value, dict) and len(value) == 1
    return repr(field_from_json(value)) if is_field else value
