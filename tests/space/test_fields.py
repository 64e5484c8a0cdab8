import json
import math

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.samplers import RandomSampler

from nasopt.errors import SpaceError
from nasopt.space.fields import Real, categorical, field_from_json, field_to_json, integer, real

CHOICES = st.lists(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    min_size=1,
    unique=True,
).map(lambda choices: categorical(*choices))  # fmt: skip
INTEGERS = st.builds(
    lambda low, more, step: integer(low, low + more, step),
    st.integers(-100, 100),
    st.integers(0, 100),
    st.integers(1, 9),
)
REALS = st.builds(
    lambda ends, log: real(*sorted(ends), log=log),
    st.tuples(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9)),
    st.booleans(),
)


@given(st.one_of(CHOICES, INTEGERS, REALS, st.integers(), st.text()))
def test_a_field_comes_back_from_json_as_it_was(field):
    back = field_from_json(json.loads(json.dumps(field_to_json(field))))
    assert back == field
    assert repr(back) == repr(field)  # as 1 == True == 1.0


@given(st.one_of(CHOICES, INTEGERS, REALS))
def test_a_trial_suggests_a_value_of_the_field(field):
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    value = field.suggest(study.ask(), "x")
    assert value in field
    assert isinstance(field, Real) or value in field.candidates
    assert study.trials[0].params == {"x": value}


def test_a_range_of_real_numbers_has_no_end_of_them_or_one():
    assert real(0, 0.1).size == math.inf
    assert real(0.1, 0.1).size == 1


@given(INTEGERS)
def test_an_integer_counts_from_low_by_its_step_up_to_high(field):
    assert list(field.candidates) == list(range(field.low, field.high + 1, field.step))
    assert field.candidates[-1] == field.high
    assert field.size == (field.high - field.low) // field.step + 1


@given(INTEGERS)
def test_the_witnesses_of_an_integer_show_its_ends_and_every_parity(field):
    assert {min(field.candidates), max(field.candidates)} <= set(field.boundary_values)
    assert set(field.boundary_values) <= set(field.candidates)
    assert {n % 2 for n in field.boundary_values} == {n % 2 for n in field.candidates}


def test_the_last_step_below_high_is_the_highest_candidate():
    assert integer(1, 10, 4) == integer(1, 9, 4)
    assert list(integer(1, 10, 4).candidates) == [1, 5, 9]


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (categorical(24, 36), "categorical(24, 36)"),
        (categorical("max", True), "categorical('max', True)"),
        (integer(1, 5), "integer(1, 5)"),
        (integer(1, 5, 2), "integer(1, 5, step=2)"),
        (real(0, 1), "real(0.0, 1.0)"),
        (real(0.1, 1, log=True), "real(0.1, 1.0, log=True)"),
    ],
)
def test_a_field_shows_as_it_is_written(field, text):
    assert repr(field) == text
    assert eval(text) == field


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: categorical(), "categorical(): no choices; give at least one"),
        (lambda: categorical(8, 16, 8), "categorical(): 8 stands there twice; leave one out"),
        (lambda: categorical("a", "a"), "categorical(): 'a' stands there twice; leave one out"),
        (
            lambda: categorical([8, 16]),
            "categorical(): choice [8, 16] is a list; "
            "give numbers, strings or booleans, one argument each",
        ),
        (
            lambda: categorical(8, None),
            "categorical(): choice None is a NoneType; "
            "give numbers, strings or booleans, one argument each",
        ),
        (
            lambda: categorical(0.1, math.nan),
            "categorical(): choice nan is not finite; leave it out",
        ),
        (lambda: integer(9, 1), "integer(): low=9 is above high=1; swap them"),
        (lambda: integer(1, 9, 0), "integer(): step=0: use 1 or more"),
        (lambda: integer(1.0, 9), "integer(): low=1.0 is no whole number; use int(1.0)"),
        (lambda: integer(1, 9.5), "integer(): high=9.5 is no whole number; use int(9.5)"),
        (lambda: integer(False, 9), "integer(): low=False is no whole number; use int(False)"),
        (lambda: real(2, 1), "real(): low=2 is above high=1; swap them"),
        (lambda: real("1", 2), "real(): low='1' is no number; give one"),
        (lambda: real(1, True), "real(): high=True is no number; give one"),
        (lambda: real(1, math.inf), "real(): high=inf is not finite; give a number"),
        (lambda: real(math.nan, 1), "real(): low=nan is not finite; give a number"),
        (
            lambda: real(0, 1, log=True),
            "real(): low=0 has no logarithm; use a positive one or log=False",
        ),
    ],
)
def test_a_field_that_cannot_be_says_why(write, message):
    with pytest.raises(SpaceError) as raised:
        write()
    assert str(raised.value) == message


@pytest.mark.parametrize(("first", "second"), [(1, True), (0, False), (1, 1.0), (True, 1)])
def test_values_that_are_equal_are_one_choice(first, second):
    """They are to Optuna's storage too, whatever their type: one of them would come back."""
    with pytest.raises(SpaceError) as raised:
        categorical(first, "other", second)
    assert f"{second!r} " in str(raised.value)
    assert str(raised.value).endswith("; leave one out")
