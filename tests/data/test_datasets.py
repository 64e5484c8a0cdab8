import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nasopt.data import DATASETS, cifar10, digits, image_folder, tensors
from nasopt.errors import DataError
from tests.data.files import complaint

IMAGES = torch.zeros(60, 1, 4, 4, dtype=torch.uint8)
LABELS = torch.arange(60) % 3


def numbered(labels):
    """Images that tell which one they are: its number in two bytes."""
    numbers = torch.arange(len(labels))
    pixels = torch.stack([numbers // 256, numbers % 256], dim=1).to(torch.uint8)
    return pixels.view(-1, 1, 1, 2)


def numbers(split):
    return (split.images.long() @ torch.tensor([[256], [1]])).flatten().tolist()


def pictures(folder, counts):
    """A folder with so many small images of each class."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", (4, 4), number).save(folder / name / f"{number}.png")
    return folder


def test_digits_are_1078_360_and_359_images():
    splits = digits().load()
    assert [len(split.labels) for split in splits] == [1078, 360, 359]
    assert digits().counts == (1078, 360)
    assert {split.images.dtype for split in splits} == {torch.uint8}
    assert {split.labels.dtype for split in splits} == {torch.int64}
    assert {split.images.shape[1:] for split in splits} == {digits().input_shape}


def test_digits_are_split_class_by_class():
    train, validation, test = (torch.bincount(split.labels) for split in digits().load())
    everything = train + validation + test
    assert (test - 0.2 * everything).abs().max() < 1
    assert (validation - 0.25 * (train + validation)).abs().max() < 1


def test_digits_are_read_the_same_each_time_and_split_by_the_seed():
    one, again, other = digits(), digits(), replace(digits(), split_seed=1)
    for first, second, third in zip(one.load(), again.load(), other.load(), strict=True):
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.labels, second.labels)
        assert first.images.shape == third.images.shape
        assert not torch.equal(first.images, third.images)


@st.composite
def labelled(draw):
    counts = draw(st.lists(st.integers(8, 30), min_size=1, max_size=4))
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    return torch.tensor(draw(st.permutations(labels)))


@given(labelled(), st.integers(0, 9))
def test_every_image_is_in_one_split_with_its_own_label(labels, seed):
    dataset = replace(tensors(numbered(labels), labels), split_seed=seed)
    splits = dataset.load()
    assert sorted(itertools.chain(*map(numbers, splits))) == list(range(len(labels)))
    for split in splits:
        assert torch.equal(split.labels, labels[numbers(split)])
    assert (len(splits.train.labels), len(splits.validation.labels)) == dataset.counts
    assert len(splits.test.labels) == round(0.2 * len(labels))


@given(labelled(), st.data())
def test_a_limit_thins_what_a_search_sees_class_by_class_and_never_the_test(labels, data):
    whole = tensors(numbered(labels), labels)
    train, validation, test = whole.load()
    seen = torch.cat([train.labels, validation.labels])
    limit = data.draw(st.integers(len(seen) * 4 // 5, len(seen)))
    limited = replace(whole, limit=limit)
    some_train, some_validation, same_test = limited.load()
    assert torch.equal(same_test.images, test.images)
    assert set(numbers(some_train) + numbers(some_validation)) <= set(
        numbers(train) + numbers(validation)
    )
    assert limited.counts == (len(some_train.labels), len(some_validation.labels))
    assert sum(limited.counts) == limit
    kept = torch.bincount(torch.cat([some_train.labels, some_validation.labels]))
    assert (kept - torch.bincount(seen) * limit / len(seen)).abs().max() < 1


@pytest.mark.parametrize("limit", [50, 51, 52, 53, 100, 777, 1437, 1438])
def test_what_is_counted_beforehand_is_what_is_loaded(limit):
    train, validation, test = digits(limit=limit).load()
    assert digits(limit=limit).counts == (len(train.labels), len(validation.labels))
    assert len(train.labels) + len(validation.labels) == limit
    assert len(test.labels) == 359


def test_a_test_split_of_its_own_is_handed_on_whole():
    test = (IMAGES[:7] + 1, LABELS[:7])
    dataset = tensors(IMAGES, LABELS, test=test, limit=30)
    splits = dataset.load()
    assert torch.equal(splits.test.images, test[0])
    assert torch.equal(splits.test.labels, test[1])
    assert dataset.counts == (24, 6)


@pytest.mark.parametrize("limit", [0, -5, 2.5, True, "100"])
def test_a_limit_that_is_no_number_of_images_is_refused(limit):
    with pytest.raises(DataError) as raised:
        digits(limit=limit)
    assert str(raised.value) == f"limit={limit!r}: not a number of images; use 1, 2, 3, ..."


def test_a_limit_above_what_there_is_to_search_with_is_refused():
    with pytest.raises(DataError) as raised:
        digits(limit=1439).load()
    assert str(raised.value) == (
        "limit=1439: digits has 1438 images to search with; use that or less"
    )


@pytest.mark.parametrize(("limit", "split"), [(5, "training"), (20, "validation")])
def test_a_limit_too_small_for_every_class_is_refused(limit, split):
    with pytest.raises(DataError, match=rf"limit={limit}: .*'\d' .*no {split} image.*raise"):
        digits(limit=limit).load()


def test_a_class_with_too_few_images_is_named(tmp_path):
    pictures(tmp_path, {"ant": 9, "bee": 1})
    with pytest.raises(DataError) as raised:
        image_folder(tmp_path, 4).load()
    assert str(raised.value) == (
        "image_folder: class 'bee' has 1 image for training, validation and test; give it more, "
        "or leave it out"
    )
    assert complaint(lambda: image_folder(tmp_path, 4).counts) == str(raised.value)


def test_a_class_of_three_images_has_one_in_each_split(tmp_path):
    dataset = image_folder(pictures(tmp_path, {"ant": 3, "bee": 3}), 4)
    splits = dataset.load()
    assert [torch.bincount(split.labels).tolist() for split in splits] == [[1, 1]] * 3
    assert dataset.counts == (2, 2)


def test_a_folder_is_split_as_in_earlier_versions(tmp_path):
    """What is split anew has other networks as its best, under the same fingerprint."""
    splits = image_folder(pictures(tmp_path, {"ant": 10, "bee": 20}), 4).load()
    greys = [split.images[:, 0, 0, 0].tolist() for split in splits]
    assert greys == [
        [0, 3, 5, 7, 8, 9, 0, 1, 11, 13, 14, 15, 16, 2, 3, 4, 5, 7],
        [1, 2, 10, 19, 6, 9],
        [4, 6, 12, 17, 18, 8],
    ]


def layout(folder, **splits):
    """Folders of splits with so many pictures of each class; the grey tells which one it is."""
    for name, counts in splits.items():
        pictures((folder / name), counts)
    return folder


@pytest.mark.parametrize("name", ["val", "valid", "validation", "VAL", "Validation"])
def test_splits_of_a_folder_are_taken_as_they_are(tmp_path, name):
    counts = {"ant": 4, "bee": 2}, {"ant": 1, "bee": 2}, {"ant": 3, "bee": 1}
    layout(tmp_path, **dict(zip(("Train", name, "test"), counts, strict=True)))
    dataset = image_folder(tmp_path, 4)
    splits = dataset.load()
    assert dataset.class_names() == ("ant", "bee")
    assert [torch.bincount(s.labels).tolist() for s in splits] == [[4, 2], [1, 2], [3, 1]]
    assert dataset.counts == (6, 3)
    assert dataset.test_files == ("test/ant/0.png", "test/ant/1.png", "test/ant/2.png",
                                  "test/bee/0.png")  # fmt: skip


def test_validation_is_split_off_train_where_there_is_a_test_split_alone(tmp_path):
    layout(tmp_path, train={"ant": 10, "bee": 20}, test={"ant": 1, "bee": 2})
    dataset = image_folder(tmp_path, 4)
    splits = dataset.load()
    assert [torch.bincount(s.labels).tolist() for s in splits] == [[8, 16], [2, 4], [1, 2]]
    assert dataset.counts == (24, 6)
    seen = splits.train.images[:, 0, 0, 0].tolist() + splits.validation.images[:, 0, 0, 0].tolist()
    assert sorted(seen) == sorted([*range(10), *range(20)])


def test_there_is_no_test_split_where_there_is_one_for_validation_alone(tmp_path):
    layout(tmp_path, train={"ant": 3, "bee": 2}, val={"ant": 1, "bee": 1})
    dataset = image_folder(tmp_path, 4)
    assert [len(split.labels) for split in dataset.load()] == [5, 2, 0]
    assert dataset.test_files == ()


def test_a_limit_thins_both_splits_of_a_folder(tmp_path):
    layout(
        tmp_path, train={"ant": 20, "bee": 20}, val={"ant": 5, "bee": 5}, test={"ant": 1, "bee": 1}
    )
    dataset = image_folder(tmp_path, 4, limit=25)
    assert [len(split.labels) for split in dataset.load()] == [20, 5, 2]
    assert dataset.counts == (20, 5)
    assert complaint(image_folder(tmp_path, 4, limit=51).load) == (
        "limit=51: image_folder has 50 images to search with; use that or less"
    )


def test_classes_that_are_called_train_and_test_are_classes(tmp_path):
    dataset = image_folder(pictures(tmp_path, {"train": 8, "test": 9}), 4)
    assert dataset.class_names() == ("test", "train")
    assert [len(split.labels) for split in dataset.load()] == [10, 4, 3]


def test_the_fingerprint_of_a_built_in_data_set_is_a_constant_that_needs_no_file(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("NASOPT_DATA", str(tmp_path / "nowhere"))
    for name, dataset in DATASETS.items():
        assert dataset().fingerprint == f"{name} limit=None split=0"
    assert replace(cifar10(limit=500), split_seed=3).fingerprint == "cifar10 limit=500 split=3"


def test_the_fingerprint_of_a_folder_follows_its_content(tmp_path):
    pictures(tmp_path, {"ant": 2, "bee": 2})
    prints = [
        image_folder(tmp_path, size, limit=limit).fingerprint
        for size in (4, 5)
        for limit in (None, 2)
    ]
    Image.new("L", (4, 4), 200).save(tmp_path / "ant" / "0.png")
    prints.append(image_folder(tmp_path, 4).fingerprint)
    (tmp_path / "ant" / "0.png").rename(tmp_path / "ant" / "00.png")
    prints.append(image_folder(tmp_path, 4).fingerprint)
    assert len(set(prints)) == len(prints)
    assert image_folder(tmp_path, 4).fingerprint == prints[-1]


def test_a_folder_of_images_is_a_data_set_of_colour_squares(tmp_path):
    dataset = image_folder(pictures(tmp_path, {"ant": 10, "bee": 20}), 6)
    splits = dataset.load()
    assert dataset.class_names() == ("ant", "bee")
    assert dataset.classes == 2
    assert dataset.input_shape == (3, 6, 6)
    assert [split.images.shape for split in splits] == [(n, 3, 6, 6) for n in (18, 6, 6)]
    assert [torch.bincount(split.labels).tolist() for split in splits] == [[6, 12], [2, 4], [2, 4]]


@pytest.mark.parametrize("size", [0, -8, 8.0, True, "8"])
def test_a_size_that_is_no_number_of_pixels_is_refused(tmp_path, size):
    with pytest.raises(DataError) as raised:
        image_folder(tmp_path, size)
    assert str(raised.value) == f"image_folder.size={size!r}: use 1, 2, 3, ... pixels"
