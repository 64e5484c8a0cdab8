"""Augmentations of whole batches on their device; what they draw is drawn on the host beforehand.

Images are floats from 0 to 255, (batch, channels, height, width). For one image they are what
torchvision's functions do, with a draw of its own for each image of the batch.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

RATIOS = (3 / 4, 4 / 3)  # of width to height of a window, by which it may be stretched
GREY = (0.2989, 0.587, 0.114)  # the weights of red, green and blue


def windows(count: int, side: Sequence[int], least: float, random: torch.Generator) -> torch.Tensor:
    """Draw `count` windows (top, left, height, width) in images of `side`, in whole pixels.

    A window has a share of the area from `least` to 1, and one of `RATIOS` (on a log scale); a side
    that would be too long is as long as the image's.

    Source: Szegedy et al. 2015, "Going deeper with convolutions".
    """
    height, width = side
    area, ratio, down, right = torch.rand(4, count, generator=random, dtype=torch.float64)
    area = (least + (1 - least) * area) * height * width
    low, high = map(math.log, RATIOS)
    ratio = torch.exp(low + (high - low) * ratio)
    wide = (area * ratio).sqrt().round().clamp(1, width)
    high_ = (area / ratio).sqrt().round().clamp(1, height)
    top, left = (down * (height - high_ + 1)).floor(), (right * (width - wide + 1)).floor()
    return torch.stack([top, left, high_, wide], dim=1).long()


def resized(images: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    """Scale the own window of each image (batch, 4) to the size of the images, bilinearly."""
    top, left, tall, wide = window.to(images.dtype).unbind(1)
    height, width = images.shape[2:]
    y = _places(top, tall, height)[:, :, None].expand(-1, -1, width)
    x = _places(left, wide, width)[:, None, :].expand(-1, height, -1)
    grid = torch.stack([x, y], dim=3)
    scaled: torch.Tensor = F.grid_sample(images, grid, mode="bilinear", align_corners=False)
    return scaled


def _places(first: torch.Tensor, length: torch.Tensor, size: int) -> torch.Tensor:
    """Return where to read the `size` pixels of an axis, (batch, size), from -1 to 1.

    Nothing outside of the window is read.
    """
    pixels = torch.arange(size, device=first.device, dtype=first.dtype) + 0.5
    within = pixels * length[:, None] / size - 0.5
    within = torch.minimum(within.clamp(min=0), length[:, None] - 1)
    return (2 * (first[:, None] + within) + 1) / size - 1


def jittered(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Change brightness, contrast and saturation (colour images have one) by `factors` (batch, 3).

    The order is that; each result is cut to 0 and 255.
    """
    brightness, contrast, saturation = factors[:, :, None, None, None].unbind(1)
    images = (images * brightness).clamp(0, 255)
    mean = _grey(images).mean((1, 2, 3), keepdim=True)
    images = torch.lerp(mean.expand_as(images), images, contrast).clamp(0, 255)
    if images.shape[1] != len(GREY):
        return images
    return torch.lerp(_grey(images).expand_as(images), images, saturation).clamp(0, 255)


def _grey(images: torch.Tensor) -> torch.Tensor:
    if images.shape[1] != len(GREY):
        return images
    red, green, blue = (images[:, place : place + 1] for place in range(3))
    return red * GREY[0] + green * GREY[1] + blue * GREY[2]


def squares(count: int, side: Sequence[int], size: int, random: torch.Generator) -> torch.Tensor:
    """Draw `count` squares (top, bottom, left, right) of `size` pixels; their centres are inside.

    A part of a square may be outside.
    """
    centres = [torch.randint(0, each, (count,), generator=random) for each in side]
    first = [each - size // 2 for each in centres]
    return torch.stack([each for start in first for each in (start, start + size)], dim=1)


def covered(images: torch.Tensor, square: torch.Tensor) -> torch.Tensor:
    """Set the own square of each image (batch, 4) to 0, which is the mean of normalised images."""
    top, bottom, left, right = square[:, :, None].unbind(1)
    y = torch.arange(images.shape[2], device=images.device)
    x = torch.arange(images.shape[3], device=images.device)
    rows, columns = (top <= y) & (y < bottom), (left <= x) & (x < right)
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)
