"""Samplers whose only state is the study, in searches of networks."""

import pytest

import nasopt
from nasopt import Conv, Recipe, Space, categorical, parameters, repeat
from nasopt.errors import StudyError
from nasopt.samplers import SurrogateSampler
from nasopt.search.search import Search
from tests.examples import small

NAMES = ["surrogate", SurrogateSampler(cost_aware=True), "evolution", "local"]


@pytest.mark.parametrize("name", NAMES)
def test_all_inactive_but_one(name, tmp_path):
    """On a 1x1 map strides do nothing, and of 1 to 4 layers most are left out."""
    space = Space(Conv(filters=categorical(2, 4, 8), stride=categorical(1, 2, 4)), min_resolution=8)
    search = Search(
        small(space=space, trials=9), sampler=name, storage=tmp_path / "x.db", device="cpu"
    )
    *_, last = search
    assert last.done == 3
    assert search.ended in (
        "the sampler has nothing left to try",
        "all 3 networks of the space are known",
    )


@pytest.mark.parametrize("name", NAMES)
def test_networks_within_the_limits_are_all_found_and_no_other_is_proposed(name, tmp_path):
    space = Space(repeat(Conv(filters=categorical(2, 4, 8)), 1, 2))
    experiment = small(space=space, trials=99, limits=(parameters <= 250,))
    within = {
        (c1, c2)
        for c1 in (2, 4, 8)
        for c2 in (0, 2, 4, 8)
        if 9 * c1 + 2 * c1 + 9 * c1 * c2 + 2 * c2 + ((c2 or c1) + 1) * 10 <= 250
    }
    search = Search(experiment, sampler=name, storage=tmp_path / "x.db", device="cpu")
    *_, last = search
    assert last.done == len(within) == 7
    assert search.ended == "the sampler has nothing left to try"
    assert not any("infeasible" in trial.user_attrs for trial in search.study.trials)


@pytest.mark.parametrize("name", ["evolution", "local", SurrogateSampler(cost_aware=True)])
def test_two_objectives_are_refused_where_a_sampler_seeks_one(name, tmp_path):
    with pytest.raises(StudyError, match="objective"):
        nasopt.run(small(objectives=("accuracy", "macs")), sampler=name, storage=tmp_path / "x.db")
    assert not (tmp_path / "x.db").exists()


@pytest.mark.parametrize("sampler", ["surrogate", "evolution", "local"])
def test_networks_within_limits_that_no_random_one_meets_are_found(tmp_path, sampler):
    filters = categorical(*range(2, 34, 2))
    experiment = small(
        space=Space(repeat(Conv(filters=filters, kernel_size=categorical(1, 3, 5)), 8)),
        recipe=Recipe(epochs=1, batch_size=64),
        limits=parameters <= 106,  # that meet 8 of 48**8
        trials=12,
    )
    study = nasopt.run(experiment, sampler=sampler, storage=tmp_path / "x.db", device="cpu")
    keys = {trial.user_attrs["key"] for trial in study.trials}
    assert len(keys) == 8
    assert all(trial.user_attrs["parameters"] <= 106 for trial in study.trials)
