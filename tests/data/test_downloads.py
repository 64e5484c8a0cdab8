"""Data sets with files of their own, in the formats in which they are published."""

import gzip
import hashlib
import pickle
import shutil
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets

from nasopt.data import cifar10, cifar100, fashion_mnist, mnist, svhn
from nasopt.data.readers import PUBLISHED
from nasopt.errors import DataError
from tests.data.files import idx, write_idx_folder


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
    monkeypatch.setattr("nasopt.data.datasets.DEBIAN_FASHION_MNIST", tmp_path / "nowhere")
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
    folder, first = (
        (tmp_path, "cifar-10-python.tar.gz")
        if dataset is cifar10
        else (tmp_path / "MNIST" / "raw", "train-images-idx3-ubyte.gz and train-labels-idx1")
    )
    assert f"; put {first}" in message
    assert message.startswith(
        f"{dataset.__name__}: cannot be read from or downloaded to {tmp_path} ("
    )
    assert "refused" in message
    assert message.endswith(
        f" into {folder}, or name another folder with --data-dir or NASOPT_DATA"
    )


def packed(folder, dataset, monkeypatch):
    """The files of `dataset` as they are published, each with the digest that is asked for."""
    published = getattr(torchvision.datasets, dataset.__name__.upper())
    inside, files = PUBLISHED[dataset.__name__.upper()]
    if dataset is mnist:
        (folder / inside).mkdir(parents=True)
        write_idx_folder(folder / inside)
        sums = [(name, md5(folder / inside / name)) for name in files]
        monkeypatch.setattr(published, "resources", sums)
    else:
        with tarfile.open(folder / files[0], "w:gz") as archive:
            archive.add(folder / published.base_folder, published.base_folder)
        shutil.rmtree(folder / published.base_folder)
        monkeypatch.setattr(published, "tgz_md5", md5(folder / files[0]))


def md5(file):
    return hashlib.md5(file.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("dataset", "write"), [(mnist, None), (cifar10, write_cifar10), (cifar100, write_cifar100)]
)
def test_the_files_that_a_failed_download_asks_for_are_enough(
    monkeypatch, tmp_path, dataset, write
):
    monkeypatch.setenv("NASOPT_DATA", str(tmp_path))
    if write is not None:
        write(tmp_path, monkeypatch)
    packed(tmp_path, dataset, monkeypatch)
    assert len(dataset().read().labels) == (6 if dataset is mnist else 10)


def test_the_files_that_a_failed_download_asks_for_are_the_published_ones():
    published = torchvision.datasets
    for name in ("MNIST", "FashionMNIST"):
        files = tuple(file for file, _ in getattr(published, name).resources)
        assert sorted(PUBLISHED[name][1]) == sorted(files)
    for name in ("CIFAR10", "CIFAR100"):
        assert PUBLISHED[name][1] == (getattr(published, name).filename,)
    for part, file in zip(("train", "test"), PUBLISHED["SVHN"][1], strict=True):
        assert published.SVHN.split_list[part][1] == file


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
