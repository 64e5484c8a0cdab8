"""Files of images as tests write them, and what is said of those that cannot be read."""

import gzip

import numpy as np
from PIL import Image

from nasopt.data.folders import ImageFolder
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
