import gzip

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from nasopt.data.readers import IdxFolder, data_dir, read_digits
from nasopt.errors import DataError
from tests.data.files import PIXELS, complaint, idx, one_image, write_idx_folder


def test_digits_are_grey_bytes_from_black_to_white():
    raw = read_digits()
    assert (raw.images.dtype, raw.labels.dtype) == (torch.uint8, torch.int64)
    assert raw.images.shape == (1797, 1, 8, 8)
    assert (raw.images.min(), raw.images.max()) == (0, 255)
    assert raw.test is None


def test_digits_are_those_of_scikit_learn():
    bunch, raw = load_digits(), read_digits()
    assert np.array_equal(raw.images[:, 0], (bunch.images * (255 / 16)).round())
    assert np.array_equal(raw.labels, bunch.target)


def test_downloads_go_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NASOPT_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert data_dir() == tmp_path / ".cache" / "nasopt"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_dir() == tmp_path / "cache" / "nasopt"
    monkeypatch.setenv("NASOPT_DATA", str(tmp_path / "data"))
    assert data_dir() == tmp_path / "data"


def test_an_idx_folder_is_read_as_it_was_written(tmp_path):
    raw = IdxFolder(write_idx_folder(tmp_path, shape=(2, 3)))()
    assert raw.images.shape == (6, 1, 2, 3)
    assert raw.images[:, 0, 0, 0].tolist() == raw.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert raw.test.images.shape == (4, 1, 2, 3)
    assert raw.test.labels.tolist() == [0, 1, 2, 3]
    assert (raw.images.dtype, raw.labels.dtype) == (torch.uint8, torch.int64)


def test_a_missing_idx_folder_is_named(tmp_path):
    with pytest.raises(DataError) as raised:
        IdxFolder(tmp_path / "nowhere")()
    assert str(raised.value) == (
        f"fashion_mnist.folder={tmp_path}/nowhere: no such folder; "
        "give the one with train-images-idx3-ubyte.gz"
    )


@pytest.mark.parametrize("name", ["train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz"])
def test_a_missing_idx_file_is_named(tmp_path, name):
    (write_idx_folder(tmp_path) / name).unlink()
    with pytest.raises(DataError) as raised:
        IdxFolder(tmp_path)()
    assert str(raised.value) == f"{tmp_path}/{name}: missing; fetch the four files of the data set"


def test_images_and_labels_of_different_numbers_are_named(tmp_path):
    labels = gzip.compress(idx(np.zeros(5, np.uint8)))
    (write_idx_folder(tmp_path) / "train-labels-idx1-ubyte.gz").write_bytes(labels)
    with pytest.raises(DataError) as raised:
        IdxFolder(tmp_path)()
    assert str(raised.value) == (
        f"{tmp_path}: 6 train images beside 5 labels; fetch the folder again"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no IDX file of its size"),
        (b"not compressed", "Not a gzipped file (b'no')"),
        (gzip.compress(b"", mtime=0), "no IDX file of its size"),
        (
            gzip.compress(idx(np.zeros((6, 2, 2), np.uint8))[:-1], mtime=0),
            "no IDX file of its size",
        ),
        (
            gzip.compress(idx(np.zeros((6, 2, 2), np.uint8)) + b"0", mtime=0),
            "no IDX file of its size",
        ),
        (gzip.compress(idx(np.zeros((6, 4), np.uint8)), mtime=0), "no IDX file of its size"),
    ],
)
def test_a_damaged_idx_file_is_named_with_the_reason(tmp_path, content, reason):
    file = write_idx_folder(tmp_path) / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(content)
    with pytest.raises(DataError) as raised:
        IdxFolder(tmp_path)()
    assert str(raised.value) == f"{file}: damaged ({reason}); fetch it again"


def test_an_idx_file_cut_anywhere_is_damaged(tmp_path):
    file = write_idx_folder(tmp_path, shape=(2, 3)) / "train-images-idx3-ubyte.gz"
    content = file.read_bytes()
    for kept in range(len(content)):
        file.write_bytes(content[:kept])
        with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz: damaged \(.*fetch it"):
            IdxFolder(tmp_path)()


def test_an_idx_file_cut_before_it_was_compressed_is_damaged(tmp_path):
    file = write_idx_folder(tmp_path, shape=(2, 3)) / "train-images-idx3-ubyte.gz"
    content = gzip.decompress(file.read_bytes())
    for kept in range(len(content)):
        file.write_bytes(gzip.compress(content[:kept], mtime=0))
        with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz: damaged \(.*fetch it"):
            IdxFolder(tmp_path)()


def test_a_changed_byte_anywhere_is_noticed_where_it_changes_an_image(tmp_path):
    file = write_idx_folder(tmp_path, shape=(2, 3)) / "train-images-idx3-ubyte.gz"
    content, images = file.read_bytes(), IdxFolder(tmp_path)().images
    damaged = 0
    for place, byte in enumerate(content):
        file.write_bytes(content[:place] + bytes((byte ^ 0xFF,)) + content[place + 1 :])
        if message := complaint(IdxFolder(tmp_path)):
            assert message.startswith(f"{file}: damaged (")
            damaged += 1
        else:  # a byte of the time stamp, say
            assert torch.equal(IdxFolder(tmp_path)().images, images)
    assert damaged > len(content) // 2


@pytest.mark.parametrize(
    ("image", "name", "options", "colour"),
    [
        (Image.new("L", (4, 4), 100), "grey.png", {}, (100, 100, 100)),
        (Image.new("1", (4, 4), 1), "black_and_white.png", {}, (255, 255, 255)),
        (Image.new("LA", (4, 4), (100, 50)), "grey_alpha.png", {}, (100, 100, 100)),
        (Image.fromarray(np.full((4, 4), 0xC8FF, np.uint16)), "grey16.png", {}, (200, 200, 200)),
        (Image.fromarray(np.full((4, 4), 0xC8FF, np.uint16)), "grey16.tiff", {}, (200, 200, 200)),
        (Image.new("RGBA", (4, 4), (10, 20, 30, 255)), "opaque.png", {}, (10, 20, 30)),
        (Image.new("RGBA", (4, 4), (10, 20, 30, 128)), "transparent.png", {}, (10, 20, 30)),
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "print.tiff", {}, (255, 0, 0)),
        (Image.new("RGB", (4, 4), (10, 20, 30)), "colour.bmp", {}, (10, 20, 30)),
        (Image.new("RGB", (4, 4), (10, 20, 30)), "no_suffix", {"format": "png"}, (10, 20, 30)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_mode_becomes_colours(tmp_path, image, name, options, colour):
    pixels = one_image(tmp_path, image, name, **options)
    assert torch.equal(
        pixels, torch.tensor(colour, dtype=torch.uint8)[:, None, None].expand(3, 4, 4)
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("palette.png", {}),
        ("palette.gif", {}),
        ("one_transparent_colour.png", {"transparency": 0}),
        ("one_transparent_colour.gif", {"transparency": 0}),
        ("transparency_of_each_colour.png", {"transparency": b"\xff\x80"}),
    ],
)
def test_a_palette_becomes_its_colours_transparent_or_not(tmp_path, name, options):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 255, 255, 128, 0])
    image.paste(0, (0, 0, 2, 4))  # the left half is blue
    pixels = one_image(tmp_path, image, name, **options)
    assert pixels[:, 0, 0].tolist() == [0, 0, 255]
    assert pixels[:, 3, 3].tolist() == [255, 128, 0]


def test_a_photograph_is_turned_as_its_camera_says(tmp_path):
    image = Image.new("L", (16, 16), 0)
    image.paste(255, (0, 0, 8, 16))  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by 90 degrees clockwise
    pixels = one_image(tmp_path, image, "photograph.jpg", size=16, exif=exif, quality=95)
    assert pixels[:, :7].float().mean() > 250
    assert pixels[:, 9:].float().mean() < 5


@pytest.mark.parametrize(
    ("shape", "middle"), [((12, 4), (4, 0, 8, 4)), ((4, 12), (0, 4, 4, 8)), ((4, 4), (0, 0, 4, 4))]
)
def test_the_centre_square_is_what_is_kept(tmp_path, shape, middle):
    image = Image.new("RGB", shape, (255, 0, 0))
    image.paste((0, 255, 0), middle)
    green = torch.tensor([0, 255, 0], dtype=torch.uint8)[:, None, None]
    assert torch.equal(one_image(tmp_path, image), green.expand(3, 4, 4))


@pytest.mark.parametrize("size", [1, 3, 20, 50])
def test_images_of_any_size_are_scaled(tmp_path, size):
    pixels = one_image(tmp_path, Image.fromarray(PIXELS), size=size)
    assert pixels.shape == (3, size, size)
    assert pixels.float().mean().item() == pytest.approx(PIXELS.mean(), abs=15)
