"""Metrics against scikit-learn's, and the stored form of a confusion matrix."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score

from nasopt.training.metrics import METRICS, Confusion, packed, unpacked
from tests.training.small import VALIDATION, trainer

ANSWERS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


def confusion_of(answers: list[tuple[int, int]]) -> Confusion:
    labels, taken = zip(*answers, strict=True)
    return tuple(map(tuple, confusion_matrix(labels, taken, labels=range(4)).tolist()))


@given(ANSWERS)
def test_metrics_are_those_of_scikit_learn(answers):
    labels, taken = zip(*answers, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes without images, which both leave out
        theirs = {
            "accuracy": accuracy_score(labels, taken),
            "balanced_accuracy": balanced_accuracy_score(labels, taken),
            "macro_f1": f1_score(labels, taken, average="macro", zero_division=0),
        }
    ours = {name: metric(confusion_of(answers)) for name, metric in METRICS.items()}
    assert ours == pytest.approx(theirs)


@given(ANSWERS)
def test_a_matrix_comes_back_from_its_stored_form(answers):
    confusion = confusion_of(answers)
    assert unpacked(packed(confusion)) == confusion


def test_a_matrix_of_many_classes_takes_little_room():
    confusion = tuple(tuple(50 * (i == j) + (j == i // 2) for j in range(200)) for i in range(200))
    assert len(packed(confusion)) < 4_000
    assert unpacked(packed(confusion)) == confusion


@pytest.mark.parametrize(
    "content",
    [b"", b"no", packed(((1, 2, 3),)), packed(((0, 0), (0, 0))), packed(((1, 2), (3, 4)))[:9]],
)
def test_bytes_that_are_no_matrix_are_none(content):
    assert unpacked(content) is None


def test_an_epoch_counts_the_validation_images_by_their_class_and_the_one_taken():
    result = next(trainer().epochs())
    assert result.confusion is not None
    counts = np.array(result.confusion)
    assert counts.sum(axis=1).tolist() == VALIDATION.labels.bincount(minlength=10).tolist()
    assert result.score("accuracy") == result.accuracy == counts.trace() / counts.sum()
    assert result.score("macro_f1") == METRICS["macro_f1"](result.confusion)
