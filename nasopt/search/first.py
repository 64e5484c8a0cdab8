"""The networks that a study is to try first, as hyperparameters of its trials."""

from collections.abc import Mapping
from typing import Any

from nasopt.errors import RecipeError, SpaceError
from nasopt.space.architecture import Architecture
from nasopt.space.encoding import encode
from nasopt.space.fields import Open
from nasopt.space.space import Space

First = Architecture | Mapping[str, Any]


def params_of(first: Any, space: Any, hyperparameters: Mapping[str, Open]) -> dict[str, Any]:
    """Return the hyperparameters that `first` gives: an architecture, or values by name.

    Those that it does not give are the sampler's to choose.

    Raises RecipeError for what is no network of the space, or a value that is not open to it.
    """
    if isinstance(first, Architecture):
        if not isinstance(space, Space):
            raise RecipeError(
                f"Experiment.first: {first}: a table's networks are known by their parameters; "
                "give {name: value}"
            )
        try:
            return encode(space, first)
        except SpaceError as error:
            raise RecipeError(f"Experiment.first: {error}") from error
    if not isinstance(first, Mapping):
        raise RecipeError(
            f"Experiment.first: {first!r}: give an Architecture, or {{name: value}} of parameters"
        )
    for name, value in first.items():
        field = hyperparameters.get(name)
        if field is None or value not in field:
            what = "no such parameter" if field is None else f"not in {field!r}"
            raise RecipeError(f"Experiment.first: {name}={value!r}: {what}; correct it")
    return dict(first)
