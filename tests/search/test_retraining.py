import math

import pytest

from nasopt.analysis.winners import Retrained, fresh_seeds
from nasopt.search.evaluator import Evaluator
from nasopt.search.resume import Stopped
from nasopt.search.retraining import retrain
from tests.examples import small


def test_a_network_is_trained_again_with_seeds_that_the_search_did_not_use(tmp_path):
    experiment = small(seed=4)
    evaluator = Evaluator(experiment, tmp_path / "x.db", "cpu")
    (evaluation,) = experiment.sample(1, seed=0)
    again = retrain(evaluator, evaluation, replicates=2)
    keys = [evaluator.ledger.results(each.key) for each in _with_seeds(evaluation, 4, 5, 6)]
    assert keys[0] == []
    assert again.accuracies == (keys[1][-1].accuracy, keys[2][-1].accuracy)


def _with_seeds(evaluation, *seeds):
    from dataclasses import replace

    return [replace(evaluation, seed=seed) for seed in seeds]


def test_a_retraining_that_is_stopped_goes_on_where_it_was(tmp_path):
    experiment = small()
    evaluator = Evaluator(experiment, tmp_path / "x.db", "cpu")
    (evaluation,) = experiment.sample(1, seed=0)
    asked = iter([False] * 3 + [True])
    with pytest.raises(Stopped):
        retrain(evaluator, evaluation, replicates=1, stop=lambda: next(asked))
    (fresh,) = fresh_seeds(evaluation, 1)
    assert evaluator.ledger.checkpoint(fresh.key, bool) is not None
    whole = Evaluator(experiment, tmp_path / "y.db", "cpu")
    assert retrain(evaluator, evaluation, 1) == retrain(whole, evaluation, 1)


def test_its_mean_has_a_standard_error(tmp_path):
    (evaluation,) = small().sample(1, seed=0)
    again = Retrained(evaluation, (0.1, 0.2, 0.6))
    assert again.mean == pytest.approx(0.3)
    variance = (0.2**2 + 0.1**2 + 0.3**2) / 2
    assert again.standard_error == pytest.approx(math.sqrt(variance / 3))
    assert math.isnan(Retrained(evaluation, (0.1,)).standard_error)
