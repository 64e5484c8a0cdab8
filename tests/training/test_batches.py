"""`nasopt.training.batches`: every image once, moved and mirrored by coordinates, normalised."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nasopt.data.readers import Split
from nasopt.training.batches import Batches, normalisation, shifted
from nasopt.training.evaluation import Recipe

CPU = torch.device("cpu")


def numbered(images: int) -> Split:
    """Colour images without symmetries, each to be told from the others by any of its pixels."""
    pixels = torch.arange(images * 3 * 4 * 4).reshape(images, 3, 4, 4) % 251
    return Split(pixels.to(torch.uint8), torch.arange(images) % 2)


def fed(recipe: Recipe, split: Split, seed: int = 0) -> list[list[torch.Tensor]]:
    """Epoch by epoch, the images that a network is trained on, as bytes again."""
    batches = Batches(recipe, split, seed, CPU)
    mean, scale = normalisation(split)
    return [
        [
            (image / scale + mean)[0].round().to(torch.uint8)
            for draw in batches.draws(epoch)
            for image in batches.make(draw)[0]
        ]
        for epoch in range(recipe.epochs)
    ]


def as_set(images: Any) -> set[tuple[int, ...]]:
    return {tuple(image.flatten().tolist()) for image in images}


def test_an_epoch_is_every_image_once_in_an_order_of_its_own():
    split = numbered(12)
    first, second = fed(Recipe(epochs=2, batch_size=4), split)
    assert len(first) == len(second) == 12
    assert as_set(first) == as_set(second) == as_set(split.images)
    assert not all(map(torch.equal, first, second))


def test_flip_mirrors_about_half_of_the_images():
    split = numbered(64)
    (images,) = fed(Recipe(epochs=1, batch_size=16, flip=True), split)
    straight, mirrored = as_set(split.images), as_set(split.images.flip(3))
    assert as_set(images) <= straight | mirrored
    assert 16 < len(as_set(images) & mirrored) < 48  # of 64, half: within 4 deviations


def test_shift_moves_each_image_by_up_to_so_many_pixels_in_every_direction():
    split = numbered(64)
    (images,) = fed(Recipe(epochs=1, batch_size=16, shift=1), split)
    moves = {(down, right) for down in range(3) for right in range(3)}
    possible = {
        move: as_set(
            shifted(
                split.images, 1, torch.full((64,), move[0], dtype=int), torch.full((64,), move[1])
            )
        )
        for move in moves
    }
    seen = {move for image in as_set(images) for move in moves if image in possible[move]}
    assert seen == moves
    assert as_set(images) <= set().union(*possible.values())


@given(data=st.data(), most=st.integers(1, 3), batch=st.integers(1, 4), channels=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_shifted_moves_every_image_by_its_own_pixels(data, most, batch, channels):
    height, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    images = torch.arange(1, batch * channels * height * width + 1, dtype=torch.int32)
    images = images.view(batch, channels, height, width)
    moves = st.lists(st.integers(0, 2 * most), min_size=batch, max_size=batch)
    down, right = torch.tensor(data.draw(moves)), torch.tensor(data.draw(moves))
    expected = torch.zeros_like(images)
    for image in range(batch):
        for y in range(height):
            for x in range(width):
                from_y, from_x = y + int(down[image]) - most, x + int(right[image]) - most
                if 0 <= from_y < height and 0 <= from_x < width:
                    expected[image, :, y, x] = images[image, :, from_y, from_x]
    assert torch.equal(shifted(images, most, down, right), expected)


@given(images=st.integers(1, 20), channels=st.integers(1, 3), seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_normalisation_is_the_mean_and_deviation_of_each_channel(images, channels, seed):
    random = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (images, channels, 3, 2), dtype=torch.uint8, generator=random)
    mean, scale = normalisation(Split(pixels, torch.zeros(images)))
    assert mean.shape == scale.shape == (1, channels, 1, 1)
    doubles = pixels.double()
    deviation = doubles.std((0, 2, 3), correction=0)
    torch.testing.assert_close(mean.flatten().double(), doubles.mean((0, 2, 3)), rtol=1e-6, atol=0)
    torch.testing.assert_close(scale.flatten().double(), 1 / deviation, rtol=1e-6, atol=0)


def test_a_channel_that_is_constant_is_centred_and_not_blown_up():
    mean, scale = normalisation(Split(torch.full((5, 1, 2, 2), 7, dtype=torch.uint8), None))
    assert (mean.item(), scale.item()) == (7, 1)


@pytest.mark.parametrize("first", [0, 2])
def test_a_split_that_stays_on_the_host_gives_the_same_batches(first):
    recipe = Recipe(batch_size=4, shift=1, flip=True, crop=0.5, jitter=0.2, cutout=2)
    resident, copied = (Batches(recipe, numbered(14), 5, CPU) for _ in range(2))
    copied.resident = False  # as where the device has no room for it
    pairs = zip(resident.draws(3, first), copied.draws(3, first), strict=True)
    batches = [(resident.make(here), copied.make(there)) for here, there in pairs]
    assert len(batches) == 14 // 4 - first
    for (images, labels), (same_images, same_labels) in batches:
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)


def test_an_epoch_taken_up_in_its_middle_draws_what_is_left_of_it():
    batches = Batches(Recipe(batch_size=4, shift=1, flip=True), numbered(12), 5, CPU)
    *_, last = batches.draws(epoch=1)
    (again,) = batches.draws(epoch=1, first=2)
    assert last.keys() == again.keys() == {"chosen", "down", "right", "flipped"}
    assert all(torch.equal(last[name], again[name]) for name in last)


def test_augmentations_are_drawn_by_coordinates():
    recipe = Recipe(batch_size=4, crop=0.4, jitter=0.3, cutout=2)

    def made(seed: int, epoch: int) -> list[list[float]]:
        batches = Batches(recipe, numbered(12), seed, CPU)
        return [batches.make(draw)[0].flatten().tolist() for draw in batches.draws(epoch)]

    assert made(5, 1) == made(5, 1)
    assert made(5, 1) != made(5, 2) != made(6, 2)


def test_augmentations_that_are_off_draw_nothing():
    (draw, *_) = Batches(Recipe(batch_size=4), numbered(12), 5, CPU).draws(0)
    assert draw.keys() == {"chosen"}


def test_the_pixels_of_a_large_split_are_counted_in_pieces(monkeypatch):
    split = numbered(50)
    whole = normalisation(split)
    normalisation.cache_clear()
    monkeypatch.setattr("nasopt.training.batches.COUNTED", 7 * 16)
    assert all(map(torch.equal, normalisation(split), whole))
