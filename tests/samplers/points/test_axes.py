"""`Axes`: parameters as coordinates, and back."""

import math

import numpy as np
import pytest
from numpy.random import RandomState
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from nasopt.samplers.points.axes import FEW, Axes

DISTRIBUTIONS = {
    "numbers": CategoricalDistribution((3, 7, 5)),
    "words": CategoricalDistribution(("a", "b", "c", "d")),
    "mixed": CategoricalDistribution((None, True, 7, "7", 2.5)),
    "one": CategoricalDistribution(("only",)),
    "int": IntDistribution(2, 8, step=3),
    "int-log": IntDistribution(1, 1_000, log=True),
    "int-one": IntDistribution(4, 4),
    "wide": IntDistribution(-500, 500),
    "float": FloatDistribution(-2, 6),
    "float-step": FloatDistribution(0, 1, step=0.25),
    "float-log": FloatDistribution(1e-4, 10, log=True),
    "float-one": FloatDistribution(0.5, 0.5),
    "float-log-one": FloatDistribution(0.1, 0.1, log=True),
}
NAMES = list(DISTRIBUTIONS)
RNG = 0


def axes(*names: str) -> Axes:
    return Axes({name: DISTRIBUTIONS[name] for name in names or NAMES})


@pytest.mark.parametrize("name", NAMES)
def test_a_value_comes_back_from_its_coordinate(name):
    distribution = DISTRIBUTIONS[name]
    points = axes(name).draw(300, RandomState(RNG))
    values = [axes(name).decode(point)[name] for point in points]
    assert all(distribution._contains(distribution.to_internal_repr(value)) for value in values)
    again = axes(name).encode([{name: value} for value in values])
    if isinstance(distribution, FloatDistribution) and distribution.step is None:
        assert again == pytest.approx(points)
    else:
        assert (again == points).all()
        every = axes(name).count
        assert len({repr(value) for value in values}) == min(every, len(set(map(repr, values))))
        assert every > 100 or len({repr(value) for value in values}) == every


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("numbers", 4), ("mixed", False), ("mixed", "1"), ("int", -1), ("int-log", 0),
        ("float-log", -2.0), ("int", "5"), ("float", True),
    ],
)  # fmt: skip
def test_what_is_on_no_axis_is_told_from_what_is_not_there(name, value):
    points = axes(name).encode([{name: value}, {}])
    assert np.isinf(points[0])
    assert np.isnan(points[1])
    assert axes(name).has(points).tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("int", 11), ("int", 1), ("int", 4), ("float", 7.0), ("float", -2.5), ("wide", 501),
        ("float-step", 0.3), ("float-log", 20.0), ("float-one", 0.75), ("int-one", 5),
        ("int-log", 2_000),
    ],
)  # fmt: skip
def test_a_number_of_another_range_has_a_place_and_is_none_of_this_one(name, value):
    points = axes(name).encode([{name: value}])
    assert axes(name).has(points).tolist() == [False]
    assert axes(name).decode(points[0])[name] == pytest.approx(value)
    assert np.isfinite(axes(name).columns(points, np.ones_like(points, dtype=bool))).all()


@pytest.mark.parametrize(
    ("low", "high", "step"), [(1000, 1000.05, 0.01), (0, 100, 0.01), (1000, 2000, 0.1)]
)
def test_every_value_of_a_grid_of_floats_is_on_it(low, high, step):
    one = Axes({"x": FloatDistribution(low, high, step=step)})
    points = one.everything()
    assert (one.encode([one.decode(point) for point in points]) == points).all()


def test_numbers_of_numpy_are_numbers():
    given = [{"int": np.int64(5), "float": np.float64(0.5), "numbers": np.int64(7)}]
    assert one_of(given, "int", "float", "numbers") == {"int": 5, "float": 0.5, "numbers": 7}


def one_of(given, *names):
    return axes(*names).decode(axes(*names).encode(given)[0])


@pytest.mark.parametrize(
    ("choices", "different"),
    [
        (("a", "a", "b"), ["a", "b"]),
        ((None, 0, False), [None, 0]),
        ((True, "1", 1, 1.0, 2), [True, "1", 2]),
        ((1, 2.0, 2), [1, 2.0]),
    ],
)
def test_choices_that_are_equal_to_optuna_are_the_first_of_them(choices, different):
    one = Axes({"x": CategoricalDistribution(choices)})
    assert one.count == len(different)
    assert [repr(one.decode(point)["x"]) for point in one.everything()] == [*map(repr, different)]
    places = one.encode([{"x": choice} for choice in choices])[:, 0]
    assert [different[int(place)] for place in places] == [*choices]


def test_a_value_that_equals_a_choice_is_that_choice():
    given = [{"numbers": value} for value in (7.0, np.int64(7), np.float32(7))]
    assert axes("numbers").encode(given).tolist() == [[1], [1], [1]]


def test_choices_without_an_end_are_words_to_a_model():
    one = Axes({"clip": CategoricalDistribution((1.0, 5.0, math.inf))})
    columns = one.columns(one.everything(), np.ones((3, 1), dtype=bool))
    assert columns.shape == (3, 3)
    assert np.isfinite(columns).all()


def test_all_points_of_more_parameters_than_numpy_has_dimensions():
    many = Axes(
        {f"c{n}": CategoricalDistribution(("one",)) for n in range(70)}
        | {"a": IntDistribution(0, 2), "b": IntDistribution(0, 1)}
    )
    assert many.everything()[:, -2:].tolist() == [[a, b] for a in range(3) for b in range(2)]


def test_axes_are_drawn_together_as_they_would_be_one_by_one():
    one_by_one = RandomState(RNG)
    columns = [axes(name).draw(50, one_by_one)[:, 0] for name in NAMES]
    assert np.array_equal(axes().draw(50, RandomState(RNG)), np.stack(columns, axis=1))


def test_all_that_is_drawn_is_among_the_values():
    points = axes().draw(500, RandomState(RNG))
    assert axes().has(points).all()
    assert (
        axes().has(axes().redrawn(points, np.ones_like(points, dtype=bool), RandomState(1))).all()
    )


def test_logarithmic_ranges_are_drawn_on_their_scale():
    points = axes("int-log", "float-log").draw(2_000, RandomState(RNG))
    decoded = [axes("int-log", "float-log").decode(point) for point in points]
    assert np.median([each["int-log"] for each in decoded]) == pytest.approx(
        (0.5 * 1_000.5) ** 0.5, rel=0.2
    )
    assert np.median([each["float-log"] for each in decoded]) == pytest.approx(0.0316, rel=0.3)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("one")])
def test_two_values_at_random_are_equally_far_apart_whatever_the_kind(name):
    points = axes(name).draw(4_000, RandomState(RNG))
    columns = axes(name).columns(points, np.ones(points.shape, dtype=bool))
    squares = ((columns[:2_000] - columns[2_000:]) ** 2).sum(axis=1)
    assert squares.mean() == pytest.approx(2, rel=0.1)


def test_numbers_have_one_column_on_a_logarithmic_scale_and_words_one_each():
    assert axes().groups.tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 2, 2, *range(3, 13)]
    points = axes("numbers").encode([{"numbers": value} for value in (3, 7, 5)])
    logs = np.log([3, 7, 5])
    expected = (logs - logs.mean()) / logs.std()
    assert axes("numbers").columns(points, points >= 0)[:, 0] == pytest.approx(expected)


def test_columns_are_zero_where_a_parameter_is_not_active():
    points = axes().draw(5, RandomState(RNG))
    active = np.ones(points.shape, dtype=bool)
    active[2] = False
    points[2, 4] = math.nan
    columns = axes().columns(points, active)
    assert (columns[2] == 0).all()
    assert not (columns[[0, 1, 3, 4]] == 0).all(axis=1).any()


def test_all_points_of_a_finite_space():
    points = axes("numbers", "int", "one").everything()
    assert len({tuple(point) for point in points}) == len(points) == 9
    assert axes("numbers", "int", "one").count == 9
    assert axes("numbers", "float").count == math.inf


def test_neighbours_differ_in_one_active_parameter():
    few = axes("numbers", "words", "int", "one")
    point = few.draw(1, RandomState(RNG))[0]
    near = few.neighbours(point, np.array([True, False, True, True]), 1_000, RandomState(RNG))
    assert sorted(np.flatnonzero(each != point).tolist() for each in near) == [[0]] * 2 + [[2]] * 2
    assert len({tuple(each) for each in near}) == 4


def test_no_more_neighbours_than_asked_for():
    point = axes("words", "wide").draw(1, RandomState(RNG))[0]
    near = axes("words", "wide").neighbours(point, np.ones(2, dtype=bool), 7, RandomState(RNG))
    assert near.shape == (7, 2)
    assert ((near != point).sum(axis=1) <= 1).all()


@pytest.mark.parametrize("name", ["wide", "int-log", "float", "float-log"])
def test_neighbours_in_a_wide_range_are_near_and_far(name):
    one = axes(name)
    point = one.encode([one.decode(one.draw(1, RandomState(3))[0])])[0]
    near = one.neighbours(point, np.ones(1, dtype=bool), 1_000, RandomState(RNG))
    assert near.shape == (FEW, 1)
    span = max(one.count - 1, 1) if one.count < math.inf else 1
    steps = np.abs(near[:, 0] - point) / span
    assert ((near[:, 0] >= 0) & (near[:, 0] <= span)).all()
    assert steps.min() < 0.1
    assert steps.max() > 0.2


def test_a_redrawn_parameter_is_another_draw_and_the_others_stay():
    points = axes().draw(200, RandomState(RNG))
    chosen = np.zeros(points.shape, dtype=bool)
    chosen[:, NAMES.index("words")] = chosen[:100, NAMES.index("wide")] = True
    changed = axes().redrawn(points, chosen, RandomState(1)) != points
    assert not changed[~chosen].any()
    assert changed[:, NAMES.index("words")].mean() == pytest.approx(3 / 4, abs=0.1)
    assert changed[:100, NAMES.index("wide")].mean() > 0.95


def test_no_parameters_are_no_columns():
    none = Axes({})
    assert none.draw(3, RandomState(RNG)).shape == none.encode([{}] * 3).shape == (3, 0)
    assert none.columns(np.zeros((3, 0)), np.zeros((3, 0), dtype=bool)).shape == (3, 0)


@pytest.mark.parametrize(
    "distribution",
    [
        FloatDistribution(1e-3, 1, log=True),
        FloatDistribution(1e-5, 0.1, log=True),
        FloatDistribution(-3, 7),
    ],
)
def test_a_number_that_was_passed_on_is_the_same_point(distribution):
    axes = Axes({"x": distribution})
    points = axes.encode([axes.decode(point) for point in axes.draw(500, RandomState(0))])
    again = axes.encode([axes.decode(point) for point in points])
    assert again.tobytes() == points.tobytes()
