import gzip
import hashlib
import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import nasopt.data
from nasopt.data import (
    DATASETS,
    cifar10,
    cifar100,
    digits,
    fashion_mnist,
    image_folder,
    mnist,
    svhn,
    tensors,
)
from nasopt.errors import DataError
from tests.test_images import idx, write_idx_folder

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
        (folder / name).mkdir()
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
    assert "class 'bee' has no " in str(raised.value)
    assert str(raised.value).endswith(" image; give it more images")


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
        (IMAGES.numpy(), LABELS, r"tensors.images=uint8 .*60, 1, 4, 4"),
        ([[0]], LABELS, r"tensors.images=.*list"),
    ],
    ids=["float", "without channels", "numpy", "list"],
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
        (LABELS.tolist(), "tensors.labels=list: give one label an image, 60 in all"),
        (LABELS.float(), "tensors.labels: give whole numbers from 0, one an image"),
        (LABELS - 1, "tensors.labels: give whole numbers from 0, one an image"),
    ],
    ids=["too few", "two dimensions", "list", "float", "negative"],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(DataError) as raised:
        tensors(IMAGES, labels)
    assert str(raised.value) == message


def test_no_images_at_all_are_refused():
    with pytest.raises(DataError, match=r"tensors.labels: give whole numbers from 0, one an image"):
        tensors(IMAGES[:0], LABELS[:0])


def test_a_number_that_labels_no_image_is_a_class_without_images():
    with pytest.raises(DataError) as raised:
        tensors(IMAGES, LABELS * 2).load()
    assert str(raised.value) == "tensors: class '1' has no training image; give it more images"


def test_test_images_of_another_shape_are_refused():
    with pytest.raises(DataError) as raised:
        tensors(IMAGES, LABELS, test=(IMAGES.view(60, 1, 2, 8), LABELS))
    assert str(raised.value) == (
        "tensors.test: images of shape (1, 2, 8) beside (1, 4, 4); give them one shape"
    )


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


def test_fashion_mnist_is_60_000_images_to_search_with_and_10_000_to_test(fashion_folder):
    dataset = fashion_mnist(fashion_folder)
    splits = dataset.load()
    assert [len(split.labels) for split in splits] == [48_000, 12_000, 10_000]
    assert dataset.counts == (48_000, 12_000)
    for split, each_class in zip(splits, (4_800, 1_200, 1_000), strict=True):
        assert torch.bincount(split.labels).tolist() == [each_class] * 10
        assert split.images.shape[1:] == dataset.input_shape
        assert split.images.dtype == torch.uint8
    names = [dataset.class_names()[label] for label in splits.test.labels[:3]]
    assert names == ["ankle boot", "pullover", "trouser"]


def test_fashion_mnist_is_the_debian_package_where_that_is_installed(fashion_folder):
    found, named = fashion_mnist(), fashion_mnist(fashion_folder)
    assert found.fingerprint == "fashion_mnist limit=None split=0"
    assert torch.equal(found.read().test.labels, named.read().test.labels)


def test_another_folder_than_fashion_mnist_s_is_refused(tmp_path):
    write_idx_folder(tmp_path, train=60, test=20)
    with pytest.raises(DataError, match=r"fashion_mnist.*60 images.*60,000"):
        fashion_mnist(tmp_path).load()


def write_mnist(folder, monkeypatch, name="MNIST"):
    """MNIST as torchvision unpacks it: images (n, 28, 28)."""
    raw = folder / name / "raw"
    raw.mkdir(parents=True)
    write_idx_folder(raw)
    for file in list(raw.iterdir()):
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    greys = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 1, 28, 28)
    return greys, list(range(6)), greys[:4], list(range(4))


def write_cifar(folder, monkeypatch, labels, name, train_files, test_file, meta):
    """CIFAR's pickled batches: each image is 1,024 red bytes, then the green and the blue."""
    original = getattr(torchvision.datasets, name)
    base = folder / original.base_folder
    base.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)

    def write(file, content):
        (base / file).write_bytes(pickle.dumps(content, protocol=2))
        return hashlib.md5((base / file).read_bytes()).hexdigest()

    per_file = 10 // len(train_files)
    parts = [range(start, start + per_file) for start in range(0, 10, per_file)]
    sums = [
        write(file, {"data": images[part].reshape(len(part), -1), labels: list(part)})
        for file, part in zip((*train_files, test_file), (*parts, range(10, 12)), strict=True)
    ]
    meta_sum = write(meta, {original.meta["key"]: ["name"] * 12})
    monkeypatch.setattr(original, "train_list", list(zip(train_files, sums[:-1], strict=True)))
    monkeypatch.setattr(original, "test_list", [(test_file, sums[-1])])
    monkeypatch.setattr(original, "meta", {**original.meta, "md5": meta_sum})
    images = torch.from_numpy(images)
    return images[:10], list(range(10)), images[10:], [10, 11]


def write_cifar10(folder, monkeypatch):
    batches = [f"data_batch_{number}" for number in range(1, 6)]
    return write_cifar(
        folder, monkeypatch, "labels", "CIFAR10", batches, "test_batch", "batches.meta"
    )


def write_cifar100(folder, monkeypatch):
    return write_cifar(folder, monkeypatch, "fine_labels", "CIFAR100", ["train"], "test", "meta")


def write_svhn(folder, monkeypatch):
    """SVHN's MATLAB files: X is (32, 32, 3, n), y is (n, 1) and calls a zero 10."""
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (13, 3, 32, 32), dtype=np.uint8)
    split_list = {}
    for split, part in (("train", slice(0, 10)), ("test", slice(10, 13))):
        file = folder / f"{split}_32x32.mat"
        numbers = np.arange(1, 11, dtype=np.uint8)[: len(images[part]), None]
        scipy.io.savemat(file, {"X": images[part].transpose(2, 3, 1, 0), "y": numbers})
        split_list[split] = ["", file.name, hashlib.md5(file.read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", split_list)
    images = torch.from_numpy(images)
    return images[:10], [1, 2, 3, 4, 5, 6, 7, 8, 9, 0], images[10:], [1, 2, 3]


@pytest.mark.parametrize(
    ("dataset", "write"),
    [
        (mnist, write_mnist),
        (cifar10, write_cifar10),
        (cifar100, write_cifar100),
        (svhn, write_svhn),
    ],
)
def test_files_in_the_original_format_are_read_without_a_download(
    monkeypatch, tmp_path, dataset, write
):
    monkeypatch.setenv("NASOPT_DATA", str(tmp_path / "data"))
    images, labels, test_images, test_labels = write(tmp_path / "data", monkeypatch)
    raw = dataset().read()
    assert torch.equal(raw.images, images)
    assert torch.equal(raw.test.images, test_images)
    assert (raw.labels.tolist(), raw.test.labels.tolist()) == (labels, test_labels)
    assert (raw.images.dtype, raw.labels.dtype) == (torch.uint8, torch.int64)
    assert raw.images.shape[1:] == dataset().input_shape


def test_fashion_mnist_is_downloaded_where_there_is_no_debian_package(monkeypatch, tmp_path):
    monkeypatch.setattr(nasopt.data, "DEBIAN_FASHION_MNIST", tmp_path / "nowhere")
    monkeypatch.setenv("NASOPT_DATA", str(tmp_path))
    images, *_ = write_mnist(tmp_path, monkeypatch, name="FashionMNIST")
    assert torch.equal(fashion_mnist().read().images, images)


@pytest.mark.parametrize(
    ("dataset", "images", "classes"),
    [
        (mnist, 60_000, 10),
        (fashion_mnist, 60_000, 10),
        (cifar10, 50_000, 10),
        (cifar100, 50_000, 100),
        (svhn, 73_257, 10),
    ],
)
def test_the_numbers_of_a_built_in_data_set_need_no_file(
    monkeypatch, tmp_path, dataset, images, classes
):
    monkeypatch.setenv("NASOPT_DATA", str(tmp_path / "nowhere"))
    assert dataset().counts == (images - round(images * 0.2), round(images * 0.2))
    assert dataset(limit=1_000).counts == (800, 200)
    assert dataset().classes == classes


@pytest.mark.parametrize("dataset", [cifar10, mnist])
def test_a_failed_download_names_the_folder_the_reason_and_the_remedy(
    monkeypatch, tmp_path, dataset
):
    monkeypatch.setenv("NASOPT_DATA", str(tmp_path))
    for variable in ("https_proxy", "http_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setattr("urllib.request._opener", None)  # it keeps the proxies of its first use
    with pytest.raises(DataError) as raised:
        dataset().load()
    message = str(raised.value)
    assert message.startswith(
        f"{dataset.__name__}: cannot be read from or downloaded to {tmp_path} ("
    )
    assert "refused" in message
    assert message.endswith(
        "); put its files there, or name another folder with --data-dir or NASOPT_DATA"
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"damaged", b"x" * 5_000, idx(np.zeros((5, 28, 28), np.uint8))[:-1]],
    ids=["empty", "short", "other", "cut"],
)
def test_a_damaged_download_names_the_data_set_and_its_folder(monkeypatch, tmp_path, content):
    monkeypatch.setenv("NASOPT_DATA", str(tmp_path))
    write_mnist(tmp_path, monkeypatch)
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=rf"mnist: cannot be read from .*{tmp_path} \(.+\); put"):
        mnist().load()


@pytest.mark.parametrize(
    ("array", "file"),
    [
        (np.zeros((60, 20, 20), np.uint8), "images-idx3"),
        (np.arange(60, dtype=np.uint8) % 11, "labels-idx1"),
    ],
    ids=["images of another size", "a label too many"],
)
def test_images_that_are_not_what_the_data_set_says_are_refused(tmp_path, array, file):
    write_idx_folder(tmp_path, train=60)
    (tmp_path / f"train-{file}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    with pytest.raises(DataError, match="fashion_mnist"):
        replace(fashion_mnist(tmp_path), images=60).load()


def test_images_with_too_few_labels_are_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("NASOPT_DATA", str(tmp_path))
    write_mnist(tmp_path, monkeypatch)
    labels = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    labels.write_bytes(idx(np.arange(5, dtype=np.uint8)))
    with pytest.raises(DataError, match=r"mnist: 5 labels and images of shape \(6, 1, 28, 28\)"):
        replace(mnist(), images=5).load()
