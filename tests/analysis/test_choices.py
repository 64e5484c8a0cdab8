from collections import Counter

import pytest

import nasopt
from nasopt import Conv, Experiment, Recipe, Space, categorical, integer, real, repeat
from nasopt.analysis.choices import preferences
from nasopt.analysis.record import Record
from nasopt.reporting.html import write_report
from nasopt.storage.opening import open_storage
from tests.examples import small


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Record:
    """Forty networks of one to three layers, some of them pruned."""
    database = tmp_path_factory.mktemp("choices") / "x.db"
    study = nasopt.run(small(trials=40), sampler="random", storage=database, device="cpu")
    return Record.of(study)


def test_shares_among_all_are_those_of_the_networks_that_were_tried(record):
    found = preferences([record])
    networks = {trial.user_attrs["key"]: trial for trial in record.trials}.values()
    assert found.n_networks == len(networks)
    (filters,) = (each for each in found.by_kind if each.kind == "conv.filters")
    assert filters.places == ("conv01", "conv02", "conv03")
    assert filters.choices == ("2", "4", "8")
    deep = [trial.params["conv03.filters"] for trial in networks if trial.params["conv.depth"] == 3]
    counts = Counter(deep)
    assert filters.all[2] == pytest.approx([counts[each] / len(deep) for each in (2, 4, 8)])


def test_the_best_are_a_tenth_the_most_accurate_of_those_trained_to_their_end(record):
    found = preferences([record])
    assert found.n_best == -(-found.n_networks // 10)
    complete = {t.user_attrs["key"]: t for t in record.trials if t.state.name == "COMPLETE"}
    best = sorted(complete.values(), key=lambda trial: -trial.value)[: found.n_best]
    (depth,) = (each for each in found.by_kind if each.kind == "conv.depth")
    counts = Counter(trial.params["conv.depth"] for trial in best)
    assert depth.best[0] == pytest.approx(
        [counts[int(each)] / found.n_best for each in depth.choices]
    )


def test_a_stride_without_effect_counts_as_1(tmp_path):
    space = Space(repeat(Conv(filters=categorical(2, 3, 4), stride=categorical(1, 2)), 5))
    study = nasopt.run(
        small(space=space, trials=25), sampler="random", storage=tmp_path / "x.db", device="cpu"
    )
    found = preferences([Record.of(study)])
    (stride,) = (each for each in found.by_kind if each.kind == "conv.stride")
    networks = {t.user_attrs["key"]: space.on((1, 8, 8)).decode(t.params) for t in study.trials}
    for place, shares in enumerate(stride.all):
        acting = [network.layers[place].stride for network in networks.values()]
        counted = [acting.count(each) / len(acting) for each in (1, 2)]
        assert [share or 0 for share in shares] == pytest.approx(counted)


def test_many_values_are_counted_in_ranges(tmp_path):
    experiment = small(
        space=Space(Conv(filters=integer(1, 21), stride=categorical(1, 2))),
        recipe=Recipe(epochs=1, lr=real(0.001, 0.1, log=True)),
        trials=25,
    )
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    found = {each.kind: each for each in preferences([Record.of(study)]).by_kind}
    ranges = ("1 to 4", "5 to 8", "9 to 12", "13 to 16", "17 to 21")
    assert found["conv.filters"].choices == ranges
    assert found["recipe.lr"].choices[0] == "0.001 to 0.00251"
    for each in found.values():
        assert sum(share or 0 for share in each.all[0]) == pytest.approx(1)


def test_with_two_objectives_the_best_begin_with_the_front(tmp_path):
    experiment = small(objectives=("accuracy", "parameters"), trials=25)
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    found = preferences([Record.of(study)])
    assert found.two_objectives
    assert found.n_best >= max(3, len({trial.values[1] for trial in study.best_trials}))


def test_a_benchmarks_parameters_are_places(tmp_path, macro):
    study = nasopt.run(
        Experiment.on_benchmark(macro, trials=25), sampler="random", storage=tmp_path / "x.db"
    )
    (kind,) = preferences([Record.of(study)]).by_kind
    assert kind.kind == "layer"
    assert kind.places == tuple(f"layer{number}" for number in range(1, 9))
    assert len(kind.choices) == 3


def test_a_handful_of_networks_have_no_best(tmp_path):
    study = nasopt.run(small(trials=12), storage=tmp_path / "x.db", device="cpu")
    assert preferences([Record.of(study)]) is None


def test_more_than_nine_choices_are_ranges_of_numbers_or_words_one_by_one(tmp_path):
    table = tmp_path / "mine.csv"
    rows = [f"op{n % 12},{2 ** (n % 11)},{n / 100}" for n in range(132)]
    table.write_text("\n".join(["op,filters,accuracy", *rows]) + "\n")
    experiment = Experiment.on_benchmark(str(table), trials=60)
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db")
    found = {each.kind: each for each in preferences([Record.of(study)]).by_kind}
    assert found["filters"].choices == ("1 to 2", "4 to 8", "16 to 32", "64 to 128", "256 to 1024")
    assert set(found["op"].choices) == {f"op{n}" for n in range(12)}
    for each in found.values():
        assert sum(share or 0 for share in each.all[0]) == pytest.approx(1)
    write_report(open_storage(tmp_path / "x.db", "read"), tmp_path / "x.html")
