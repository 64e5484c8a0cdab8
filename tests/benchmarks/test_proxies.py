"""`proxies`: what cheap trainings tell of long ones, on numbers and on real trainings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

import nasopt
from nasopt import Conv, Experiment, Recipe, Space, categorical, load_benchmark
from nasopt.data import image_folder
from nasopt.search.evaluator import Evaluator
from tests.benchmarks import proxies as proxies_module
from tests.benchmarks.proxies import (
    Proxy,
    Trainings,
    images_of,
    interval,
    mean_worth,
    proxies_of,
    table,
    trained,
    worth,
)

JUDGED = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])


def test_a_proxy_that_knows_all_loses_nothing():
    told = worth(2 * JUDGED - 1, JUDGED)
    assert (told.everywhere, told.third, told.first, told.best) == (1, 1, 0, 0)


def test_one_that_mixes_up_the_best_third_is_good_everywhere_else():
    scores = JUDGED.copy()
    scores[:3] = scores[:3][::-1]
    told = worth(scores, JUDGED)
    assert told.everywhere > 0.9
    assert told.third == pytest.approx(-1)
    assert told.first == pytest.approx(0.2)  # it takes the third best
    assert told.best == 0  # which training the best three long makes good


def test_one_that_tells_nothing_correlates_with_nothing():
    assert worth(np.zeros(9), JUDGED).everywhere == 0


def test_each_judge_judges_its_own_scores_and_the_mean_is_told():
    judges = np.array([JUDGED, JUDGED[::-1]])
    right = Proxy("right", judges, 1.0)
    assert mean_worth(right, judges).everywhere == pytest.approx(1)
    swapped = replace(right, scores=judges[::-1])
    assert mean_worth(swapped, judges).everywhere == pytest.approx(-1)
    low, high = interval(right, judges, lambda each: each.everywhere)
    assert low <= 1 <= high + 1e-12


@pytest.fixture
def photographs(tmp_path):
    dice = np.random.default_rng(0)
    for split, images in (("train", 8), ("val", 6), ("test", 2)):
        for label in ("dark", "light"):
            folder = tmp_path / "photographs" / split / label
            folder.mkdir(parents=True)
            for number in range(images):
                pixels = dice.integers(0, 200, (8, 8, 3)) + 55 * (label == "light")
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photographs"


def test_trainings_are_paid_for_once_and_their_curves_are_a_benchmark(
    photographs, tmp_path, monkeypatch
):
    monkeypatch.setattr(proxies_module, "DRAWS", 20)
    experiment = Experiment(
        dataset=image_folder(photographs, size=8),
        space=Space(Conv(filters=categorical(2, 3, 4), kernel_size=categorical(1, 3))),
        recipe=Recipe(epochs=4, batch_size=4),
        name="photographs",
    )
    files = tmp_path / "curves.csv", tmp_path / "proxies.csv"
    judges, proxies = proxies_of(Trainings(experiment, 4, *files))
    assert judges.shape == (2, 4)
    by_name = {proxy.name: proxy for proxy in proxies}
    assert by_name["all epochs, another seed"].scores.tolist() == judges[::-1].tolist()
    assert by_name["stopped after epoch 1"].work == 1 / 4
    assert by_name["4 x 4 pixels"].work == pytest.approx(1 / 4, abs=0.05)
    apart = {"a recipe of 2 epochs", "1/4 of the training images", "4 x 4 pixels"}
    assert apart <= {*by_name}
    fewer = Trainings(experiment, 3, *files)
    written = [path.read_text() for path in files]
    again, same = proxies_of(fewer)
    assert again == pytest.approx(judges[:, :3], abs=1e-5)
    for one, other in zip(proxies, same, strict=True):
        assert other.scores == pytest.approx(one.scores[:, :3], abs=2e-4)
    assert [path.read_text() for path in files] == written
    assert len(list(table(judges, proxies))) == 2 + len(proxies) + 2
    benchmark = load_benchmark(str(files[0]))
    assert benchmark.accuracies.shape == (4, 2, 4)
    assert benchmark.accuracies[:, 0, -1] == pytest.approx(judges[0], abs=1e-5)


def test_a_training_is_one_of_a_search(photographs, tmp_path):
    data = image_folder(photographs, size=8)
    experiment = Experiment(dataset=data, space=Space(Conv(filters=2)), recipe=Recipe(epochs=2))
    (evaluation,) = experiment.sample(1, 0)
    seen = Evaluator(experiment, tmp_path / "x.db", "cpu").epochs(evaluation)
    assert [each.accuracy for each in trained(evaluation)] == [each.accuracy for each in seen]


def test_fewer_images_are_so_many_of_each_class_judged_by_all_validation_images(photographs):
    train, validation = images_of(image_folder(photographs, size=8), 1 / 2)
    assert train.labels.bincount().tolist() == [4, 4]
    assert validation.labels.bincount().tolist() == [6, 6]


def test_the_curves_on_photographs_are_a_benchmark_with_epochs(tmp_path):
    path = Path(__file__).parents[1] / "data/cifar10-small-curves.csv"
    benchmark = load_benchmark(str(path))
    assert benchmark.accuracies.shape == (16, 2, 8)
    assert benchmark.recipe.epochs == 8
    assert benchmark.known == ("parameters", "macs")
    final = benchmark.accuracies[:, :, -1]
    assert spearmanr(final[:, 0], final[:, 1]).statistic == pytest.approx(0.81, abs=0.005)
    experiment = Experiment.on_benchmark(benchmark, trials=8, seed=1)
    study = nasopt.run(experiment, sampler="random", storage=tmp_path / "x.db")
    assert study.best_value in final
