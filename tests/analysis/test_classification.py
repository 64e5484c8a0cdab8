import numpy as np
import pytest
from sklearn import metrics

from nasopt.analysis.classification import (
    Judged,
    confusion_matrix,
    lead,
    over_seeds,
    scores,
    wilson,
)
from nasopt.training.metrics import METRICS


def drawn(seed, classes=4, count=200):
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=count)
    guessed = random.integers(classes, size=count)
    return labels, np.where(random.random(count) < 0.6, labels, guessed)


@pytest.mark.parametrize("seed", range(3))
def test_the_scores_are_those_of_scikit_learn(seed):
    labels, predicted = drawn(seed)
    found = scores(confusion_matrix(labels, predicted, 4))
    assert found.images == 200
    assert found.accuracy == metrics.accuracy_score(labels, predicted)
    assert found.balanced_accuracy == pytest.approx(
        metrics.balanced_accuracy_score(labels, predicted)
    )
    assert found.macro_f1 == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))
    assert found.recalls == pytest.approx(metrics.recall_score(labels, predicted, average=None))
    assert np.array_equal(found.confusion, metrics.confusion_matrix(labels, predicted))


def test_a_class_without_an_image_has_no_recall_and_counts_in_no_mean():
    found = scores(confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 3))
    assert found.recalls == (0.5, 1.0, None)
    assert found.balanced_accuracy == (0.5 + 1) / 2
    assert found.macro_f1 == pytest.approx((2 / 3 + 2 / 3) / 2)


def test_a_class_that_is_only_predicted_lowers_the_macro_f1():
    found = scores(confusion_matrix(np.array([0, 0]), np.array([0, 2]), 3))
    assert found.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_the_interval_of_wilson_is_that_of_the_literature():
    # Brown, Cai and DasGupta 2001: x = 8 of n = 10 by hand: centre (8 + z^2 / 2) / (10 + z^2)
    low, high = wilson(8, 10)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 10)[0] == 0.0


def test_the_mean_over_seeds_has_the_interval_of_student():
    found = over_seeds([0.8, 0.9, 0.85])
    half = 4.3027 * 0.05 / 3**0.5  # t with 2 degrees of freedom, deviation .05
    assert (found.mean, found.low, found.high) == pytest.approx(
        (0.85, 0.85 - half, 0.85 + half), abs=1e-4
    )


def test_the_interval_of_accuracies_stays_within_what_there_is():
    found = over_seeds([0.99, 1.0])
    assert found.high == 1.0


def test_one_seed_has_no_interval():
    found = over_seeds([0.8])
    assert (found.mean, found.low, found.high) == (0.8, None, None)


def judged(right, metric="accuracy"):
    """Trainings that got these images of a class right, and took the others for another."""
    labels = np.zeros(len(right), dtype=np.int64)
    return Judged.of(labels, (~right).astype(np.int64), 2, metric)


def test_a_lead_on_the_same_images_is_told_where_their_draw_leaves_no_doubt():
    random = np.random.default_rng(0)
    right = random.random(1000) < 0.9
    worse = right & (random.random(1000) < 0.9)
    ahead = lead([judged(right)], [judged(worse)])
    assert ahead.mean == pytest.approx(right.mean() - worse.mean())
    assert ahead.is_told
    assert ahead.low > 0
    assert not lead([judged(right)], [judged(right)]).is_told


def test_seeds_that_differ_widen_the_interval_of_a_lead():
    random = np.random.default_rng(0)
    images = 1000
    alike = [judged(random.random(images) < 0.9) for _ in range(2)]
    unlike = [judged(random.random(images) < share) for share in (0.99, 0.81)]
    theirs = [judged(random.random(images) < 0.85) for _ in range(2)]
    narrow, wide = lead(alike, theirs), lead(unlike, theirs)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


@pytest.mark.parametrize("metric", METRICS)
def test_the_interval_of_a_lead_is_that_of_images_drawn_again(metric):
    random = np.random.default_rng(0)
    images, classes = 600, 4
    labels = random.choice(classes - 1, images, p=(0.7, 0.2, 0.1))  # of the last one there is none
    sayings = [
        np.where(random.random(images) < share, labels, random.integers(classes, size=images))
        for share in (0.85, 0.6)
    ]
    found = lead(*([Judged.of(labels, each, classes, metric)] for each in sayings))
    drawn = []
    for _ in range(400):
        again = random.integers(images, size=images)
        ours, theirs = (
            scores(confusion_matrix(labels[again], each[again], classes)) for each in sayings
        )
        drawn.append(ours.by(metric) - theirs.by(metric))
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(np.std(drawn), rel=0.15)
