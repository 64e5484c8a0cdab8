"""Augmentations of a batch are torchvision's of each image."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional

from nasopt.training.augmentation import covered, jittered, resized, squares, windows

SIDE = (9, 12)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(batch: int, channels: int = 3) -> torch.Tensor:
    return torch.randint(0, 256, (batch, channels, *SIDE), generator=random()).float()


@settings(max_examples=30, deadline=None)
@given(
    least=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
    side=st.tuples(*[st.integers(1, 40)] * 2),
)
def test_windows_are_inside_and_of_the_least_area_or_more(least, seed, side):
    top, left, height, width = windows(200, side, least, random(seed)).unbind(1)
    for first, length, most in ((top, height, side[0]), (left, width, side[1])):
        assert first.min() >= 0
        assert length.min() >= 1
        assert (first + length).max() <= most
    # rounded to whole pixels, and cut where it would be longer than the image
    shares = (height + 0.5) * (width + 0.5) / (side[0] * side[1])
    whole = (height == side[0]) | (width == side[1])
    assert (shares[~whole] >= least - 1e-9).all()


def test_windows_are_of_all_sizes_at_all_places():
    top, _, height, width = windows(5_000, (32, 32), 0.25, random()).unbind(1)
    assert {*range(16, 33)} <= {*height.tolist()}
    assert {*top.tolist()} >= {*range(15)}
    ratios = (width / height)[(height < 30) & (width < 30)]
    assert ratios.min() == pytest.approx(3 / 4, abs=0.06)
    assert ratios.max() == pytest.approx(4 / 3, abs=0.1)


def test_a_window_is_scaled_as_torchvision_does_it():
    images = pictures(64)
    window = windows(64, SIDE, 0.1, random())
    ours = resized(images, window)
    for image, own, (top, left, height, width) in zip(images, ours, window.tolist(), strict=True):
        theirs = functional.resized_crop(image, top, left, height, width, SIDE, antialias=False)
        torch.testing.assert_close(own, theirs, rtol=0, atol=2e-2)  # of 255


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_change_as_torchvision_does_it(channels):
    images = pictures(32, channels)
    factors = 0.5 + torch.rand(32, 3, generator=random())
    ours = jittered(images, factors)
    for image, own, (brightness, contrast, saturation) in zip(
        images / 255, ours / 255, factors.tolist(), strict=True
    ):
        theirs = functional.adjust_brightness(image, brightness)
        theirs = functional.adjust_contrast(theirs, contrast)
        if channels == 3:
            theirs = functional.adjust_saturation(theirs, saturation)
        torch.testing.assert_close(own, theirs, rtol=0, atol=1e-5)


def test_factors_of_one_change_nothing():
    images = pictures(4)
    torch.testing.assert_close(jittered(images, torch.ones(4, 3)), images)
    whole = torch.tensor([[0, 0, *SIDE]] * 4)
    torch.testing.assert_close(resized(images, whole), images, rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_square_of_each_image_is_covered(size):
    images = torch.ones(2_000, 2, *SIDE)
    square = squares(2_000, SIDE, size, random())
    holes = covered(images, square) == 0
    assert torch.equal(holes[:, 0], holes[:, 1])
    sums = holes[:, 0].sum((1, 2))
    assert sums.max() == size**2
    assert sums.min() >= (size // 2 + size % 2) ** 2 or size == 1
    assert holes[:, 0].any(0).all()  # wherever one looks
    for hole, (top, bottom, left, right) in zip(holes[:, 0], square.tolist(), strict=True):
        expected = torch.zeros(SIDE, dtype=torch.bool)
        expected[max(0, top) : bottom, max(0, left) : right] = True
        assert torch.equal(hole, expected)
