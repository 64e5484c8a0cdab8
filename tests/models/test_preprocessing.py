import json

import pytest
import torch

from nasopt.data.readers import Split
from nasopt.models.preprocessing import Preprocessing
from nasopt.training.batches import normalisation


@pytest.mark.parametrize("seed", range(40))
def test_through_json_the_numbers_are_those_of_the_training_bit_for_bit(seed):
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (5, 3, 4, 6), generator=random, dtype=torch.uint8)
    images[:, seed % 3] = seed  # a channel may be constant
    split = Split(images, torch.arange(5) % 2)
    made = Preprocessing.of(split, ("a", "b"))
    read = Preprocessing.from_json(json.loads(json.dumps(made.to_json())))
    assert read == made
    assert read.input_shape == (3, 4, 6)
    for ours, theirs in zip(read.offset_and_scale, normalisation(split), strict=True):
        assert torch.equal(ours, theirs)
