"""`Batches`: a training split as augmented, normalised batches.

Every random number has coordinates (seed, purpose, epoch), and nothing draws from a global
generator. A batch is drawn on the host, as a few small tensors, and made on the device.
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F

from nasopt.data.readers import Split
from nasopt.training.augmentation import covered, jittered, resized, squares, windows
from nasopt.training.devices import wait_for_own
from nasopt.training.evaluation import Recipe

Draw = dict[str, torch.Tensor]  # the ingredients of a batch, on the device
COUNTED = 2**24  # pixels at once: as whole numbers they take four times their bytes


def generator(*coordinates: int | str) -> torch.Generator:
    """Return a CPU generator for the coordinates (seed, purpose, ...), equal on every device."""
    digest = hashlib.blake2b(repr(coordinates).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


class Batches:
    """The batches of `split` for a network on `device`.

    A split that is kept elsewhere, as the device has no room for it, is copied batch by batch.
    """

    def __init__(self, recipe: Recipe, split: Split, seed: int, device: torch.device) -> None:
        self.split = split
        self.seed = seed
        self.device = device
        self.flip = recipe.flip
        self.shift: int = recipe.chosen("shift")
        self.crop: float = recipe.chosen("crop")
        self.jitter: float = recipe.chosen("jitter")
        self.cutout: int = recipe.chosen("cutout")
        self.size = min(recipe.chosen("batch_size"), len(split.labels))
        self.per_epoch = len(split.labels) // self.size  # the rest is left out of this epoch
        self.mean, self.scale = (each.to(device) for each in normalisation(split))
        self.resident = split.images.device == self.mean.device

    def draws(self, epoch: int, first: int = 0) -> Iterator[Draw]:
        """Yield the draws of an epoch, from batch `first` on, without waiting for the device."""
        count = len(self.split.labels)
        order = torch.randperm(count, generator=generator(self.seed, "order", epoch))
        whole: Draw = {"chosen": order}
        if self.shift:
            random = generator(self.seed, "shift", epoch)
            whole["down"], whole["right"] = torch.randint(
                0, 2 * self.shift + 1, (2, count), generator=random
            )
        if self.flip:
            whole["flipped"] = (
                torch.rand(count, generator=generator(self.seed, "flip", epoch)) < 0.5
            )
        if self.crop < 1:
            random = generator(self.seed, "crop", epoch)
            whole["window"] = windows(count, self.split.images.shape[2:], self.crop, random)
        if self.jitter:
            share = torch.rand(count, 3, generator=generator(self.seed, "jitter", epoch))
            whole["factors"] = 1 + self.jitter * (2 * share - 1)
        if self.cutout:
            random = generator(self.seed, "cutout", epoch)
            whole["square"] = squares(count, self.split.images.shape[2:], self.cutout, random)
        whole = {name: self._sent(each) for name, each in whole.items()}
        for batch in range(first, self.per_epoch):
            place = slice(batch * self.size, (batch + 1) * self.size)
            draw = {name: each[place] for name, each in whole.items()}
            if not self.resident:
                chosen = order[place]
                draw["images"] = self._sent(self.split.images[chosen])
                draw["labels"] = self._sent(self.split.labels[chosen])
            yield draw

    def make(self, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (images as the network takes them, labels), by work on the device alone."""
        if self.resident:
            images, labels = (each[draw["chosen"]] for each in self.split)
        else:
            images, labels = draw["images"], draw["labels"]
        if self.shift:
            images = shifted(images, self.shift, draw["down"], draw["right"])
        if self.flip:
            images = torch.where(draw["flipped"][:, None, None, None], images.flip(3), images)
        if self.crop < 1 or self.jitter:
            images = images.to(self.device)
            images = images.to(torch.float32, memory_format=torch.channels_last)
        if self.crop < 1:
            images = resized(images, draw["window"])
        if self.jitter:
            images = jittered(images, draw["factors"])
        normal = self.normalised(images)
        return covered(normal, draw["square"]) if self.cutout else normal, labels

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        images = images.to(self.device)  # as bytes: else torch would convert them on the host
        floats = images.to(torch.float32, memory_format=torch.channels_last)
        return floats.sub_(self.mean).mul_(self.scale)

    def _sent(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return `tensor` on the device; from pinned memory CUDA copies without waiting."""
        on_cuda = self.device.type == "cuda"
        return (tensor.pin_memory() if on_cuda else tensor).to(self.device, non_blocking=on_cuda)


def shifted(
    images: torch.Tensor, most: int, down: torch.Tensor, right: torch.Tensor
) -> torch.Tensor:
    """Move each image of a batch by its own `down` - most and `right` - most pixels.

    `down` and `right` (batch,) are whole numbers from 0 to 2 * most. Pixels that enter are black.
    """
    batch, _, height, width = images.shape
    padded = F.pad(images, (most, most, most, most))
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # (b, c, 2m + 1, 2m + 1, h, w)
    return windows[torch.arange(batch, device=images.device), :, down, right]


@lru_cache(maxsize=1)  # a search trains on one split again and again
def normalisation(train: Split) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean of all training pixels and 1 / deviation, each (1, channels, 1, 1)."""
    channels = train.images.shape[1]
    levels = torch.arange(256, dtype=torch.float64)
    means, scales = [], []
    at_once = max(1, COUNTED // train.images[0, 0].numel())
    for channel in range(channels):
        counts = torch.zeros(256, dtype=torch.int64)
        for first in range(0, len(train.images), at_once):
            pixels = train.images[first : first + at_once, channel].reshape(-1)
            counts += torch.bincount(pixels.int(), minlength=256).cpu()
        share = counts.double() / counts.sum()
        mean = (share * levels).sum()
        deviation = (share * (levels - mean) ** 2).sum().sqrt()
        means.append(mean)
        scales.append(1 / deviation.clamp(min=1.0))  # a channel may be constant
    both = torch.stack([torch.stack(means), torch.stack(scales)]).float()
    mean, scale = both.to(train.images.device).view(2, 1, channels, 1, 1)
    wait_for_own(train.images.device)  # other threads get it from the cache, on their own streams
    return mean, scale
