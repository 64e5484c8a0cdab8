"""The reading of a picture file as a square of RGB bytes; no file is assumed to be sound."""

import struct
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nasopt.errors import DataError
from nasopt.text import listed, several

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

# Not all formats of Pillow: EPS runs another program. TGA is last because it has no signature.
FORMATS = (
    "PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "AVIF", "JPEG2000",
    "PPM", "ICO", "PCX", "QOI", "SGI", "TGA",
)  # fmt: skip
# the exceptions that Pillow raises for damaged files
DAMAGED = (OSError, EOFError, RuntimeError, SyntaxError, ValueError, LookupError, TypeError,
           AttributeError, OverflowError, struct.error)  # fmt: skip
MOST_NAMED = 20  # files, in an error of several
LEAST_WHITE = 4096  # in 16 bits: if all values are below, they have 12 bits or fewer, not 16
Read = TypeVar("Read")
ONE_SCALE = "its white is unknown: save all pictures with 8 bits a channel, by one scale for all"


def read_picture(file: Path, size: int) -> NDArray[np.uint8]:
    """Return the centre square of the picture in `file`, upright, as (size, size, 3).

    If there are several frames, the first is taken. 8 bits a channel are taken as they are, and 16
    as a number from 0 to 65,535.

    Raises DataError, naming the file, if it is no picture, damaged, larger than Pillow's limit, or
    has values whose range is not known.
    """
    from PIL import ImageOps

    with _opened(file) as image:
        square = ImageOps.fit(_in_bytes(file, image), (size, size))
        return np.asarray(square.convert("RGB"))


def shorter_side(file: Path) -> int:
    """Return the pixels of the shorter side of the picture in `file`, which is not decoded.

    Raises DataError, naming the file, as `read_picture` does for what its head tells.
    """
    with _opened(file) as image:
        return min(image.size)


def read_all(read: Callable[[Path], Read], files: Iterable[Path]) -> Iterator[Read]:
    """Yield what `read` makes of each file.

    Raises DataError at the end if some were refused: that of the first, with the names of the rest,
    so that a folder from the web is cleaned at one go.
    """
    refused: dict[Path, DataError] = {}
    for file in files:
        try:
            yield read(file)
        except DataError as error:
            refused[file] = error
    if refused:
        (_, first), *others = refused.items()
        raise DataError(f"{first}{_also([str(file) for file, _ in others])}") from first


def _also(files: list[str]) -> str:
    if not files:
        return ""
    more = len(files) - MOST_NAMED
    shown = files if more <= 0 else [*files[:MOST_NAMED], f"{more:,} more"]
    return f"; so it is with {several(len(files), 'other file')}: {listed(shown)}"


@contextmanager
def _opened(file: Path) -> Iterator["ImageFile"]:
    """Open a picture; raise DataError, naming the file, if that or what is done with it fails."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # for damaged metadata beside the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as image:
                yield image
    except UnidentifiedImageError as error:
        if not file.stat().st_size:
            raise DataError(f"{file}: an empty file; replace or remove it") from error
        remedy = "convert it to PNG, say, or remove it from the folder"
        raise DataError(f"{file}: not an image of {', '.join(FORMATS)}; {remedy}") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(
            f"{file}: more than {Image.MAX_IMAGE_PIXELS:,} pixels, which take too much memory; "
            "scale it down, raise PIL.Image.MAX_IMAGE_PIXELS, or remove it"
        ) from error
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{file}: damaged image ({reason}); replace or remove it") from error


def _in_bytes(file: Path, opened: "ImageFile") -> "Image":
    """Return the picture in mode L or RGB, turned as its camera says."""
    from PIL import ImageOps

    stored = str([tile.args for tile in opened.tile])
    deep = ";16" in stored and "BGR" not in stored  # BGR;16 are 16 bits for all three channels
    ImageOps.exif_transpose(opened, in_place=True)
    image: Image = opened
    if image.mode.startswith("I"):
        return _from_integers(file, image, opened.format)
    if image.mode == "F":
        raise _unknown_white(file, image)
    if image.mode == "LAB":
        raise DataError(f"{file}: colours in {image.mode}; save it in RGB")
    if image.mode in ("P", "LA", "PA"):
        image = image.convert("RGBA")  # a palette may hold transparency
    if image.mode == "RGBA" and _is_drawn_by_transparency(image):
        raise DataError(
            f"{file}: one colour, its shapes are in the transparency alone; save it on a background"
        )
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    if deep and np.max(image.getextrema()) < LEAST_WHITE >> 8:
        raise DataError(f"{file}: 16 bits a channel, none above {LEAST_WHITE - 1:,}; {ONE_SCALE}")
    return image


def _is_drawn_by_transparency(image: "Image") -> bool:
    pixels = np.asarray(image).reshape(-1, 4)
    *colours, alpha = (pixels != pixels[0]).any(axis=0).tolist()
    return alpha and not any(colours)


def _from_integers(file: Path, image: "Image", format: str | None) -> "Image":
    """Return a grey image of 16 bits with the high 8 of them, where convert() would clip."""
    from PIL import Image

    of_16_bits = image.mode.startswith("I;16") or format in ("PNG", "PPM")
    dark = 0 < _extrema(image)[1] < LEAST_WHITE and format != "PPM"  # which states its white
    if dark or not of_16_bits:
        raise _unknown_white(file, image)
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _unknown_white(file: Path, image: "Image") -> DataError:
    low, high = _extrema(image)
    return DataError(f"{file}: values from {low:,} to {high:,} (mode {image.mode}); {ONE_SCALE}")


def _extrema(image: "Image") -> tuple[Any, Any]:
    """Return the lowest and the highest value of an image with one channel."""
    values = np.asarray(image)
    return values.min().item(), values.max().item()
