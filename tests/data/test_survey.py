"""`look_at`: a folder of pictures in numbers, whatever kind of pictures they are."""

import numpy as np
import pytest
from PIL import Image

from nasopt.data.survey import look_at
from nasopt.errors import DataError
from tests.data.files import complaint

RNG = np.random.default_rng(0)


def noise(width=40, height=30):
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


def folder_of(folder, images):
    """Pictures by their names, each of them in both of two classes."""
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for name, image in images.items():
            image.save(folder / label / name)
    return folder


def test_a_folder_is_counted(tmp_path):
    folder_of(tmp_path, {f"{n}.png": noise(40 + n, 30) for n in range(5)})
    (tmp_path / "dog" / "0.png").rename(tmp_path / "cat" / "5.png")
    found = look_at(tmp_path)
    assert found.classes == {"cat": 6, "dog": 4}
    assert (found.pictures, found.imbalance, found.brought) == (10, 1.5, ())
    assert (found.training, found.validation, found.test) == (6, 2, 2)
    assert found.short_sides == (30, 30, 30)
    assert (found.grey, found.is_grey, found.decoded) == (0, False, 10)
    assert found.seconds_to_read > 0
    assert found.to_json()["pictures"] == 10


def test_grey_is_what_looks_grey_however_it_was_saved(tmp_path):
    grey = noise().convert("L")
    images = {"a.png": grey, "b.jpg": grey.convert("RGB"), "c.gif": grey, "d.tif": grey}
    assert look_at(folder_of(tmp_path, images)).grey == 1


def test_the_splits_of_a_folder_are_told(tmp_path):
    pictures = {f"{n}.png": noise(20, 20) for n in range(5)}
    for split in ("train", "val", "test"):
        folder_of(tmp_path / split, pictures)
    found = look_at(tmp_path)
    assert found.brought == ("training", "validation", "test")
    assert (found.training, found.validation, found.test) == (10, 10, 10)
    assert found.classes == {"cat": 15, "dog": 15}


def test_the_shorter_sides_are_told(tmp_path):
    folder_of(tmp_path, {"0.png": noise(40, 50), "1.png": noise(90, 60), "2.JPG": noise(400, 80)})
    assert look_at(tmp_path).short_sides == (40, 60, 80)


def test_pictures_as_the_web_has_them_are_taken(tmp_path):
    rgb = noise()
    folder_of(
        tmp_path,
        {
            "UPPER.PNG": rgb,
            "print.jpeg": rgb.convert("CMYK"),
            "deep.png": Image.fromarray(RNG.integers(0, 65_536, (30, 40), dtype=np.uint16)),
            "palette.gif": rgb.quantize(16),
            "line.png": rgb.convert("1"),
            "web.webp": rgb,
        },
    )
    for label in ("cat", "dog"):
        here = tmp_path / label
        frames = [noise().quantize(16) for _ in range(3)]
        frames[0].save(here / "animated.GIF", save_all=True, append_images=frames[1:])
        rgb.quantize(16).save(here / "transparent.png", transparency=0)
        rgb.quantize(16).save(here / "half.png", transparency=bytes(range(16)))
        rgb.save(here / "a png.jpg", format="PNG")
        for left in (".DS_Store", "Thumbs.db", "desktop.ini", "._UPPER.PNG"):
            (here / left).write_bytes(b"left by a file manager")
    found = look_at(tmp_path)
    assert found.classes == {"cat": 10, "dog": 10}
    assert found.decoded == 20


def test_all_files_that_are_no_pictures_are_named_at_once(tmp_path):
    folder_of(tmp_path, {f"{n}.png": noise() for n in range(3)})
    cat, dog = tmp_path / "cat", tmp_path / "dog"
    (cat / "notes.jpg").write_bytes(b"these are notes")
    told = complaint(lambda: look_at(tmp_path))
    assert told.startswith(f"{cat}/notes.jpg: not an image of PNG, ")
    assert "so it is with" not in told
    for number in range(22):
        (dog / f"x{number:02}.jpg").write_bytes(b"")
    told = complaint(lambda: look_at(tmp_path))
    assert told.startswith(f"{cat}/notes.jpg: not an image of PNG, ")
    assert f"; so it is with 22 other files: {dog}/x00.jpg, " in told
    assert told.endswith(f"{dog}/x19.jpg and 2 more")


def test_a_class_with_fewer_pictures_than_splits_is_named_before_any_is_read(tmp_path):
    folder_of(tmp_path, {f"{n}.png": noise() for n in range(2)})
    (tmp_path / "cat" / "0.png").write_bytes(b"")
    with pytest.raises(DataError) as raised:
        look_at(tmp_path)
    assert str(raised.value) == (
        "image_folder: class 'cat' has 2 images for training, validation and test; give it more, "
        "or leave it out"
    )
