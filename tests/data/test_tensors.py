import numpy as np
import pytest
import torch

from nasopt.data import tensors
from nasopt.errors import DataError
from tests.data.test_datasets import IMAGES, LABELS


def test_the_fingerprint_of_tensors_follows_their_content():
    changed_images, changed_labels = IMAGES.clone(), LABELS.clone()
    changed_images[3, 0, 1, 2] = 1
    changed_labels[[0, 1]] = changed_labels[[1, 0]]
    prints = [
        dataset.fingerprint
        for dataset in (
            tensors(IMAGES, LABELS),
            tensors(changed_images, LABELS),
            tensors(IMAGES, changed_labels),
            tensors(IMAGES.view(60, 1, 2, 8), LABELS),
            tensors(IMAGES, LABELS, test=(IMAGES, LABELS)),
            tensors(IMAGES, LABELS, test=(IMAGES[:9], LABELS[:9])),
            tensors(IMAGES, LABELS, name="mine"),
            tensors(IMAGES, LABELS, limit=30),
        )
    ]
    assert len(set(prints)) == len(prints)
    assert tensors(IMAGES.clone(), LABELS.int()).fingerprint == prints[0]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.float(), LABELS, r"tensors.images=torch.float32 .*60, 1, 4, 4"),
        (IMAGES[:, 0], LABELS, r"tensors.images=torch.uint8 .*60, 4, 4"),
        (IMAGES.double().numpy(), LABELS, r"tensors.images=float64 .*60, 1, 4, 4"),
        (IMAGES.bool(), LABELS, r"tensors.images=torch.bool .*60, 1, 4, 4"),
        (np.empty((60, 1, 4, 4), object), LABELS, r"tensors.images=object .*60, 1, 4, 4"),
        ([[0]], LABELS, r"tensors.images=.*list"),
    ],
    ids=["float", "without channels", "float numpy", "bool", "objects", "list"],
)
def test_images_of_another_type_or_shape_are_refused(images, labels, message):
    remedy = r": give a torch.uint8 tensor of shape \(n, channels, height, width\)"
    with pytest.raises(DataError, match=message + ".*" + remedy):
        tensors(images, labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:59], "tensors.labels=(59,): give one label an image, 60 in all"),
        (LABELS.view(60, 1), "tensors.labels=(60, 1): give one label an image, 60 in all"),
        (
            torch.eye(3)[LABELS],
            "tensors.labels=(60, 3): give one label an image, 60 in all; from one-hot labels take "
            "labels.argmax(1)",
        ),
        (LABELS.tolist(), "tensors.labels=list: give a tensor of whole numbers, one an image"),
        (
            LABELS.double().numpy(),
            "tensors.labels=float64 (60,): give a tensor of whole numbers, one an image",
        ),
        (
            np.array(["cat", "dog"] * 30),
            "tensors.labels=<U3 (60,): give a tensor of whole numbers, one an image",
        ),
        (LABELS.to(torch.complex64), "tensors.labels: give whole numbers from 0, one an image"),
        (LABELS.float(), "tensors.labels: give whole numbers from 0, one an image"),
        (LABELS - 1, "tensors.labels: give whole numbers from 0, one an image"),
        (
            LABELS + 10**9 * (LABELS == 2),
            "tensors.labels: a label 1000000002 among 60 images; number the classes 0, 1, 2, ...",
        ),
    ],
    ids=[
        "too few",
        "two dimensions",
        "one-hot",
        "list",
        "float numpy",
        "words",
        "complex",
        "float",
        "negative",
        "ids",
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(DataError) as raised:
        tensors(IMAGES, labels)
    assert str(raised.value) == message


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint64])
def test_arrays_of_numpy_are_what_tensors_are(dtype):
    images = np.random.default_rng(0).integers(0, 256, (60, 3, 4, 4), dtype=np.uint8)
    arrays = tensors(images[:, ::-1], LABELS.numpy().astype(dtype), test=(images, LABELS.numpy()))
    same = torch.from_numpy(images)
    assert arrays.fingerprint == tensors(same.flip(1), LABELS, test=(same, LABELS)).fingerprint
    images[:] = 0  # the data set has what it was given
    assert arrays.load().train.images.any()


def test_two_classes_may_be_labelled_with_booleans():
    labels = LABELS == 1
    assert tensors(IMAGES, labels).fingerprint == tensors(IMAGES, labels.long()).fingerprint


def test_the_test_split_may_have_fewer_images_than_there_are_classes():
    labels = torch.arange(60) % 12
    assert tensors(IMAGES, labels, test=(IMAGES[:2], labels[10:12])).classes == 12


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (20, 30, 3), (32, 32, 4)])
def test_images_with_their_channels_last_are_refused(shape):
    with pytest.raises(DataError) as raised:
        tensors(torch.zeros(60, *shape, dtype=torch.uint8), LABELS)
    assert str(raised.value) == (
        f"tensors.images=torch.uint8 {(60, *shape)}: the channels are last; give images of shape "
        "(n, channels, height, width), as by images.permute(0, 3, 1, 2) of a tensor"
    )


@pytest.mark.parametrize("shape", [(9, 128, 1), (3, 4, 3), (16, 1, 1), (4, 32, 4), (12, 32, 32)])
def test_other_shapes_are_taken_as_they_are(shape):
    assert tensors(torch.zeros(60, *shape, dtype=torch.uint8), LABELS).input_shape == shape


@pytest.mark.parametrize("test", [IMAGES, (IMAGES,), "test", 0])
def test_a_test_split_that_is_no_pair_is_refused(test):
    with pytest.raises(DataError) as raised:
        tensors(IMAGES, LABELS, test=test)
    assert str(raised.value) == "tensors.test: give a pair, test=(images, labels)"


def test_what_is_wrong_with_test_images_is_said_of_them():
    with pytest.raises(DataError, match=r"^tensors\.test\.labels=\(59,\): give one label an image"):
        tensors(IMAGES, LABELS, test=(IMAGES, LABELS[:59]))


@pytest.mark.parametrize("name", ["", 5, "two\nlines", "half \ud83d", "x" * 401])
def test_a_name_that_cannot_be_stored_is_refused(name):
    with pytest.raises(DataError, match=r"^tensors\.name="):
        tensors(IMAGES, LABELS, name=name)


def test_no_images_at_all_are_refused():
    with pytest.raises(DataError, match=r"tensors.labels: give whole numbers from 0, one an image"):
        tensors(IMAGES[:0], LABELS[:0])


def test_a_number_that_labels_no_image_is_a_class_without_images():
    with pytest.raises(DataError) as raised:
        tensors(IMAGES, LABELS * 2).load()
    assert str(raised.value) == (
        "tensors: class '1' has 0 images for training, validation and test; give it more, or "
        "leave it out"
    )


def test_test_images_of_another_shape_are_refused():
    with pytest.raises(DataError) as raised:
        tensors(IMAGES, LABELS, test=(IMAGES.view(60, 1, 2, 8), LABELS))
    assert str(raised.value) == (
        "tensors.test: images of shape (1, 2, 8) beside (1, 4, 4); give them one shape"
    )
