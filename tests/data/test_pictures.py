import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from nasopt.data.pictures import read_picture
from nasopt.errors import DataError

RAMP = np.linspace(0, 1, 16).reshape(4, 4)
RED = Image.new("RGB", (8, 8), (200, 30, 10))
ONE_SCALE = "its white is unknown: save all pictures with 8 bits a channel, by one scale for all"
COLOURS = {"grey": 0, "rgb": 2, "grey and alpha": 4, "rgba": 6}


def refusal(file):
    with pytest.raises(DataError) as raised:
        read_picture(file, 4)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def write_png_of_16_bits(file, pixels, kind):
    """Pillow writes no PNG with 16 bits a channel but grey ones."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, COLOURS[kind], 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + name + data
        content += struct.pack(">I", zlib.crc32(name + data))
    file.write_bytes(content)


def pixels_of(kind, value):
    """One colour everywhere, opaque where there is alpha."""
    channels = {"grey": 1, "rgb": 3, "grey and alpha": 2, "rgba": 4}[kind]
    pixels = np.full((8, 8, channels), value)
    if kind in ("grey and alpha", "rgba"):
        pixels[..., -1] = 65_535
    return pixels


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        ((RAMP * 100_000).astype(np.int32), "values from 0 to 100,000 (mode I)"),
        ((RAMP * 4_000 - 1_000).astype(np.int16), "values from -1,000 to 3,000 (mode I)"),
        ((RAMP * 255).astype(np.int32), "values from 0 to 255 (mode I)"),
        ((RAMP * 255).astype(np.uint16), "values from 0 to 255 (mode I;16)"),
        ((RAMP * 4_095).astype(np.uint16), "values from 0 to 4,095 (mode I;16)"),
        (RAMP.astype(np.float32), "values from 0.0 to 1.0 (mode F)"),
        ((RAMP * 65_535).astype(np.float32), "values from 0.0 to 65,535.0 (mode F)"),
        (np.full((4, 4), np.nan, np.float32), "values from nan to nan (mode F)"),
    ],
)
def test_values_whose_range_is_not_known_are_refused(tmp_path, pixels, found):
    file = tmp_path / "x.tiff"
    Image.fromarray(pixels).save(file)
    assert refusal(file) == f"{file}: {found}; {ONE_SCALE}"


@pytest.mark.parametrize("kind", ["rgb", "grey and alpha", "rgba"])
def test_colours_of_12_bits_in_16_are_refused(tmp_path, kind):
    file = tmp_path / "x.png"
    write_png_of_16_bits(file, pixels_of(kind, 4_095), kind)
    assert refusal(file) == f"{file}: 16 bits a channel, none above 4,095; {ONE_SCALE}"


@pytest.mark.parametrize("kind", COLOURS)
def test_of_16_bits_the_high_ones_are_taken(tmp_path, kind):
    file = tmp_path / "x.png"
    for value in (4_096, 0xC8FF, 65_535):
        write_png_of_16_bits(file, pixels_of(kind, value), kind)
        assert (read_picture(file, 4) == value >> 8).all()


def test_a_black_picture_of_16_bits_is_black(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "x.png")
    assert not read_picture(tmp_path / "x.png", 4).any()


@pytest.mark.parametrize("white", [255, 1_023, 4_095, 65_535])
def test_a_pgm_states_its_own_white(tmp_path, white):
    greys = np.array([0, white // 2, white, white], ">u2" if white > 255 else "u1")
    (tmp_path / "x.pgm").write_bytes(b"P5 2 2 %d\n" % white + greys.tobytes())
    assert read_picture(tmp_path / "x.pgm", 2)[..., 0].ravel().tolist() == [0, 127, 255, 255]


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("upper.PNG", RED),
        ("cmyk.jpg", RED.convert("CMYK")),
        ("print.tif", RED.convert("CMYK")),
        ("windows.bmp", RED),
        ("targa.tga", RED),
        ("web.webp", RED),
        ("jpeg2000.jp2", RED),
        ("icon.ico", RED),
        ("video.tif", RED.convert("YCbCr")),
    ],
)
def test_the_colours_of_every_format_are_those_that_were_saved(tmp_path, name, image):
    image.save(tmp_path / name, **({"sizes": [(8, 8)]} if name.endswith("ico") else {}))
    assert np.abs(read_picture(tmp_path / name, 4).astype(int) - (200, 30, 10)).max() <= 4


CORNERS = {  # where the top left corner of a photograph is stored, by how its camera was held
    1: "top left", 2: "top right", 3: "bottom right", 4: "bottom left",
    5: "top left", 6: "bottom left", 7: "bottom right", 8: "top right",
}  # fmt: skip


@pytest.mark.parametrize(("turn", "corner"), CORNERS.items())
def test_a_photograph_is_turned_as_its_camera_was_held(tmp_path, turn, corner):
    stored = Image.new("L", (24, 16) if turn >= 5 else (16, 24))
    left = 0 if "left" in corner else stored.width - 8
    top = 0 if "top" in corner else stored.height - 8
    stored.paste(255, (left, top, left + 8, top + 8))
    exif = Image.Exif()
    exif[0x0112] = turn
    stored.save(tmp_path / "IMG.JPG", exif=exif, quality=100)
    upright = read_picture(tmp_path / "IMG.JPG", 16)[..., 0]  # of 16x24, the middle 16 rows
    assert upright[1, 1] > 200
    assert upright[1, -2] < 50
    assert upright[-2].max() < 50


@pytest.mark.parametrize("suffix", ["tif", "gif", "png", "webp", "mpo"])
def test_of_several_frames_the_first_is_taken(tmp_path, suffix):
    file = tmp_path / f"x.{suffix}"
    RED.save(file, save_all=True, append_images=[Image.new("RGB", (8, 8), (0, 0, 255))])
    assert np.abs(read_picture(file, 4).astype(int) - (200, 30, 10)).max() <= 4


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_single_pixel_fills_the_square(tmp_path, mode):
    Image.new(mode, (1, 1), 77).save(tmp_path / "x.png")
    assert (read_picture(tmp_path / "x.png", 3)[..., 0] == 77).all()


def test_grey_is_scaled_as_colours_are(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (37, 23), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "grey.png")
    Image.fromarray(noise).convert("RGB").save(tmp_path / "colour.png")
    grey, colour = (read_picture(tmp_path / name, 9) for name in ("grey.png", "colour.png"))
    assert (grey == colour).all()


def test_a_format_for_which_pillow_starts_another_program_is_not_opened(tmp_path, monkeypatch):
    """A file is told by its content, whatever its name says."""
    started = tmp_path / "started"
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {started}\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    RED.save(tmp_path / "x.png", format="eps")
    assert refusal(tmp_path / "x.png").startswith(f"{tmp_path}/x.png: not an image of PNG, JPEG, ")
    assert not started.exists()


def test_an_empty_file_is_said_to_be_empty(tmp_path):
    (tmp_path / "x.jpg").touch()
    assert refusal(tmp_path / "x.jpg") == f"{tmp_path}/x.jpg: an empty file; replace or remove it"


@pytest.mark.parametrize("times", [1.1, 2.2])  # Pillow warns of the first and refuses the second
def test_a_picture_above_pillow_s_limit_is_refused_before_it_is_decoded(
    tmp_path, monkeypatch, times
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    file = tmp_path / "x.png"
    Image.new("L", (round(1_000 * times), 1)).save(file)
    file.write_bytes(file.read_bytes()[:60])  # the size is known, the pixels are cut off
    assert refusal(file) == (
        f"{file}: more than 1,000 pixels, which take too much memory; scale it down, raise "
        "PIL.Image.MAX_IMAGE_PIXELS, or remove it"
    )
    Image.new("L", (1_000, 1)).save(file)
    assert read_picture(file, 4).shape == (4, 4, 3)


def test_colours_that_become_no_rgb_are_named(tmp_path):
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    file = tmp_path / "x.tif"
    ImageCms.applyTransform(RED, to_lab).save(file)
    assert refusal(file) == f"{file}: colours in LAB; save it in RGB"


def test_damaged_notes_beside_sound_pixels_are_passed_over(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "a note that is longer than what is left of it"
    RED.save(tmp_path / "x.jpg", exif=exif)
    content = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(
        content.replace(b"\x01\x0e\x00\x02\x00", b"\x01\x0e\x00\x02\xff")
    )
    assert np.abs(read_picture(tmp_path / "x.jpg", 4).astype(int) - (200, 30, 10)).max() <= 4


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_shapes_that_are_in_the_transparency_alone_are_not_lost_silently(tmp_path, mode):
    drawn = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    drawn.paste((0, 0, 0, 255), (2, 2, 6, 6))
    file = tmp_path / "silhouette.png"
    drawn.convert(mode).save(file)
    what = "one colour, its shapes are in the transparency alone; save it on a background"
    assert refusal(file) == f"{file}: {what}"
