import gzip
import os

import numpy as np
import pytest
import torch
from PIL import Image, features

from nasopt.data.readers import IdxFolder, ImageFolder, data_dir, read_digits
from nasopt.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)


def idx(array):
    """The bytes of an uncompressed IDX file."""
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_idx_folder(folder, train=6, test=4, shape=(28, 28), classes=10):
    """The four files of MNIST's format, with images of a single grey each."""
    for prefix, count in (("train", train), ("t10k", test)):
        greys = np.arange(count, dtype=np.uint8)
        images = np.broadcast_to(greys[:, None, None], (count, *shape))
        for name, array in (("images-idx3", images), ("labels-idx1", greys % classes)):
            (folder / f"{prefix}-{name}-ubyte.gz").write_bytes(gzip.compress(idx(array), mtime=0))
    return folder


def one_image(folder, image, name="image.png", size=4, **options):
    """`image` saved, and read back as the only one of two: (3, size, size)."""
    for label in ("a", "b"):
        (folder / label).mkdir()
    image.save(folder / "a" / name, **options)
    Image.new("RGB", (1, 1)).save(folder / "b" / "other.png")
    return ImageFolder(folder, size).read().images[0]


def complaint(read):
    """What is wrong with the images according to `read`, or ""."""
    try:
        read()
    except DataError as error:
        return str(error)
    return ""


def test_digits_are_grey_bytes_from_black_to_white():
    raw = read_digits()
    assert (raw.images.dtype, raw.labels.dtype) == (torch.uint8, torch.int64)
    assert raw.images.shape == (1797, 1, 8, 8)
    assert (raw.images.min(), raw.images.max()) == (0, 255)
    assert raw.test is None


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


def test_a_folder_is_read_in_the_order_of_names_and_without_hidden_files(tmp_path):
    for grey, name in enumerate(("cat/2.png", "cat/10.png", "ant/1.png", "bee/x.gif", "bee/y.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4), grey).save(tmp_path / name)
    for left in (".DS_Store", "._1.png", "Thumbs.db", "desktop.ini"):
        (tmp_path / "ant" / left).write_bytes(b"left by a file manager")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "README").write_text("not an image, not a class")
    folder = ImageFolder(tmp_path, 4)
    assert folder.class_names() == ("ant", "bee", "cat")
    raw = folder.read()
    assert raw.images[:, 0, 0, 0].tolist() == [2, 3, 4, 1, 0]  # "10.png" comes before "2.png"
    assert raw.labels.tolist() == [0, 1, 1, 2, 2]
    assert raw.images.is_contiguous()
    assert raw.test is None


def test_a_hidden_folder_is_no_class(tmp_path):
    for name in ("ant", "bee", ".ipynb_checkpoints"):
        (tmp_path / name).mkdir()
    assert ImageFolder(tmp_path, 4).class_names() == ("ant", "bee")


def test_a_missing_image_folder_is_named(tmp_path):
    with pytest.raises(DataError) as raised:
        ImageFolder(tmp_path / "nowhere", 4).read()
    assert str(raised.value) == (
        f"image_folder.path={tmp_path}/nowhere: no such folder; give an existing one"
    )


@pytest.mark.parametrize("classes", [[], ["ant"]])
def test_a_folder_without_two_classes_is_refused(tmp_path, classes):
    for name in classes:
        (tmp_path / name).mkdir()
    with pytest.raises(DataError) as raised:
        ImageFolder(tmp_path, 4).class_names()
    assert str(raised.value) == (
        f"image_folder.path={tmp_path}: {len(classes)} sub-folders; "
        "give it one for each of two or more classes"
    )


def test_a_class_without_images_is_named(tmp_path):
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "ant" / "1.png")
    (tmp_path / "bee" / ".hidden").touch()
    with pytest.raises(DataError) as raised:
        ImageFolder(tmp_path, 4).read()
    assert str(raised.value) == f"{tmp_path}/bee: no images; add some or remove the folder"


@pytest.mark.parametrize("content", [b"", b"notes about the images"])
def test_a_file_that_is_no_image_is_named(tmp_path, content):
    one_image(tmp_path, Image.new("L", (4, 4)))
    (tmp_path / "b" / "notes.txt").write_bytes(content)
    with pytest.raises(DataError) as raised:
        ImageFolder(tmp_path, 4).read()
    assert str(raised.value).startswith(f"{tmp_path}/b/notes.txt: not an image of PNG, JPEG, ")
    assert str(raised.value).endswith("; convert it to PNG, say, or remove it from the folder")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "avif"])
def test_a_damaged_image_is_named_wherever_the_damage_is(tmp_path, suffix):
    if suffix in ("webp", "avif") and not features.check(suffix):
        pytest.skip(f"Pillow has been built without {suffix}")
    one_image(tmp_path, Image.fromarray(PIXELS), f"image.{suffix}")
    file = tmp_path / "a" / f"image.{suffix}"
    content, named = file.read_bytes(), 0
    step = max(1, len(content) // 40)
    cut = [content[:place] for place in range(0, len(content), step)]
    overwritten = [
        content[:place] + b"\xff" * 8 + content[place + 8 :]
        for place in range(0, len(content), step)
    ]
    for damaged in cut + overwritten:
        file.write_bytes(damaged)
        if message := complaint(ImageFolder(tmp_path, 4).read):  # else colours alone are others
            assert message.startswith(f"{file}: ")
            assert message.endswith(("remove it", "remove it from the folder"))
            named += 1
    assert named > len(cut) // 2


def test_a_truncated_photograph_is_damaged(tmp_path):
    one_image(tmp_path, Image.fromarray(PIXELS), "image.jpg")
    file = tmp_path / "a" / "image.jpg"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"image.jpg: damaged image \(.*truncated.*\); replace or"):
        ImageFolder(tmp_path, 4).read()


def two_classes(folder):
    for name in ("ant/1.png", "ant/2.png", "bee/1.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4), 100).save(folder / name)
    return folder


def test_a_folder_within_a_class_is_named(tmp_path):
    inner = two_classes(tmp_path) / "ant" / "second batch"
    inner.mkdir()
    message = complaint(ImageFolder(tmp_path, 4).read)
    assert message.startswith(
        f"{inner}: a folder within a class; move its pictures into {tmp_path}"
    )
    inner.rename(tmp_path / "ant" / ".second batch")  # hidden: left out on purpose
    assert len(ImageFolder(tmp_path, 4).files()) == 3


@pytest.mark.parametrize("name", ["ant/3.png", "cat"])
def test_a_link_to_what_is_not_there_is_named_with_its_target(tmp_path, name):
    link = two_classes(tmp_path) / name
    link.symlink_to(".git/annex/objects/x.png")
    message = complaint(ImageFolder(tmp_path, 4).digest)
    assert message.startswith(f"{link}: a link to .git/annex/objects/x.png, which is not there; ")
    assert "git annex get" in message


def test_links_to_pictures_and_to_folders_of_them_are_followed(tmp_path):
    two_classes(tmp_path)
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "ant").symlink_to(tmp_path / "ant")
    (folder / "bee").mkdir()
    (folder / "bee" / "b.png").symlink_to(tmp_path / "bee" / "1.png")
    assert ImageFolder(folder, 4).read().labels.tolist() == [0, 0, 1]


def test_a_pipe_among_pictures_is_named_and_not_waited_for(tmp_path):
    pipe = two_classes(tmp_path) / "ant" / "pipe.png"
    os.mkfifo(pipe)
    assert complaint(ImageFolder(tmp_path, 4).read) == (
        f"{pipe}: not a file; remove it from the folder"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
@pytest.mark.parametrize("name", ["ant", "ant/1.png"])
def test_what_must_not_be_read_is_named(tmp_path, name):
    (two_classes(tmp_path) / name).chmod(0)
    message = complaint(ImageFolder(tmp_path, 4).digest)
    (tmp_path / name).chmod(0o700)
    assert message.startswith(f"{tmp_path / name}: cannot be read (Permission denied); allow")


def test_names_that_are_no_utf_8_are_read_and_spelled_so_that_they_can_be_stored(tmp_path):
    two_classes(tmp_path)
    os.rename(os.fsencode(tmp_path) + b"/bee", os.fsencode(tmp_path) + b"/b\xe9\xe8")
    os.rename(os.fsencode(tmp_path) + b"/ant/1.png", os.fsencode(tmp_path) + b"/ant/caf\xe9.png")
    folder = ImageFolder(tmp_path, 4)
    assert folder.class_names() == ("ant", "b\\xe9\\xe8")
    assert folder.read().labels.tolist() == [0, 0, 1]
    before = folder.digest()
    os.rename(os.fsencode(tmp_path) + b"/b\xe9\xe8", os.fsencode(tmp_path) + b"/b\xe9\xe9")
    assert folder.digest() != before


def test_the_digest_of_a_folder_is_what_it_was_in_earlier_versions(tmp_path):
    for name in ("ant/1.png", "ant/grün.jpg", "bee/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    assert ImageFolder(tmp_path, 4).digest() == "ae8ed39f3ba437482a4a0d1d28e00fef"


def test_the_digest_of_a_folder_follows_its_content_its_names_and_the_size(tmp_path):
    one_image(tmp_path, Image.fromarray(PIXELS))
    image, renamed = tmp_path / "a" / "image.png", tmp_path / "a" / "renamed.png"
    changes = (
        lambda: Image.fromarray(PIXELS[::-1]).save(image),
        lambda: image.rename(renamed),
        lambda: Image.new("L", (4, 4)).save(tmp_path / "a" / "another.png"),
        lambda: renamed.rename(tmp_path / "b" / "renamed.png"),
        lambda: (tmp_path / "a").rename(tmp_path / "ant"),
    )
    digests = [ImageFolder(tmp_path, size).digest() for size in (4, 5)]
    for change in changes:
        change()
        digests.append(ImageFolder(tmp_path, 4).digest())
    assert len(set(digests)) == len(digests)


def test_the_digest_of_a_folder_is_the_same_elsewhere(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    one_image(folder, Image.fromarray(PIXELS))
    before = ImageFolder(folder, 4).digest()
    (folder / "a" / ".DS_Store").touch()
    assert ImageFolder(folder.rename(tmp_path / "there"), 4).digest() == before
