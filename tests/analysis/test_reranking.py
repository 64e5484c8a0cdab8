import nasopt
from nasopt.analysis.outcome import studies_of
from nasopt.analysis.reranking import Candidate, Reranking, finalists
from nasopt.analysis.selection import read_study
from nasopt.storage.opening import open_storage
from tests.examples import small


def ranking(*fresh, macs=(1, 2, 3)):
    return Reranking(
        tuple(
            Candidate("s/random/0", number, 0.9 - number / 100, 10, of, each)
            for number, (each, of) in enumerate(zip(fresh, macs, strict=True))
        )
    )


def test_an_order_that_holds_is_said_to():
    found = ranking((0.9, 0.8), (0.7, 0.8), (0.6, 0.5))
    assert found.held
    assert found.winner.number == 0
    assert found.verdict == (
        "The order held. The first is trial 0 of s/random/0: accuracy 0.9000 as seen, 0.8500 with "
        "2 other seeds."
    )


def test_a_first_that_falls_is_named_with_what_it_falls_to():
    found = ranking((0.7, 0.7), (0.9, 0.9), (0.6, 0.6))
    assert not found.held
    assert found.verdict == (
        "The order did not hold: number 2 as the search saw it, trial 1 of s/random/0, comes first "
        "with an accuracy of 0.9000. The first was trial 0 of s/random/0: accuracy 0.9000 as seen, "
        "0.7000 with 2 other seeds."
    )


def test_an_order_that_changes_behind_the_first_is_said_so():
    assert "stayed the first" in ranking((0.9,), (0.6,), (0.7,)).verdict


def test_of_equal_networks_the_one_of_least_work_is_first():
    assert ranking((0.8,), (0.8,), (0.8,), macs=(3, 1, 2)).winner.number == 1


def test_finalists_are_different_networks_of_all_studies_best_first(tmp_path):
    experiment = small(trials=8, name="here")
    for sampler in ("random", "tpe"):
        nasopt.run(experiment, sampler=sampler, storage=tmp_path / "x.db", device="cpu")
    storage = open_storage(tmp_path / "x.db", "read")
    studies = [read_study(storage, name) for name in studies_of(storage)]
    found = finalists(studies, 100)
    networks = [study.experiment.network_space.decode(trial.params).key for study, trial in found]
    values = [trial.values[0] for _, trial in found]
    assert len(set(networks)) == len(networks)
    assert values == sorted(values, reverse=True)
    complete = {trial.params.__repr__() for study in studies for trial in study.complete}
    assert len(networks) <= len(complete)
    assert finalists(studies, 3) == found[:3]
