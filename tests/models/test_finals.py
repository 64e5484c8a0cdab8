import html
import json
import logging
import os
import signal
import sqlite3
from dataclasses import replace

import numpy as np
import optuna
import pytest
import torch
from PIL import Image

import nasopt
from nasopt import Conv, Experiment, Interrupted, Recipe, Space, categorical, repeat
from nasopt.data import digits, image_folder, tensors
from nasopt.errors import ModelError, StudyError
from nasopt.models.finals import Finals
from nasopt.models.loading import load
from nasopt.search.deadline import Deadline
from tests.examples import small
from tests.models.finishing import FEW, copied, finals, here, pictures, rows, run_command


@pytest.fixture(scope="module")
def whole(searched, tmp_path_factory):
    """The same after its finals, and their result."""
    folder = copied(searched, tmp_path_factory.mktemp("whole") / "it")
    return folder, finals(folder)


def content(result):
    """All of a result but where and when, and what was measured."""
    found = json.loads(json.dumps(result.to_json()))
    del found["folder"], found["efficiency"], found["test"]["recorded"]
    del found["test"]["about_looks"]
    return found


def test_the_winner_is_the_first_of_the_networks_trained_again(whole):
    _, result = whole
    ranked = result.reranking.ranked
    assert [len(each.fresh) for each in ranked] == [2, 2]
    assert ranked[0].mean >= ranked[1].mean
    assert result.test.winner.contender.how == ranked[0].name


def test_the_final_trainings_are_on_all_images_and_have_keys_of_their_own(whole):
    folder, result = whole
    found = rows(folder, "SELECT key, dataset, seed FROM nasopt_evaluations")
    final = {key: seed for key, dataset, seed in found if dataset.endswith(" train+validation")}
    keys = {key for each in result.test.tested for key in each.contender.keys}
    assert keys == final.keys()
    assert set(final.values()) == {1, 2}
    described = load(folder / "model").training
    assert described.validation_included


def test_a_final_training_sees_all_images_of_the_search_and_none_of_the_test_split(searched):
    stages = Finals(here(), storage=searched / "x.db", **FEW)
    splits = digits(limit=200).load()
    together = stages.training.images.train
    assert torch.equal(together.images, torch.cat([splits.train.images, splits.validation.images]))
    assert len(stages.evaluator.resources.images) == 2


def test_the_references_stand_beside_the_winner_under_the_same_recipe_and_seeds(whole):
    _, result = whole
    names = " ".join(each.contender.name for each in result.test.tested)
    for name in ("VGG-like", "largest", "median random"):
        assert name in names
    assert {len(each.scores) for each in result.test.tested} == {2}
    assert result.test.winner.lead is None
    for each in result.test.tested[1:]:
        assert each.lead.mean == pytest.approx(
            result.test.winner.over_seeds.mean - each.over_seeds.mean
        )


def test_the_scores_are_those_of_the_model_that_was_written(whole):
    folder, result = whole
    test = digits(limit=200).load().test
    found = load(folder / "model").predict(test.images)
    right = [int(each.label) == label for each, label in zip(found, test.labels, strict=True)]
    first = result.test.winner.first
    assert first.images == len(test.labels)
    assert first.accuracy == np.mean(right)
    assert first.low < first.accuracy < first.high
    mistake = result.test.mistakes[0]
    assert found[mistake.image].label == mistake.predicted != mistake.label
    assert found[mistake.image].probability == pytest.approx(mistake.confidence, abs=1e-5)


def test_the_result_shows_itself_in_print_and_in_a_notebook(whole):
    _, result = whole
    printed, page = str(result), result._repr_html_()
    assert printed.startswith("The finals of here\n\nThe best networks, trained again with 2 other")
    assert page.startswith('<p style="margin: 0.4em 0"><b>The finals of here</b></p>')
    for text in (
        result.test.verdict,
        result.folder,
        *(t.contender.name for t in result.test.tested),
    ):
        assert text in " ".join(printed.split())
        assert html.escape(text) in page
    assert repr(result).startswith("<FinalResult: here, accuracy 0.")


def test_mistakes_are_the_most_confident_ones_first(whole):
    confidences = [each.confidence for each in whole[1].test.mistakes]
    assert confidences == sorted(confidences, reverse=True)


def test_the_same_command_again_gives_the_same_and_looks_no_second_time(whole, monkeypatch):
    folder, result = whole
    written = {file.name: file.read_bytes() for file in (folder / "model").iterdir()}
    monkeypatch.setattr("nasopt.models.finals.look_at_test", None)  # another look would fail
    again = finals(folder)
    assert content(again) == content(result)
    assert again.efficiency == result.efficiency
    assert again.test.recorded == result.test.recorded
    assert again.test.looks == 1
    assert again.test.about_looks.startswith("The test split was looked at once, on 20")
    assert {file.name: file.read_bytes() for file in (folder / "model").iterdir()} == written


def test_other_finals_are_another_look_and_each_says_how_many_there_were(whole, tmp_path):
    folder = copied(whole[0], tmp_path / "it")
    second = finals(folder, epochs=3, output=tmp_path / "second")
    assert (second.test.number, second.test.looks, second.test.epochs) == (2, 2, 3)
    assert "looked at 2 times; this is look 2" in second.test.about_looks
    first = finals(folder)
    assert (first.test.number, first.test.looks) == (1, 2)


def test_weights_that_nobody_needs_any_more_are_gone(whole):
    folder, result = whole
    (kept,) = (folder / "x.db.weights").iterdir()
    assert kept.stem == result.test.winner.contender.keys[0]


def test_weights_that_were_lost_or_damaged_are_trained_anew_to_the_same(whole, tmp_path):
    folder = copied(whole[0], tmp_path / "it")
    (kept,) = (folder / "x.db.weights").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    finals(folder, output=tmp_path / "model")
    weights = [each / "model.safetensors" for each in (folder / "model", tmp_path / "model")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_weights_that_other_finals_have_removed_meanwhile_are_one_line(searched, tmp_path):
    folder = copied(searched, tmp_path / "it")
    stages = Finals(here(), storage=folder / "x.db", output=folder / "model", **FEW)

    def until_the_look():
        for progress in stages:
            if progress.stage == "test":
                for file in (folder / "x.db.weights").iterdir():
                    file.unlink()

    with pytest.raises(
        StudyError, match=r"seed=1: the weights .* are gone, .*; run the same comma"
    ):
        until_the_look()
    assert finals(folder).test.looks == 1


def test_a_database_is_enough_where_the_images_come_by_a_name(whole):
    folder, result = whole
    again = nasopt.finals(storage=folder / "x.db", output=folder / "model", **FEW)
    assert content(again) == content(result)


def test_one_study_alone_and_all_samplers_together(searched, tmp_path):
    folder = copied(searched, tmp_path / "it")
    nasopt.run(here(), sampler="tpe", storage=folder / "x.db", device="cpu")
    both = Finals(here(), storage=folder / "x.db", top=100, device="cpu")
    assert {study.name for study in both.studies} == {"here/random/0", "here/tpe/0"}
    one = Finals(here(), storage=folder / "x.db", study="here/tpe/0", top=100, device="cpu")
    assert {study.name for study, _ in one.finalists} == {"here/tpe/0"}
    assert len(one.finalists) <= len(both.finalists)


def test_open_fields_of_the_recipe_are_the_winners_for_all(tmp_path):
    recipe = Recipe(epochs=1, batch_size=32, lr=nasopt.real(0.01, 0.1, log=True))
    experiment = here(recipe=recipe, trials=3)
    nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    result = finals(tmp_path, experiment, top=1, seeds=1)
    final = rows(
        tmp_path, "SELECT recipe FROM nasopt_evaluations WHERE dataset LIKE '%train+validation'"
    )
    assert len({row for (row,) in final}) == 1
    assert result.reranking.verdict == "There was one network to rank."
    assert result.test.winner.over_seeds.low is None


def test_the_networks_are_ranked_by_the_metric_of_the_search(searched, tmp_path):
    folder = copied(searched, tmp_path / "it")
    experiment = small(metric="balanced_accuracy", name="fair")
    nasopt.run(experiment, sampler="random", storage=folder / "x.db", device="cpu")
    result = finals(folder, experiment, top=1, seeds=1)
    assert result.reranking.metric == "balanced_accuracy"
    study = result.reranking.winner
    evaluation = experiment.evaluation(
        optuna.load_study(study_name=study.study, storage=f"sqlite:///{folder}/x.db")
        .trials[study.number]
        .params
    )
    stages = Finals(experiment, storage=folder / "x.db", device="cpu")
    *_, last = stages.evaluator.epochs(replace(evaluation, seed=1))
    assert study.fresh == (last.score("balanced_accuracy"),)
    assert study.fresh != (last.accuracy,)


def test_references_are_within_a_limit_that_is_measured(tmp_path):
    experiment = here(limits=(nasopt.latency <= 10,), trials=1, recipe=Recipe(epochs=1))
    nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    result = finals(tmp_path, experiment, top=1, seeds=1)
    assert len(result.test.tested) > 1
    measured = rows(tmp_path, "SELECT count(*) FROM nasopt_latencies")
    assert measured > [(1,)]


def test_mistakes_of_an_image_folder_have_the_names_of_their_files(tmp_path):
    folder = pictures(tmp_path / "photos")
    dataset = image_folder(folder, 8)
    names, test = dataset.test_files, dataset.load().test
    assert len(names) == len(test.labels) == 4
    for name, image, label in zip(names, test.images, test.labels, strict=True):
        assert name.split("/")[0] == dataset.class_names()[label]
        pixels = np.asarray(Image.open(folder / name))
        assert np.array_equal(pixels.transpose(2, 0, 1), image.numpy())


# What a user can get wrong


def test_a_folder_with_another_model_is_refused(whole, tmp_path):
    folder = copied(whole[0], tmp_path / "it")
    with pytest.raises(ModelError, match="not empty"):
        finals(folder, epochs=1)


def test_images_in_memory_are_had_from_python(tmp_path):
    whole = digits(limit=200).load()
    dataset = tensors(whole.train.images, whole.train.labels, name="mine")
    space = Space(repeat(Conv(filters=categorical(2, 4)), 1, 2))
    experiment = Experiment(
        dataset=dataset, space=space, recipe=Recipe(epochs=1, batch_size=32), trials=2, name="here"
    )
    nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db", device="cpu")
    result = finals(tmp_path, experiment, top=1, seeds=1)
    assert result.test.winner.first.images == len(dataset.load().test.labels)
    with pytest.raises(StudyError, match="its images"):
        nasopt.finals(storage=tmp_path / "x.db")


# The command


def test_the_command_prints_tables_and_what_comes_next(whole, capsys):
    folder, _ = whole
    assert run_command(folder) == 0
    said = capsys.readouterr().out
    for part in (
        "The finals of here", "trained again with 2 other seeds: accuracy on validation",
        "On the 359 test images",
        "The test split was looked at once", "Balanced accuracy", "true \\ predicted",
        "Efficiency on this device: cpu", f"nasopt predict {folder}/model PICTURE",
    ):  # fmt: skip
        assert part in said


def test_the_command_prints_json(whole, capsys):
    folder, result = whole
    assert run_command(folder, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["test"]["verdict"] == result.test.verdict
    assert printed["folder"] == str(folder / "model")


def test_python_shows_the_progress_where_it_is_asked_for(whole, capsys, caplog):
    folder, result = whole
    with caplog.at_level(logging.INFO, "nasopt"):
        finals(folder)
        assert capsys.readouterr() == ("", "")
        finals(folder, progress=True)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    first = result.reranking.candidates[0]
    fresh = f"{first.fresh[0]:.4f}"
    assert lines[0] == f"re-ranking [1/4] {first.name}, epoch 2/2, accuracy {fresh}"
    assert lines[-1] == f"writing [1/1] {folder}/model, epoch 2/2"
    assert [line for line in lines if "epoch" in line] == [
        each for each in caplog.messages if "epoch" in each
    ][: len(caplog.messages) // 2]


def test_a_request_to_stop_ends_within_a_batch_and_the_same_call_goes_on(searched, tmp_path, whole):
    folder = copied(searched, tmp_path / "it")
    stages = Finals(here(), storage=folder / "x.db", output=folder / "model", **FEW)
    seen = []

    def go_on():
        for progress in stages:
            seen.append(progress)
            if progress.stage == "final training" and progress.number == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        go_on()
    assert seen[-1].stage == "final training"
    assert seen[-1].number == 3
    left = [each.seconds_left for each in seen if each.stage == "re-ranking"]
    assert left == sorted(left, reverse=True)
    assert left[0] > left[-1] == pytest.approx(0)
    assert content(finals(folder)) == content(whole[1])


# A budget of time


def test_no_training_begins_that_would_not_end_in_time(searched, tmp_path, capsys):
    folder = copied(searched, tmp_path / "it")
    with sqlite3.connect(folder / "x.db") as database:
        database.execute(
            "UPDATE trial_user_attributes SET value_json = '7200' WHERE key = 'seconds'"
        )
    before = rows(folder, "SELECT count(*) FROM nasopt_epochs")
    assert run_command(folder, "--time", "1h") == 0
    said = capsys.readouterr().out
    assert "The budget of time, 60 min, is used: re-ranking 1 of 4 (trial" in said
    assert "waits: it takes about 2.0 h" in said
    assert rows(folder, "SELECT count(*) FROM nasopt_epochs") == before


def test_what_was_begun_is_stopped_at_the_deadline_and_goes_on_to_the_same(
    searched, tmp_path, whole
):
    folder = copied(searched, tmp_path / "it")
    clock = Clock(until=3)
    stages = Finals(here(), storage=folder / "x.db", output=folder / "model", deadline=clock, **FEW)
    stages.pace._before = []  # nothing is foretold
    for _ in stages:
        clock.tell()
    assert "was under way and goes on from there" in stages.out_of_time
    assert not (folder / "model").exists()
    assert content(finals(folder)) == content(whole[1])


class Clock(Deadline):
    """A deadline that passes when so many epochs were seen."""

    def __new__(cls, until):
        return super().__new__(cls)

    def __init__(self, until):
        super().__init__(seconds=1.0, moment=0.0)
        object.__setattr__(self, "epochs", [until])

    def tell(self):
        self.epochs[0] -= 1

    @property
    def left(self):
        return float(self.epochs[0])
