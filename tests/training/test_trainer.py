"""`Trainer` on tiny networks: the same numbers every time, wherever the training was cut."""

import copy
import math
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from nasopt.data import digits, tensors
from nasopt.data.readers import Split
from nasopt.errors import OutOfMemory
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Conv, Dense
from nasopt.training.batches import normalisation
from nasopt.training.devices import device_name
from nasopt.training.evaluation import Evaluation, Recipe
from nasopt.training.trainer import SCORED_PIXELS, Trainer, balanced_weights, evaluate
from tests.training.small import (
    FEW,
    RECIPE,
    SMALL,
    TRAIN,
    VALIDATION,
    metrics,
    through_a_file,
    trainer,
    weights,
)

# the same numbers


def test_the_same_evaluation_gives_the_same_metrics_bit_for_bit():
    recipe = Recipe(epochs=3, batch_size=32, shift=1, flip=True, label_smoothing=0.1)
    first, second = trainer(recipe), trainer(recipe)
    assert metrics(first.epochs()) == metrics(second.epochs())
    assert weights(first) == weights(second)


@settings(max_examples=25, deadline=None)
@given(
    optimizer=st.sampled_from(("sgd", "adamw")),
    schedule=st.sampled_from(("cosine", "onecycle", "constant")),
    shift=st.integers(0, 2),
    flip=st.booleans(),
    crop=st.sampled_from((1.0, 0.5)),
    jitter=st.sampled_from((0.0, 0.3)),
    cutout=st.integers(0, 3),
    batches=st.integers(0, 9),  # of 2 epochs of 4 batches, and 2 results
)
def test_a_training_cut_anywhere_goes_on_bit_for_bit(batches, **fields):
    recipe = Recipe(epochs=2, batch_size=32, **fields)
    whole, first, second = trainer(recipe), trainer(recipe), trainer(recipe)
    uninterrupted = metrics(whole.batches())
    before = metrics(islice(first.batches(), batches))
    second.load_state_dict(through_a_file(first.state_dict()))
    assert before + metrics(second.batches()) == uninterrupted
    assert weights(second) == weights(whole)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_an_epoch_resumed_in_its_middle_trains_only_the_batches_that_are_left(optimizer):
    recipe = Recipe(epochs=2, batch_size=32, optimizer=optimizer, shift=1, flip=True)
    first, second = trainer(recipe), trainer(recipe)
    list(islice(first.batches(), 4 + 1 + 2))  # an epoch, its result, half an epoch
    state = through_a_file(first.state_dict())
    assert (state["epoch"], state["batch"]) == (1, 2)
    second.load_state_dict(state)
    assert [result is None for result in second.batches()] == [True, True, False]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_training_on_leaves_the_state_that_was_loaded_as_it_was(optimizer):
    recipe = Recipe(epochs=2, batch_size=32, optimizer=optimizer)
    first, second = trainer(recipe), trainer(recipe)
    list(islice(first.batches(), 2))
    state = through_a_file(first.state_dict())
    before = copy.deepcopy(state)
    second.load_state_dict(state)
    list(islice(second.batches(), 2))
    torch.testing.assert_close(state, before, rtol=0, atol=0)


def test_seconds_go_on_counting_when_an_epoch_is_resumed():
    first, second = trainer(), trainer()
    list(islice(first.batches(), 2))
    second.load_state_dict(first.state_dict() | {"seconds": 1000.0})
    resumed, following = second.epochs()
    assert resumed.seconds > 1000 > following.seconds


def test_torchs_global_generator_is_neither_used_nor_disturbed():
    recipe = Recipe(epochs=1, batch_size=32, shift=1, flip=True)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        before = torch.random.get_rng_state()
        first = metrics(trainer(recipe).epochs())
        assert torch.equal(torch.random.get_rng_state(), before)
        torch.manual_seed(2)
        assert metrics(trainer(recipe).epochs()) == first


def test_initial_weights_follow_from_the_seed():
    assert weights(trainer(seed=3)) == weights(trainer(seed=3))
    assert weights(trainer(seed=3)) != weights(trainer(seed=4))


def test_the_training_seed_decides_the_order_of_the_images_too():
    first, second = trainer(seed=3), trainer(seed=4)
    second.network.load_state_dict(first.network.state_dict())
    assert metrics(first.epochs()) != metrics(second.epochs())


def test_weights_begin_as_he_normal_and_the_classifiers_with_variance_one_over_fan_in():
    wide = trainer(architecture=Architecture((Conv(filters=400), Dense(width=500))))
    convolution, dense, classifier = (
        module for module in wide.network.modules() if isinstance(module, nn.Conv2d | nn.Linear)
    )
    assert convolution.weight.std().item() == pytest.approx(math.sqrt(2 / (1 * 3 * 3)), rel=0.05)
    assert dense.weight.std().item() == pytest.approx(math.sqrt(2 / 400), rel=0.05)
    assert classifier.weight.std().item() == pytest.approx(math.sqrt(1 / 500), rel=0.05)
    assert dense.bias.eq(0).all()
    assert classifier.bias.eq(0).all()


# what an epoch is


def test_it_learns_digits():
    dataset = digits()
    train, validation, _ = dataset.load()
    good = Architecture((Conv(filters=16), Conv(filters=32, stride=2)))
    recipe = Recipe(epochs=6, batch_size=32, optimizer="adamw", lr=0.02)
    *_, last = Trainer(Evaluation(good, recipe, dataset, 0), train, validation, 10).epochs()
    assert last.accuracy > 0.9
    assert last.epoch == 6


def test_images_that_do_not_fill_a_batch_wait_for_another_epoch():
    steps = list(trainer(Recipe(epochs=1, batch_size=64)).batches())
    assert [step is None for step in steps] == [True] * (150 // 64) + [False]


def test_a_batch_size_above_the_number_of_images_takes_all_of_them_at_once():
    steps = list(trainer(Recipe(epochs=2, batch_size=1000)).batches())
    assert [step is None for step in steps] == [True, False] * 2


def test_results_say_on_what_they_were_made():
    (result,) = trainer(Recipe(epochs=1)).epochs()
    assert result.device == device_name(torch.device("cpu"))
    assert result.torch == torch.__version__
    assert type(result.torch) is str


def test_train_loss_is_the_smoothed_loss_in_training_mode():
    untrained = trainer().network.train()
    recipe = Recipe(epochs=1, batch_size=150, label_smoothing=0.2)
    (result,) = trainer(recipe).epochs()
    mean, scale = normalisation(TRAIN)
    with torch.no_grad():
        logits = untrained((TRAIN.images.float() - mean) * scale)
    expected = F.cross_entropy(logits, TRAIN.labels, label_smoothing=0.2)
    assert result.train_loss == pytest.approx(expected.item(), rel=1e-5)


def test_accuracy_and_loss_are_of_the_validation_images_in_evaluation_mode():
    trained = trainer()
    *_, last = trained.epochs()
    mean, scale = normalisation(TRAIN)
    with torch.no_grad():
        logits = trained.network.eval()((VALIDATION.images.float() - mean) * scale)
    correct = (logits.argmax(1) == VALIDATION.labels).sum().item()
    assert last.accuracy == correct / 50
    loss = F.cross_entropy(logits, VALIDATION.labels)
    assert last.loss == pytest.approx(loss.item(), rel=1e-5)


def test_weight_decay_spares_biases_and_batch_norms():
    plain, decayed = (
        trainer(Recipe(epochs=1, batch_size=150, lr=0.1, weight_decay=decay)) for decay in (0.0, 1)
    )
    for each in (plain, decayed):
        next(each.batches())
    pairs = zip(plain.network.named_parameters(), decayed.network.parameters(), strict=True)
    differing = {name for (name, one), other in pairs if not torch.equal(one, other)}
    matrices = {name for name, each in plain.network.named_parameters() if each.ndim > 1}
    assert differing == matrices


def test_a_diverging_training_ends_after_the_epoch_in_which_it_did():
    (result,) = trainer(Recipe(epochs=5, batch_size=32, lr=1e9)).epochs()
    assert result.epoch == 1
    assert result.diverged
    assert math.isnan(result.train_loss)


def test_a_finite_training_has_not_diverged():
    assert [result.diverged for result in trainer().epochs()] == [False, False]


def test_a_network_that_does_not_fit_the_memory_is_out_of_memory():
    absurd = Architecture(tuple(Conv(filters=10_000_000, kernel_size=31) for _ in range(2)))
    with pytest.raises(
        OutOfMemory, match=r"^out of memory on cpu; use a smaller batch_size, or limits="
    ):
        trainer(architecture=absurd)


# what the network is fed


def test_labels_stay_with_their_images_however_they_are_moved():
    bright = torch.tensor([0, 250])[torch.arange(40) % 2]
    split = Split(bright.to(torch.uint8).view(40, 1, 1, 1).expand(40, 1, 8, 8), bright // 250)
    recipe = Recipe(epochs=4, batch_size=8, shift=1, flip=True, lr=0.05)
    evaluation = Evaluation(SMALL, recipe, tensors(*split), 0)
    *_, last = Trainer(evaluation, split, split, classes=2).epochs()
    assert last.accuracy == 1


def test_weights_and_batches_lie_channels_last():
    pixels = torch.arange(12 * 3 * 4 * 4).reshape(12, 3, 4, 4) % 251
    split = Split(pixels.to(torch.uint8), torch.arange(12) % 2)
    network = Architecture((Conv(filters=4), Conv(filters=4)))
    recipe = Recipe(epochs=1, batch_size=4, shift=1, flip=True)
    trainer = Trainer(Evaluation(network, recipe, tensors(*split), 0), split, split, classes=2)
    convolutions = [each for each in trainer.network.modules() if isinstance(each, nn.Conv2d)]
    layouts = []

    def note(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        for tensor in (module.weight, inputs[0]):
            layouts.append(tensor.is_contiguous(memory_format=torch.channels_last))
            layouts.append(not tensor.is_contiguous())

    for convolution in convolutions:
        convolution.register_forward_pre_hook(note)
    list(trainer.epochs())
    batches = 12 // 4 + 1  # trained and scored
    assert layouts == [True] * (batches * 2 * 2 * 2)


def test_evaluate_scores_every_image_of_a_split_of_several_batches():
    images = torch.arange(2500, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 32, 32)
    assert 2 * SCORED_PIXELS < images.numel() < 3 * SCORED_PIXELS
    split = Split(images, torch.arange(2500) % 2)

    def logits(images: torch.Tensor) -> torch.Tensor:  # right for every image below 1000
        number = images[:, 0, 0, 0].long()
        guess = torch.where(number < 1000, number % 2, 1 - number % 2)
        return F.one_hot(guess, 2).float()

    class Guess(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            assert not self.training
            return logits(images)

    confusion, loss = evaluate(Guess(), split, lambda images: images, nullcontext)
    right, wrong = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    assert sum(confusion[each][each] for each in (0, 1)) == 1000
    assert sum(map(sum, confusion)) == 2500
    assert loss == pytest.approx((1000 * right + 1500 * wrong) / 2500, rel=1e-5)


# weights of classes


def test_balanced_weights_are_those_of_scikit_learn():
    labels = torch.tensor([0, 0, 0, 2, 2, 3])
    theirs = compute_class_weight("balanced", classes=np.array([0, 2, 3]), y=labels.numpy())
    weights = balanced_weights(labels, classes=5)
    assert weights[[0, 2, 3]].tolist() == pytest.approx(theirs)
    assert weights[[1, 4]].tolist() == [0, 0]
    assert weights[labels].mean().item() == pytest.approx(1)


def test_balanced_classes_are_trained_as_without_weights_but_for_rounding():
    chosen = torch.cat([(TRAIN.labels == each).nonzero()[:8, 0] for each in range(10)])
    even = Split(TRAIN.images[chosen], TRAIN.labels[chosen])
    plain, weighted = (
        next(
            Trainer(
                Evaluation(SMALL, Recipe(epochs=1, batch_size=16, class_weights=each), FEW, 3),
                even, VALIDATION, 10,
            ).epochs()
        )
        for each in (None, "balanced")
    )  # fmt: skip
    assert weighted.metrics == pytest.approx(plain.metrics, rel=1e-5)


def uneven() -> Split:
    """The training images with a twelfth of the eights."""
    kept = (TRAIN.labels != 8) | (torch.arange(len(TRAIN.labels)) % 12 == 0)
    return Split(TRAIN.images[kept], TRAIN.labels[kept])


def weighted(recipe: Recipe) -> Trainer:
    return Trainer(Evaluation(SMALL, recipe, FEW, 3), uneven(), VALIDATION, 10)


def test_the_loss_of_a_batch_is_the_mean_by_weight():
    recipe = Recipe(epochs=1, batch_size=len(uneven().labels), class_weights="balanced")
    each = weighted(recipe)
    (draw,) = each.batches_of.draws(0)
    images, labels = each.batches_of.make(draw)
    each.network.train()
    losses = F.cross_entropy(each.network(images), labels, reduction="none").detach()
    weights = balanced_weights(uneven().labels, 10)[labels]
    (_, result) = weighted(recipe).batches()
    expected = float((losses * weights).sum() / weights.sum())
    assert result.train_loss == pytest.approx(expected, rel=1e-5)
    assert result.train_loss != pytest.approx(float(losses.mean()), rel=1e-5)


def test_a_training_with_class_weights_goes_on_bit_for_bit():
    recipe = replace(RECIPE, class_weights="balanced")
    whole, first, second = weighted(recipe), weighted(recipe), weighted(recipe)
    uninterrupted = metrics(whole.batches())
    before = metrics(islice(first.batches(), 6))
    second.load_state_dict(through_a_file(first.state_dict()))
    assert before + metrics(second.batches()) == uninterrupted
    assert uninterrupted != metrics(weighted(RECIPE).batches())
