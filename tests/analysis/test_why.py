import optuna
import pytest

import nasopt
from nasopt.analysis.why import Why
from nasopt.errors import StudyError
from tests.examples import small


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> optuna.Study:
    path = tmp_path_factory.mktemp("why") / "x.db"
    return nasopt.run(small(trials=8), sampler="surrogate", storage=path, device="cpu")


def test_a_trial_is_told_as_it_was_expected_and_seen(study):
    why = Why.of(study, 7)
    prediction = study.trials[7].user_attrs["belief"]
    assert (why.study, why.number) == (study.study_name, 7)
    assert why.seen == study.trials[7].value
    assert (why.expected, why.low, why.high) == tuple(
        prediction[name] for name in ("expected", "low", "high")
    )
    assert why.nearest[0][0] in range(7)
    assert why.to_json()["weights"] == prediction["weights"]


def test_one_from_before_there_was_a_model_says_so(study):
    with pytest.raises(StudyError, match=r"^why=2: chosen before there was a model, or not by it"):
        Why.of(study, 2)


def test_a_trial_that_is_not_there_is_named(study):
    with pytest.raises(StudyError, match=r"^trial=99: .* has 8, numbered from 0; choose one$"):
        Why.of(study, 99)


def test_samplers_without_a_model_keep_no_reasons(tmp_path):
    random = nasopt.run(small(trials=2), sampler="random", storage=tmp_path / "x.db", device="cpu")
    with pytest.raises(StudyError, match=r"^why=1: random keeps no reasons; surrogate does$"):
        Why.of(random, 1)
