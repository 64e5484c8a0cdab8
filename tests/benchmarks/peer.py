"""The script that a user would write today: plain Optuna, plain PyTorch.

In the manner of Optuna's own PyTorch example: an objective that builds the network from what the
trial suggests, torchvision transforms image by image through a `DataLoader`, the default memory
layout, a report after each epoch. Tuned as a careful user would: SGD with Nesterov momentum on the
one-cycle schedule where the recipe says so, bias-free convolutions before batch norm, images kept
in memory, `inference_mode` for scoring.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import optuna
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from nasopt.data.readers import Split


class Images(Dataset[tuple[torch.Tensor, int]]):
    """As torchvision's MNIST class: an array in memory, a PIL image for each access."""

    def __init__(self, split: Split, transform: transforms.Compose) -> None:
        self.images = split.images[:, 0].numpy()
        self.labels = split.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def loaders(
    train: Split, validation: Split, batch_size: int, shift: int, flip: bool, workers: int = 0
) -> tuple[DataLoader[tuple[torch.Tensor, int]], DataLoader[tuple[torch.Tensor, int]]]:
    size = train.images.shape[-1]
    floats = train.images.float() / 255
    plain = [
        transforms.ToTensor(),
        transforms.Normalize((float(floats.mean()),), (float(floats.std()),)),
    ]
    augmented = [transforms.RandomCrop(size, padding=shift)] if shift else []
    augmented += [transforms.RandomHorizontalFlip()] if flip else []
    aside: dict[str, Any] = {"num_workers": workers}
    if workers:
        aside |= {"persistent_workers": True, "pin_memory": True}
    return (
        DataLoader(
            Images(train, transforms.Compose(augmented + plain)),
            batch_size=batch_size, shuffle=True, drop_last=True, **aside,
        ),
        DataLoader(Images(validation, transforms.Compose(plain)), batch_size=1000, **aside),
    )  # fmt: skip


def network(layers: Sequence[tuple[int, int, int]], classes: int = 10) -> nn.Module:
    """`layers` are (filters, kernel size, stride) of convolutions on grey images."""
    modules: list[nn.Module] = []
    channels = 1
    for filters, kernel_size, stride in layers:
        modules += [
            nn.Conv2d(channels, filters, kernel_size, stride, kernel_size // 2, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(inplace=True),
        ]
        channels = filters
    return nn.Sequential(
        *modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)
    )


def epochs(
    model: nn.Module,
    train: DataLoader[tuple[torch.Tensor, int]],
    validation: DataLoader[tuple[torch.Tensor, int]],
    count: int,
    lr: float,
    device: str = "cpu",
) -> Iterator[float]:
    """The validation accuracy after each epoch."""
    model.to(device)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=count * len(train), pct_start=0.25,
        anneal_strategy="linear", cycle_momentum=False,
    )  # fmt: skip
    for _ in range(count):
        model.train()
        for images, labels in train:
            images, labels = images.to(device, non_blocking=True), labels.to(device)
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
            schedule.step()
        model.eval()
        correct = 0
        with torch.inference_mode():
            for images, labels in validation:
                images, labels = images.to(device, non_blocking=True), labels.to(device)
                correct += int((model(images).argmax(1) == labels).sum())
        yield correct / len(validation.dataset)  # type: ignore[arg-type]


class Objective:
    """The space of `studies/fashion_mnist.py`, written as a user writes it in Optuna."""

    def __init__(
        self,
        train: Split,
        validation: Split,
        count: int,
        batch_size: int,
        lr: float,
        device: str = "cpu",
        workers: int = 0,
    ) -> None:
        self.loaders = loaders(train, validation, batch_size, shift=0, flip=False, workers=workers)
        self.count, self.lr, self.device = count, lr, device

    def __call__(self, trial: optuna.Trial) -> float:
        torch.manual_seed(trial.number)
        layers = [
            (
                trial.suggest_categorical(f"filters{i}", [8, 16, 24, 32]),
                trial.suggest_categorical(f"kernel_size{i}", [1, 3, 5]),
                trial.suggest_categorical(f"stride{i}", [1, 2]),
            )
            for i in range(trial.suggest_int("layers", 2, 5))
        ]
        accuracy = 0.0
        for epoch, accuracy in enumerate(
            epochs(network(layers), *self.loaders, self.count, self.lr, self.device), 1
        ):
            trial.report(accuracy, epoch)
        return accuracy
