"""`Preprocessing`: how a picture becomes what a network takes, exactly as in its training."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from nasopt.data.pictures import read_picture
from nasopt.data.readers import Split
from nasopt.errors import DataError
from nasopt.space.layers import Shape, in_pixels
from nasopt.training.batches import normalisation

LONGEST_SIDE = 2**14  # pixels; more in a file is no size that somebody trained on
COLOURS = {1: "grey", 3: "RGB"}  # by channels; of others there are no picture files


@dataclass(frozen=True)
class Preprocessing:
    """The size of the images, the mean and deviation of each channel, and the classes in order.

    `mean` and `deviation` are of the bytes, from 0 to 255, of all training pixels.
    """

    size: tuple[int, int]  # (height, width)
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, train: Split, classes: tuple[str, ...]) -> Self:
        """Return the preprocessing of a training on `train`."""
        mean, scale = (each.flatten().double().cpu() for each in normalisation(train))
        height, width = train.images.shape[2:]
        return cls((height, width), tuple(mean.tolist()), tuple((1 / scale).tolist()), classes)

    @property
    def channels(self) -> int:
        return len(self.mean)

    @property
    def input_shape(self) -> Shape:
        return (self.channels, *self.size)

    @property
    def colour(self) -> str | None:
        """The mode of the pictures: "grey" or "RGB"; None if no picture has so many channels."""
        return COLOURS.get(self.channels)

    @property
    def offset_and_scale(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean and 1 / deviation, each (1, channels, 1, 1), bit for bit as in training."""
        mean, deviation = (
            torch.tensor(each, dtype=torch.float64).view(1, -1, 1, 1)
            for each in (self.mean, self.deviation)
        )
        return mean.float(), (1 / deviation).float()

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        """Return uint8 `images` (n, channels, height, width) as the network takes them."""
        mean, scale = (each.to(images.device) for each in self.offset_and_scale)
        return images.float().sub_(mean).mul_(scale)

    def read(self, file: Path) -> torch.Tensor:
        """Return the picture in `file` as uint8 (channels, height, width): its centre square.

        Raises DataError, naming the file, if it is no sound picture.
        """
        from PIL import Image

        height, width = self.size
        if self.colour is None or height != width:
            raise DataError(
                f"{file}: this model takes {self.channels} channels of "
                f"{in_pixels(self.size)}, which no file is turned into; give an array"
            )
        if not file.is_file():
            raise DataError(f"{file}: no such file; name a picture")
        pixels = read_picture(file, height)
        if self.colour == "grey":
            pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())

    def to_json(self) -> dict[str, Any]:
        return {
            "size": list(self.size),
            "colour": self.colour,
            "mean": list(self.mean),
            "deviation": list(self.deviation),
            "classes": list(self.classes),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the preprocessing that `to_json` wrote; raise ValueError for what cannot be."""
        height, width = value["size"]
        mean, deviation = (tuple(map(float, value[name])) for name in ("mean", "deviation"))
        classes = tuple(value["classes"])
        if not all(type(side) is int and 0 < side <= LONGEST_SIDE for side in (height, width)):
            raise ValueError(f"size={value['size']!r}")
        if not mean or len(mean) != len(deviation) or not all(map(math.isfinite, mean)):
            raise ValueError(f"mean={value['mean']!r}")
        if not all(0 < each < math.inf for each in deviation):
            raise ValueError(f"deviation={value['deviation']!r}")
        if not classes or not all(isinstance(each, str) for each in classes):
            raise ValueError("classes: not names")
        return cls((height, width), mean, deviation, classes)
