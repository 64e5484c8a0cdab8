import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial
from optuna_dashboard import get_note, save_note

import nasopt
from nasopt import (
    Conv,
    Dense,
    Experiment,
    Pool,
    Recipe,
    Space,
    categorical,
    parameters,
    real,
    repeat,
)
from nasopt.analysis.outcome import outcome
from nasopt.reporting.notes import PIECE, Notebook, TrialNotes, escaped
from nasopt.search.search import Search
from nasopt.storage.opening import open_storage
from nasopt.storage.record import StudyRecord
from tests.examples import small

MANY = "a line of some length\n" * (3 * PIECE // 20)


def note(study: optuna.Study, number: int) -> str:
    """As optuna-dashboard reads it."""
    return get_note(optuna.Trial(study, study.trials[number]._trial_id))


def cells(text: str) -> list[list[str]]:
    """The rows of the tables in `text`."""
    rows = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


def record(experiment: Experiment) -> StudyRecord:
    """Of a study of `experiment`."""
    return StudyRecord(
        name="x/random/0", experiment=experiment.record, versions={}, limits=(), pruner="quarter"
    )


def notebook(experiment: Experiment) -> Notebook:
    """Of a study that is not there: its texts alone are asked for."""
    return Notebook(None, 0, record(experiment))


def trial(experiment: nasopt.Experiment, state: TrialState, params=None, **fields):
    params = params or {
        name: f.boundary_values[0] for name, f in experiment.hyperparameters.items()
    }
    distributions = {name: CategoricalDistribution([value]) for name, value in params.items()}
    return create_trial(state=state, params=params, distributions=distributions, **fields)


def test_each_trial_that_ends_leaves_a_note_of_its_network_and_figures(empty_database):
    nasopt.run(small(trials=3), storage=empty_database, device="cpu")
    storage = open_storage(empty_database, "read")
    study = optuna.load_study(study_name="experiment/surrogate/0", storage=storage)
    for number in range(3):
        figures, row, layers, *chosen = cells(note(study, number))
        told = outcome(study, number)
        assert figures == ["Validation accuracy", "Parameters", "MACs", "Epochs", "Training"]
        assert row[:4] == [
            f"{told.accuracy:.4f}", f"{told.parameters:,}", f"{told.macs:,}", "2 of 2"
        ]  # fmt: skip
        assert layers == ["Layer", "Type", "Filters", "Size", "Stride", "Map after it"]
        assert [(int(each[2]), int(each[4])) for each in chosen] == [
            (layer.filters, layer.stride) for layer in told.architecture.layers
        ]


def test_a_network_is_a_row_a_layer_with_the_map_that_is_left():
    space = Space(
        Conv(filters=8, kernel_size=5, stride=2), Pool(op="average"),
        Conv(filters=4, op="residual"), Dense(width=categorical(16, 32)),
    )  # fmt: skip
    experiment = small(space=space)
    text = notebook(experiment).text(trial(experiment, TrialState.COMPLETE, value=0.5))
    assert cells(text)[3:] == [
        ["1", "conv", "8", "5x5", "2", "4x4"],
        ["2", "avg", "", "2x2", "2", "2x2"],
        ["3", "res", "4", "3x3", "1", "2x2"],
        ["4", "dense", "16", "", "", ""],
    ]


def test_open_fields_of_the_recipe_are_told():
    experiment = small(recipe=Recipe(epochs=2, lr=real(0.01, 1, log=True)))
    params = {name: f.boundary_values[0] for name, f in experiment.hyperparameters.items()}
    told = trial(experiment, TrialState.COMPLETE, params | {"recipe.lr": 0.123456}, value=0.5)
    assert cells(notebook(experiment).text(told))[-2:] == [["Recipe", "Value"], ["lr", "0.1235"]]


def test_a_benchmarks_network_is_what_was_chosen(macro):
    experiment = Experiment.on_benchmark(macro)
    params = {name: f.boundary_values[0] for name, f in experiment.hyperparameters.items()}
    text = notebook(experiment).text(trial(experiment, TrialState.COMPLETE, value=92.5))
    assert ["92.50"] in cells(text)
    assert cells(text)[-len(params) :] == [
        [escaped(name), str(value)] for name, value in params.items()
    ]


@pytest.mark.parametrize(
    ("state", "attrs", "line"),
    [
        (TrialState.COMPLETE, {}, "**Trained to its end.**"),
        (
            TrialState.PRUNED,
            {"reason": "pruned after epoch 1"},
            "**Pruned after epoch 1 of 2**: its accuracy there was too low for the pruner quarter.",
        ),
        (
            TrialState.PRUNED,
            {"reason": "loss not finite in epoch 1"},
            "**Ended early**: loss not finite in epoch 1.",
        ),
        (
            TrialState.PRUNED,
            {"reason": "over the limit", "infeasible": "parameters <= 60", "draws": 100},
            r"**Over the limit, never trained**: parameters \<= 60 does not hold.",
        ),
        (
            TrialState.COMPLETE,
            {"repeat_of": 4},
            "**The network of trial 4 again**: told its result, for free.",
        ),
        (
            TrialState.FAIL,
            {"reason": "ValueError: <b>|`x`|$y$\nz"},
            r"**Failed**: ValueError: \<b\>\|\`x\`\|\$y\$ z.",
        ),
    ],
)
def test_the_first_line_says_how_it_ended_and_why(state, attrs, line):
    value = {"value": 0.5} if state is TrialState.COMPLETE else {}
    told = trial(small(), state, user_attrs=attrs, **value)
    assert notebook(small()).text(told).splitlines()[0] == line


def test_a_trial_that_died_before_it_had_a_network_has_a_note_all_the_same():
    told = create_trial(state=TrialState.FAIL, user_attrs={"reason": "no reason"})
    assert notebook(small()).text(told).strip() == "**Failed**: no reason."


def test_what_a_person_wrote_on_a_running_trial_stays(tmp_path):
    search = Search(
        small(trials=2), storage=tmp_path / "x.db", device="cpu", callbacks=[TrialNotes()]
    )
    for progress in search:
        if progress.number == 0 and progress.epoch == 1:
            save_note(optuna.Trial(search.study, search.study.trials[0]._trial_id), "mine")
    assert note(search.study, 0) == "mine"
    assert "Validation accuracy" in note(search.study, 1)


@pytest.fixture
def of_study(empty_database):
    storage = open_storage(empty_database)
    study = optuna.create_study(study_name="experiment/tpe/0", storage=storage)
    study.add_trial(trial(small(), TrialState.COMPLETE, value=0.5))
    return Notebook(storage, study._study_id, record(small())), study


def test_a_studys_note_is_renewed_whatever_its_length(of_study):
    book, study = of_study
    for text in ("first", MANY, "short", "", "again"):
        book.write_study(text)
        assert get_note(study) == text


def test_a_note_that_is_the_same_is_not_written_again(of_study):
    book, study = of_study
    book.write_study("the same")
    book.write(study.trials)
    before = study._storage.get_study_system_attrs(study._study_id)
    book.write_study("the same")
    book.write(study.trials)
    assert study._storage.get_study_system_attrs(study._study_id) == before


@pytest.mark.parametrize("person", ["mine", "ours, but better", ""])
def test_a_studys_note_that_a_person_wrote_or_changed_stays(of_study, person):
    book, study = of_study
    book.write_study("ours")
    assert get_note(study) == "ours"
    save_note(study, person)
    book.write_study("ours, of another day")
    assert get_note(study) == person


def test_a_note_that_a_person_wrote_first_stays(of_study):
    book, study = of_study
    save_note(study, "mine")
    book.write_study("ours")
    assert get_note(study) == "mine"


@pytest.mark.parametrize("first", [None, "ours"])
def test_a_note_that_a_person_writes_in_this_very_moment_stays(of_study, monkeypatch, first):
    book, study = of_study
    if first is not None:
        book.write_study(first)
    read = book.storage.get_study_system_attrs

    def then_a_person_writes(study_id):
        attrs = read(study_id)
        monkeypatch.setattr(book.storage, "get_study_system_attrs", read)
        save_note(study, "mine")
        return attrs

    monkeypatch.setattr(book.storage, "get_study_system_attrs", then_a_person_writes)
    book.write_study("ours, of another day")
    assert get_note(study) == "mine"


def test_a_network_over_the_limits_has_a_note_that_says_so(tmp_path):
    space = Space(repeat(Conv(filters=categorical(2, 64)), 1, 3))
    experiment = small(space=space, limits=parameters <= 100, trials=2)
    study = nasopt.run(experiment, sampler="gp", storage=tmp_path / "x.db", device="cpu")
    for each in study.trials:
        assert ("Over the limit" in note(study, each.number)) == ("infeasible" in each.user_attrs)
