from dataclasses import replace

import pytest

from nasopt.analysis.curves import Curve, study_rows
from nasopt.analysis.examples import Examples
from nasopt.analysis.importance import Importances
from nasopt.analysis.incumbents import course
from nasopt.analysis.learning import Savings
from nasopt.analysis.outcome import Outcome
from nasopt.reporting import captions
from nasopt.reporting.names import data_name
from tests.analysis.test_incumbents import study


def network(number: int, accuracy: float, macs: int) -> Outcome:
    return Outcome("x", number, "complete", {}, {}, accuracy, (), None, macs, {})


def told(*studies, two_objectives: bool = False) -> str:
    return captions.about_curves(course(studies, study_rows(studies)), two_objectives)


def test_a_single_network_is_not_set_against_itself():
    one = network(0, 0.5, 10)
    assert captions.about_examples(Examples(1, one, one, one)) == (
        "A single network was trained to the end. It has 0.5000."
    )
    assert captions.about_examples(Examples(2, one, one, network(1, 0.25, 20))) == (
        "Of 2 networks trained to the end, the best has 0.5000, the other 0.2500."
    )
    three = captions.about_examples(Examples(3, one, network(2, 0.4, 10), network(1, 0.25, 20)))
    assert three.endswith("The best takes about as many multiplications as the middle one.")


def test_only_a_search_that_ended_with_a_course_is_said_to_get_better_at_its_end():
    climbing = study("tpe", 0, [0.1, 0.2, 0.3, 0.4])
    better = "The search by tpe was still getting better at its end"
    assert better in told(climbing)
    assert better not in told(replace(climbing, trials_budget=9))
    assert better not in told(replace(climbing, ended="all known"))
    one = study("tpe", 0, [0.1], trials_budget=1)
    assert told(one) == "At the end the best network found by tpe has 0.1000."
    flat = study("tpe", 0, [0.4, 0.4, 0.4, 0.4])
    assert told(flat).endswith("was within half a point of its end after 1 network.")


def test_what_is_under_way_is_told_apart():
    text = told(
        study("random", 0, [0.1, 0.1, 0.1, 0.1]), study("random", 1, []), study("tpe", 0, [0.3])
    )
    assert "At the end the best network found by random has 0.1000." in text
    assert "So far the best network found by tpe has 0.3000." in text
    assert "was trained to its end: x/random/1." in text


def test_what_a_front_dominates_is_no_accuracy_of_a_network():
    text = told(study("random", 0, [0.1, 0.2, 0.2, 0.2]), two_objectives=True)
    assert "At the end the front found by random dominates 0.2000." in text
    assert "the best network" not in text
    assert "point" not in text


@pytest.mark.parametrize(
    ("saved", "sentence"),
    [
        (Savings(12, 3, 0, 27, 36), "3 of 12 trainings lagged behind and were stopped early"),
        (Savings(12, 0, 6, 27, 27), "6 of 12 trainings went wrong and ended early"),
    ],
)
def test_only_what_lagged_behind_was_saved_by_pruning(saved, sentence):
    text = captions.about_learning(saved)
    assert sentence in text
    assert ("That saved 9 of 36 epochs, 25%." in text) == bool(saved.pruned)
    assert ("went wrong" in text) == bool(saved.broken)


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("conv03.filters", "layer 3"),
        ("edge_1", "edge 1"),
        ("dense02.width", "fully connected layer 2"),
        ("conv.depth", "the number of layers"),
        ("recipe.lr", "how the networks are trained"),
    ],
)
def test_the_most_important_place_is_called_as_a_person_would(parameter, words):
    text = captions.about_importances(Importances(30, {parameter: 0.75, "conv01.stride": 0.25}))
    assert f"The most influential of all is {words} (75%)." in text


def test_a_curve_of_a_budget_of_epochs_is_told_in_epochs():
    curve = Curve("tpe", "total_epochs", (2.0, 4.0, 6.0), (0.1,) * 3, (0.1, 0.4, 0.4), (0.4,) * 3)
    found = course([study("tpe", 0, [0.1])], study_rows([study("tpe", 0, [0.1])]))
    found = replace(found, curves=(curve,), axis="total_epochs", under_way=frozenset())
    assert captions.about_curves(found, False).endswith("half a point of its end after 4 epochs.")


def test_pictures_of_one_s_own_have_no_name_of_a_data_set():
    one = study("tpe", 0, [0.1])
    own = replace(one, experiment=replace(one.experiment, dataset="image_folder 8e2a limit=None"))
    assert captions.images_of(own) == "a folder of pictures"


@pytest.mark.parametrize(
    ("fingerprint", "told"),
    [
        ("image_folder 8e2a limit=None split=0",
         "a folder of pictures, all of them, split by seed 0; the digest of their content is 8e2a"),
        ("tensors 8e2a limit=90 split=3",
         "images of one's own, 90 of them, split by seed 3; the digest of their content is 8e2a"),
        ("digits limit=200 split=0", "digits limit=200 split=0"),
    ],
)  # fmt: skip
def test_what_images_a_study_had_is_told_in_words(fingerprint, told):
    assert data_name(fingerprint) == told
