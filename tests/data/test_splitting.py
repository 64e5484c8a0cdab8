"""Splits drawn from labels alone."""

import numpy as np
import pytest

from nasopt.data.splitting import Missing, draw_splits, stratified

LABELS = np.arange(60) % 3


def drawn(labels=LABELS, validation=None, test=True, limit=None, seed=0, least=0):
    return draw_splits(
        labels, int(labels.max()) + 1,
        validation=validation, test=test, limit=limit, seed=seed, least=least,
    )  # fmt: skip


def test_each_place_is_in_one_split():
    plan = drawn()
    assert [len(places) for places in plan] == [36, 12, 12]
    assert sorted(np.concatenate(plan)) == list(range(60))


def test_a_split_that_is_there_is_not_drawn():
    train, validation, test = drawn(validation=LABELS[:9], test=False)
    assert train.tolist() == list(range(60))
    assert validation.tolist() == list(range(9))
    assert not len(test)


def test_a_limit_is_shared_out_by_the_sizes_of_both_splits():
    for limit in (33, 40, 68, 69):
        train, validation, _ = drawn(validation=LABELS[:9], test=False, limit=limit)
        assert len(train) + len(validation) == limit


def test_a_class_without_an_image_is_told_with_how_many_it_has():
    with pytest.raises(Missing) as missing:
        drawn(np.array([0] * 40 + [1] * 2))
    assert (missing.value.label, missing.value.images, missing.value.split) == (1, 2, "validation")
    plan = drawn(np.array([0] * 40 + [1] * 3), least=1)
    assert [(places >= 40).sum() for places in plan] == [1, 1, 1]


def test_at_least_so_many_of_each_class_are_taken():
    first, second = stratified(np.arange(60), LABELS, 0.01, np.random.default_rng(0), least=2)
    assert np.bincount(LABELS[first]).tolist() == [2, 2, 2]
    assert len(first) + len(second) == 60
