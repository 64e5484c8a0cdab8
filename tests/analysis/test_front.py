import math

import nasopt
from nasopt.analysis.front import COSTS, TradeOff, front, trade_off, usual_range
from nasopt.analysis.record import Record
from tests.examples import small


def test_the_front_is_what_no_other_beats_from_cheap_to_accurate():
    points = [(0.5, 10), (0.4, 20), (0.9, 40), (0.9, 30), (0.5, 10), (0.2, 5)]
    assert front(points, lambda point: point) == [(0.2, 5), (0.5, 10), (0.9, 30)]
    assert front([], lambda point: point) == []


def test_every_complete_network_is_a_point_with_its_cost(tmp_path):
    study = nasopt.run(small(trials=8), storage=tmp_path / "x.db", device="cpu")
    trained = {
        trial.number: trial
        for trial in study.trials
        if trial.state.name == "COMPLETE" and "free" not in trial.user_attrs
    }
    for cost in COSTS:
        found = trade_off([Record.of(study)], cost)
        assert {p.number: p.accuracy for p in found.points} == {
            number: trial.value for number, trial in trained.items()
        }
        assert all(p.cost == trained[p.number].user_attrs[cost] for p in found.points)
        assert found.front[-1].accuracy == study.best_value


def test_where_the_cost_is_not_known_there_are_no_points(tmp_path):
    study = nasopt.run(small(trials=2), storage=tmp_path / "x.db", device="cpu")
    assert trade_off([Record.of(study)], "joules") == TradeOff("joules", (), ())


def test_a_few_very_poor_networks_do_not_press_the_others_together():
    low, high = usual_range([0.1, *[0.9 + place / 1000 for place in range(20)]])
    assert 0.89 < low < 0.9
    assert math.isclose(high, 0.919 + (0.919 - 0.9) * 0.05)
    assert usual_range([0.5, 0.5]) is None
    assert usual_range([]) is None
