"""The images that a model was trained on, as digests: enough to know one again.

A picture that is a copy has the same pixels once it is prepared as those of the training were.
"""

import hashlib

import torch

from nasopt.models.model import Model

TRAINED_ON = "trained-on.txt"  # of a model folder: a digest a line
DIGEST_BYTES = 8  # of 100,000 images and as many pictures: one in 10**9 is taken for another


def digest_of_image(image: torch.Tensor) -> str:
    """Return the digest of uint8 pixels (channels, height, width)."""
    content = image.cpu().contiguous().numpy().tobytes()
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def trained_on(model: Model) -> list[str]:
    """Return the digests of the images that a model was trained on; [] if they are not known."""
    if model.dataset is None or model.training is None:
        return sorted(model.trained_on)
    train, validation = model.dataset.load().seen
    images = train.images
    if model.training.validation_included:
        images = torch.cat([images, validation.images])
    return sorted({digest_of_image(each) for each in images})
