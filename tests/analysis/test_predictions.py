import nasopt
from nasopt.analysis.predictions import FEWEST, predictions
from nasopt.analysis.record import Record
from nasopt.reporting.figures import predictions_figure
from tests.examples import small


def test_what_was_expected_stands_beside_what_was_seen(tmp_path):
    experiment = small(trials=14, pruner="none")
    study = nasopt.run(experiment, sampler="surrogate", storage=tmp_path / "x.db", device="cpu")
    found = predictions([Record.of(study)])
    told = [trial for trial in study.trials if "belief" in trial.user_attrs]
    assert found is not None
    assert [each.number for each in found.trials] == [trial.number for trial in told]
    for each, trial in zip(found.trials, told, strict=True):
        held = trial.user_attrs["belief"]
        assert (each.expected, each.low, each.high) == (
            held["expected"],
            held["low"],
            held["high"],
        )
        assert each.seen == trial.value
        assert each.within == (held["low"] <= trial.value <= held["high"])
    assert found.within == sum(each.within for each in found.trials) / len(told)
    assert min(abs(e.expected - e.seen) for e in found.trials) <= found.typical
    dots = predictions_figure(found.trials).data[1]
    assert list(dots.x) == [trial.value for trial in told]
    assert list(dots.y) == [each.expected for each in found.trials]
    assert [y + up for y, up in zip(dots.y, dots.error_y.array, strict=True)] == [
        each.high for each in found.trials
    ]


def test_samplers_without_a_model_and_hardly_begun_studies_have_none(tmp_path):
    for sampler, trials in (("random", 6), ("surrogate", 5 + FEWEST - 1)):
        study = nasopt.run(
            small(trials=trials, pruner="none"),
            sampler=sampler,
            storage=tmp_path / "x.db",
            device="cpu",
        )
        assert predictions([Record.of(study)]) is None
