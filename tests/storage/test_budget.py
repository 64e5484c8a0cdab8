import optuna
from optuna.trial import FrozenTrial, TrialState

import nasopt
from nasopt import Conv, Space, categorical
from nasopt.storage.budget import Spent, spent
from tests.examples import small


def trial(**attrs: object) -> FrozenTrial:
    return optuna.create_trial(state=TrialState.PRUNED, user_attrs=attrs)


def test_a_trial_costs_its_epochs_and_seconds():
    assert spent([trial(key="a", epochs=3, seconds=1.5)]) == [Spent(3, 1.5)]


def test_a_trial_that_goes_on_with_an_earlier_one_costs_what_it_adds():
    trials = [trial(key="a", epochs=1, seconds=0.5), trial(key="b", epochs=1, seconds=0.5),
              trial(key="a", epochs=9, seconds=4.5)]  # fmt: skip
    assert spent(trials) == [Spent(1, 0.5), Spent(1, 0.5), Spent(8, 4.0)]


def test_what_is_free_costs_nothing_whichever_came_first():
    """Of two workers the one with the lower number may be told what the other found."""
    trials = [
        trial(key="a", epochs=4, seconds=2.0, free=True),
        trial(infeasible="x", free=True),
        trial(key="a", epochs=4, seconds=2.0),
        trial(reason="out of memory", key="b"),
    ]
    assert spent(trials) == [Spent(), Spent(), Spent(4, 2.0), Spent()]


def test_a_network_known_from_another_study_costs_as_if_trained(tmp_path):
    experiment = small(space=Space(Conv(filters=categorical(2, 4, 8))), trials=3)
    costs = []
    for sampler in ("random", "tpe"):
        study = nasopt.run(experiment, sampler=sampler, storage=tmp_path / "x.db", device="cpu")
        costs.append(sum(each.epochs for each in spent(study.trials)))
        assert sum(each.seconds for each in spent(study.trials)) > 0
    assert costs == [3 * 2, 3 * 2]  # networks x epochs
