from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

import nasopt
from nasopt.analysis.curves import (
    AXES,
    Budget,
    curves,
    hypervolume,
    incumbents,
    last_by,
    study_rows,
)
from nasopt.analysis.record import Record
from tests.examples import empty_study, small

COMPLETE, PRUNED = TrialState.COMPLETE, TrialState.PRUNED


def planted(
    sampler: str,
    seed: int,
    trials: list[tuple[TrialState, list[float] | None, int]],
    objectives: tuple[str, ...] = ("accuracy",),
) -> Record:
    """A study of nasopt's kind with the (state, values, epochs) of its trials; free without."""
    study = empty_study(f"x/{sampler}/{seed}", objectives=objectives)
    study.set_user_attr("sampler", sampler)
    study.set_user_attr("seed", seed)
    for number, (state, values, epochs) in enumerate(trials):
        attrs = {"key": str(number), "epochs": epochs, "seconds": epochs / 2}
        if not epochs:
            attrs["free"] = True
        study.add_trial(optuna.create_trial(state=state, values=values, user_attrs=attrs))
    return Record.of(study)


CLIMBING = [(COMPLETE, [0.5], 4), (PRUNED, [0.9], 1), (COMPLETE, [0.5], 0), (COMPLETE, [0.7], 4),
            (COMPLETE, [0.6], 4)]  # fmt: skip


def test_a_row_is_an_evaluation_that_counts_with_the_best_complete_trial_so_far():
    rows = study_rows([planted("tpe", 3, CLIMBING)])["tpe"][3]
    assert [row.evaluation for row in rows] == [1, 2, 3, 4]
    assert [row.number for row in rows] == [0, 1, 3, 4]  # trial 2 is a repeat
    assert [row.state for row in rows] == ["complete", "pruned", "complete", "complete"]
    assert [row.value for row in rows] == [0.5, 0.9, 0.7, 0.6]
    assert [row.incumbent for row in rows] == [0.5, 0.5, 0.7, 0.7]
    assert [row.winner for row in rows] == [0, 0, 3, 3]
    assert [row.total_epochs for row in rows] == [4, 5, 9, 13]
    assert [row.total_seconds for row in rows] == [2, 2.5, 4.5, 6.5]
    assert {(row.study, row.sampler, row.seed) for row in rows} == {("x/tpe/3", "tpe", 3)}


def test_before_a_complete_trial_there_is_no_incumbent():
    rows = study_rows([planted("tpe", 0, [(PRUNED, [0.9], 1), (COMPLETE, [0.2], 4)])])["tpe"][0]
    assert [(row.incumbent, row.winner) for row in rows] == [(None, None), (0.2, 1)]
    assert incumbents([rows], "evaluation", [0, 1, 2]).tolist() == [[-float("inf")] * 2 + [0.2]]


def test_the_rows_of_a_real_study_agree_with_it(tmp_path):
    study = nasopt.run(small(), sampler="random", storage=tmp_path / "x.db", device="cpu")
    rows = study_rows([Record.of(study)])["random"][0]
    assert len(rows) == 6
    assert rows[-1].incumbent == study.best_value
    assert rows[-1].winner == study.best_trial.number
    assert rows[-1].total_epochs == 6 * 2
    assert rows[-1].to_json()["sampler"] == "random"


def test_what_is_finished_by_an_epoch_does_not_count_what_goes_beyond():
    rows = study_rows([planted("tpe", 0, CLIMBING)])["tpe"][0]
    found = {x: last_by(rows, "total_epochs", x) for x in (3, 4, 8, 9, 99)}
    assert found[3] is None
    assert [found[x].evaluation for x in (4, 8, 9, 99)] == [1, 2, 3, 4]


def test_a_curve_has_the_quartiles_over_seeds_where_all_have_an_incumbent():
    pruned = [(PRUNED, [0.1], 1)]
    studies = [
        planted("tpe", s, pruned * (s == 4) + [(COMPLETE, [s / 10], 2), (COMPLETE, [1.0], 2)])
        for s in range(5)
    ]
    by_axis = {curve.axis: curve for curve in curves(study_rows(studies), Budget(2))}
    assert tuple(by_axis) == AXES
    curve = by_axis["evaluation"]
    assert curve.positions == (2,)  # from where seed 4 has one, to the end of the budget
    assert (curve.lower, curve.median, curve.upper) == ((1,), (1,), (1,))
    curve = by_axis["total_epochs"]
    assert (curve.positions[0], curve.positions[-1]) == (pytest.approx(3, abs=0.05), 4)
    # at 3 epochs: 0, .1, .2, .3, .4
    assert (curve.lower[0], curve.median[0], curve.upper[0]) == pytest.approx((0.1, 0.2, 0.3))
    assert by_axis["total_seconds"].positions[-1] == 2
    assert curve.to_json()["axis"] == "total_epochs"


def test_a_sampler_without_a_complete_trial_has_empty_curves():
    for trials in ([(PRUNED, [0.1], 1)], []):
        found = curves(study_rows([planted("x", 0, trials)]), Budget(1))
        assert {curve.positions for curve in found} == {()}


@pytest.mark.parametrize(("unit", "axis"), [("evaluations", "evaluation"), ("epochs", AXES[1])])
def test_a_study_that_ended_early_keeps_its_incumbent_to_the_end_of_the_budget(unit, axis):
    studies = [planted("x", 0, CLIMBING), planted("x", 1, [(COMPLETE, [0.9], 4)])]
    found = curves(study_rows(studies), Budget(20, unit))
    by_axis = {curve.axis: curve for curve in found}
    assert by_axis[axis].positions[-1] == 20
    assert by_axis[axis].lower[-1] < by_axis[axis].upper[-1] < 0.9
    assert by_axis["total_seconds"].positions[-1] == 2


def test_where_no_seconds_are_known_there_is_no_curve_over_them():
    rows = study_rows([planted("x", 0, CLIMBING)])
    unknown = {"x": {0: [replace(row, seconds=0.0, total_seconds=0.0) for row in rows["x"][0]]}}
    assert [curve.positions for curve in curves(unknown, Budget(3))][2] == ()


def test_an_incumbent_is_what_it_is_worth_where_that_is_known():
    rows = study_rows([planted("x", 0, CLIMBING)])["x"][0]
    assert [row.worth for row in rows] == [row.incumbent for row in rows]
    known = [replace(row, true=0.3) for row in rows]
    assert incumbents([known], "evaluation", [1, 2]).tolist() == [[0.3, 0.3]]
    assert known[0].to_json()["true"] == 0.3


def test_the_hypervolume_is_the_area_counted_by_hand():
    # of [0, 1] x [0, 10]: .5 x (10 - 2) and, above it, .3 x (10 - 6); the third is dominated
    points = [(0.8, 6.0), (0.5, 2.0), (0.4, 7.0)]
    assert hypervolume(points, 10) == pytest.approx((0.5 * 8 + 0.3 * 4) / 10)
    assert hypervolume([(0.5, 0.0)], 10) == 0.5
    assert hypervolume([(0.9, 10.0)], 10) == 0
    assert hypervolume([], 0) == hypervolume([(0.5, 0.0)], 0) == 0


def test_two_objectives_are_compared_by_hypervolume_up_to_the_dearest_network_of_all():
    two = ("accuracy", "macs")
    studies = [
        planted("random", 0, [(COMPLETE, [0.5, 4.0], 2), (COMPLETE, [0.5, 8.0], 2)], two),
        planted("tpe", 0, [(PRUNED, None, 2), (COMPLETE, [0.6, 2.0], 2)], two),
    ]
    rows = study_rows(studies)
    assert [row.incumbent for row in rows["random"][0]] == [0.5 * 4 / 8] * 2
    assert [row.incumbent for row in rows["tpe"][0]] == [None, pytest.approx(0.6 * 6 / 8)]
    assert [row.cost for row in rows["tpe"][0]] == [None, 2.0]
    assert {row.winner for row in rows["random"][0]} == {None}
