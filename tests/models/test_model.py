import numpy as np
import pytest
import torch
from PIL import Image

import nasopt
from nasopt import Architecture, Conv, Recipe
from nasopt.data import image_folder
from nasopt.errors import DataError
from nasopt.models.card import Card, card_text
from nasopt.models.preprocessing import Preprocessing
from tests.models.small import trained, untrained

NET = Architecture((Conv(filters=4),))


@pytest.fixture(scope="module")
def digits():
    return trained()


def test_a_prediction_ranks_all_classes(digits):
    images = nasopt.data.digits().load().validation.images
    predictions = digits.predict(images)
    assert len(predictions) == len(images)
    shares = digits.probabilities(images)
    for prediction, row in zip(predictions, shares, strict=True):
        assert prediction.label == digits.classes[int(row.argmax())]
        assert prediction.probability == float(row.max())
        assert {name for name, _ in prediction.ranked} == set(digits.classes)
        assert sum(share for _, share in prediction.ranked) == pytest.approx(1)


def test_the_accuracy_of_predictions_is_the_one_of_the_training(digits):
    images, labels = nasopt.data.digits().load().validation
    right = digits.probabilities(images).argmax(1) == labels
    assert float(right.double().mean()) == digits.training.accuracy


def test_arrays_and_tensors_are_the_same_pictures(digits):
    images = nasopt.data.digits().load().validation.images[:5]
    assert digits.predict(images.numpy()) == digits.predict(images)
    assert digits.predict(images[:0]) == digits.predict([]) == []


@pytest.mark.parametrize(
    "pictures",
    [
        np.zeros((1, 1, 8, 8)),
        np.zeros((1, 8, 8, 1), np.uint8),
        torch.zeros(1, 8, 8, dtype=torch.uint8),
        torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
    ],
)
def test_arrays_that_do_not_fit_are_told_what_does(digits, pictures):
    with pytest.raises(DataError, match=r"give uint8 of shape \(n, 1, 8, 8\)"):
        digits.predict(pictures)


def photos(folder, count=10, size=(40, 30)):
    """Two classes of noise, one darker than the other."""
    random = np.random.default_rng(0)
    for name, top in (("day", 255), ("night", 80)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, top, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_a_picture_file_is_read_as_in_training(tmp_path):
    folder = photos(tmp_path / "photos")
    dataset = image_folder(folder, 8)
    model = nasopt.train(NET, dataset, recipe=Recipe(epochs=1, batch_size=4), device="cpu")
    raw = dataset.read()
    files = [*sorted((folder / "day").iterdir()), *sorted((folder / "night").iterdir())]
    for file, image in zip(files, raw.images, strict=True):
        assert torch.equal(model.preprocessing.read(file), image)
    one = model.predict(str(files[0]))
    assert [each.picture for each in one] == [str(files[0])]
    # a batch of another size may differ in the last bit
    assert one[0].probability == pytest.approx(model.predict(files)[0].probability, rel=1e-5)
    assert "| data set | photos |" in card_text(model, Card(), "model", ())


def test_a_grey_file_becomes_the_bytes_that_it_has(tmp_path):
    image = nasopt.data.digits().load().test.images[0]
    Image.fromarray(image[0].numpy()).save(tmp_path / "digit.png")
    grey = Preprocessing((8, 8), (0.0,), (1.0,), ("a", "b"))
    assert torch.equal(grey.read(tmp_path / "digit.png"), image)


def test_a_model_of_other_shapes_takes_arrays_alone(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    two = untrained(NET, 2)
    assert len(two.predict(torch.zeros(3, 2, 20, 20, dtype=torch.uint8))) == 3
    with pytest.raises(DataError, match="takes 2 channels of 20x20, which no file is turned into"):
        two.predict(tmp_path / "a.png")


def test_what_is_no_path_is_told(digits, tmp_path):
    for path in (tmp_path, tmp_path / "a.png"):
        with pytest.raises(DataError, match="no such file; name a picture"):
            digits.predict(path)
    array = np.zeros((1, 8, 8), np.uint8)
    for given, kind in (([array], "ndarray"), (3, "int"), (None, "NoneType"), (b"a", "int")):
        with pytest.raises(DataError, match=f"pictures={kind}: give paths, or one array of all"):
            digits.predict(given)


def test_paths_may_come_one_by_one(digits, tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    paths = [tmp_path / "a.png"] * 3
    assert digits.predict(each for each in paths) == digits.predict(paths)
    assert len(digits.predict(paths)) == 3


def test_a_file_that_is_no_picture_is_named(digits, tmp_path):
    (tmp_path / "a.txt").write_text("no")
    with pytest.raises(DataError, match=r"a\.txt: not an image"):
        digits.predict(tmp_path / "a.txt")
