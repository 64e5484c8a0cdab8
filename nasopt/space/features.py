"""`WithFeatures`: a survey of networks, with numbers of the user's own of each."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from textwrap import shorten

import numpy as np
from numpy.typing import NDArray

from nasopt.errors import RecipeError
from nasopt.space.architecture import Architecture
from nasopt.space.vectorized import Networks, Survey, candidates

Features = Callable[[Architecture], Mapping[str, float]]

LARGEST = 1e100  # of a feature: its square is still a number
MOST_KNOWN = 100_000  # networks whose features are remembered


class WithFeatures:
    """The surveys of `networks`, with what `features` tells of each architecture besides.

    Raises RecipeError for what is no dict of finite numbers, or has other names than before.
    """

    def __init__(self, networks: Networks, features: Features) -> None:
        self._networks = networks
        self._of = features
        self._known: dict[bytes, list[float]] = {}
        self.names = networks.names
        fields = networks.space.hyperparameters
        self._candidates = {name: candidates(field) for name, field in fields.items()}
        first = networks.survey(np.zeros((1, len(self.names)), dtype=np.int64))
        self.own = tuple(sorted(self._told(self._architecture(first.places[0]))))
        taken = {*networks.features, *self.names} & {*self.own}
        if taken:
            raise RecipeError(
                f"Experiment.features: {min(taken)} is known of every network; give another name"
            )
        self.features = (*networks.features, *self.own)

    def survey(self, places: NDArray[np.int64]) -> Survey:
        """Return the survey of n networks, `places` (n, parameters) as in `Networks.survey`."""
        survey = self._networks.survey(places)
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        rows = [self._row(place) for place in survey.places]
        mine = np.array(rows, dtype=float).reshape(len(places), len(self.own))
        return replace(survey, features=np.concatenate([survey.features, mine], axis=1))

    def _row(self, places: NDArray[np.int64]) -> list[float]:
        key = places.tobytes()
        row = self._known.get(key)
        if row is None:
            architecture = self._architecture(places)
            told = self._told(architecture)
            if told.keys() != set(self.own):
                raise RecipeError(
                    f"Experiment.features: {', '.join(told) or 'nothing'} for "
                    f"{_brief(architecture)}, but {', '.join(self.own) or 'nothing'} for another; "
                    "always give the same names"
                )
            row = self._known[key] = [float(told[name]) for name in self.own]
        return row

    def _architecture(self, places: NDArray[np.int64]) -> Architecture:
        pairs = zip(self._candidates.items(), places.tolist(), strict=True)
        return self._networks.space.decode({name: values[at] for (name, values), at in pairs})

    def _told(self, architecture: Architecture) -> Mapping[str, float]:
        try:
            told = self._of(architecture)
        except Exception as error:
            raise RecipeError(
                f"Experiment.features: {type(error).__name__}: {error} for {_brief(architecture)}; "
                "correct the function"
            ) from error
        if (
            not isinstance(told, Mapping)
            or not all(isinstance(name, str) for name in told)
            or not all(map(_is_number, told.values()))
        ):
            raise RecipeError(
                f"Experiment.features: {told!r} for {_brief(architecture)}; give a dict of finite "
                "numbers by name"
            )
        return told


def _brief(architecture: Architecture) -> str:
    """Return how it begins: enough to tell it by, in a line."""
    return shorten(str(architecture), 120, placeholder=" ...")


def _is_number(value: object) -> bool:
    try:
        return math.fabs(value) < LARGEST  # type: ignore[arg-type]  # others are what is asked
    except (TypeError, ValueError, OverflowError, RuntimeError):  # some of them torch's
        return False
