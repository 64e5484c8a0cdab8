from dataclasses import replace

import pytest

from nasopt.analysis.curves import study_rows
from nasopt.analysis.incumbents import IncumbentCurves, course
from nasopt.analysis.record import Record
from tests.analysis.test_curves import COMPLETE, PRUNED, planted

TRIALS = 4


def study(sampler: str, seed: int, values: list[float], **fields: object) -> Record:
    """With a trial of two epochs for each of `values`, of the `TRIALS` that it may have."""
    record = planted(sampler, seed, [(COMPLETE, [value], 2) for value in values])
    return replace(record, **{"trials_budget": TRIALS, **fields})


def found(*studies: Record) -> IncumbentCurves:
    return course(studies, study_rows(studies))


def test_a_study_that_is_under_way_does_not_cut_off_those_that_are_done():
    done = study("random", 0, [0.1, 0.2, 0.3, 0.4])
    for values in ([], [0.9, 0.9]):
        got = found(done, study("random", 1, values))
        (curve,) = got.ends
        assert curve.positions == (1, 2, 3, 4)
        assert curve.median == (0.1, 0.2, 0.3, 0.4)
        assert got.left_out == ("x/random/1",)
        assert (got.under_way, got.seeds) == (frozenset(), 1)


def test_a_sampler_without_a_study_that_is_done_is_followed_so_far():
    got = found(
        study("random", 0, [0.1] * TRIALS),
        study("tpe", 0, [0.5, 0.6]),
        study("tpe", 1, [0.7, 0.8, 0.9]),
        study("tpe", 2, []),
    )
    tpe, random = got.ends
    assert (tpe.sampler, random.sampler) == ("tpe", "random")
    assert tpe.positions == (1, 2)
    assert random.positions == (1, 2, 3, 4)
    assert got.under_way == {"tpe"}
    assert got.left_out == ("x/tpe/2",)


def test_a_study_that_has_nothing_left_to_try_keeps_its_best_to_the_end_of_the_others():
    got = found(
        study("local", 0, [0.1], ended="the sampler has nothing left to try"),
        study("local", 1, [0.3, 0.3, 0.3]),
        study("local", 2, [0.3, 0.3, 0.5, 0.5]),
    )
    (curve,) = got.ends
    assert curve.positions == (1, 2, 3, 4)
    assert curve.median[-1] == pytest.approx(0.3)
    assert got.exhausted == {"local"}
    assert got.left_out == ("x/local/1",)


def test_within_a_budget_of_epochs_the_ends_are_those_of_epochs():
    budget = {"trials_budget": None, "epochs_budget": 8}
    got = found(study("random", 0, [0.1, 0.2, 0.3, 0.4], **budget))
    assert got.axis == "total_epochs"
    (curve,) = got.ends
    assert curve.positions[-1] == 8
    assert not found(study("random", 0, [0.1], **budget)).left_out
    assert found(study("random", 0, [0.1], **budget)).under_way == {"random"}


def test_without_a_network_trained_to_its_end_there_is_no_curve():
    pruned = planted("x", 0, [(PRUNED, [0.1], 1)] * TRIALS)
    got = found(replace(pruned, trials_budget=TRIALS))
    assert got.ends == []
    assert got.left_out == ("x/x/0",)
