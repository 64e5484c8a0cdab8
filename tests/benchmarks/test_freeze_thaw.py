"""Epochs are counted once each, and what early values tell is used where they tell all."""

import numpy as np
import pytest

from tests.benchmarks.freeze_thaw import RANDOM, TRAININGS, Way, search, table, ways
from tests.benchmarks.pruning import Networks

EPOCHS = 6
COUNT = 60
DICE = np.random.default_rng(0)
FINALS = DICE.uniform(size=COUNT)


def networks(early: np.ndarray) -> Networks:
    scores = np.concatenate([np.tile(early[:, None], EPOCHS - 1), FINALS[:, None]], axis=1)
    return Networks(scores, np.ones(COUNT), DICE.normal(size=(COUNT, 2)), np.arange(2))


TELLING, MUTE = networks(FINALS / 2), networks(np.zeros(COUNT))


@pytest.mark.parametrize("way", ways(EPOCHS), ids=lambda way: way.name)
def test_no_more_epochs_are_spent_than_all_networks_have(way):
    curve = list(search(TELLING, way, 0, 10**9))
    spent, best = map(np.array, zip(*curve, strict=True))
    assert (np.diff(spent) > 0).all()
    assert (np.diff(best) >= 0).all()
    assert best[-1] == FINALS.max()
    assert spent[-1] <= COUNT * EPOCHS
    if way.stops is None:
        assert spent[-1] == COUNT * EPOCHS
    else:
        assert spent[-1] < COUNT * EPOCHS


def test_it_ends_with_its_budget():
    budget = 15 * EPOCHS
    spent = [epochs for epochs, _ in search(TELLING, ways(EPOCHS)[0], 0, budget)]
    assert spent[RANDOM - 1] == RANDOM * EPOCHS
    assert spent[-1] == budget


def epochs_to_the_best(of: Networks, way: Way) -> float:
    needed = []
    for seed in range(8):
        curve = search(of, way, seed, 10**9)
        needed.append(next(spent for spent, best in curve if best == FINALS.max()))
    return float(np.mean(needed))


def test_paused_networks_pay_where_early_values_tell_all_and_only_there():
    whole, freeze_thaw = ways(EPOCHS)[0], ways(EPOCHS)[2]
    assert epochs_to_the_best(TELLING, freeze_thaw) < 0.7 * epochs_to_the_best(TELLING, whole)
    assert epochs_to_the_best(MUTE, freeze_thaw) > 0.9 * epochs_to_the_best(MUTE, whole)


def test_the_table_has_a_row_for_each_way_and_a_cell_for_each_budget():
    head, _, *rows = table(TELLING, 2)
    assert f"{COUNT} networks, {EPOCHS} epochs" in head
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [
        way.name for way in ways(EPOCHS)
    ]
    assert all(row.count("+-") == len(TRAININGS) for row in rows)
