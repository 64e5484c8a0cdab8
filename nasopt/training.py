"""`Trainer`: one evaluation, batch by batch, as an iterator; state in and out.

Whatever is random has coordinates (seed, purpose, epoch) and nothing draws from a global
generator: an epoch that is resumed in its middle is bit-identical to one that was not interrupted,
on the same device and number of threads.
"""

import copy
import hashlib
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from nasopt.architecture import Architecture
from nasopt.errors import OutOfMemory, StudyError, closest
from nasopt.evaluation import EpochResult, Evaluation, Recipe
from nasopt.images import Split
from nasopt.layers import Shape
from nasopt.model import Network, build

DEVICES = ("auto", "cpu", "cuda", "mps")
SMALLER = "use a smaller batch_size, or limits=(macs <= ...)"
MOMENTUM = 0.9  # Nesterov, of "sgd"
WARMUP = 0.25  # of all steps, in "onecycle"
SCORED_PIXELS = 2**20  # a batch of the validation split holds about as many


def find_device(name: str = "auto") -> torch.device:
    """The device of that name: "auto" is cuda, else mps, else cpu. "cuda:1" is the second GPU."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": _mps_is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    kind, _, index = name.partition(":")
    if kind not in available or (index and not index.isdigit()):
        raise StudyError(f"device={name!r}: unknown; {closest(name, DEVICES)}")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    missing = index and int(index) >= count
    if not available[kind] or missing:
        raise StudyError(f"device={name!r}: torch finds no such device here; use auto or cpu")
    return torch.device(name)


def _mps_is_available() -> bool:
    return torch.backends.mps.is_available()


def generator(*coordinates: int | str) -> torch.Generator:
    """A generator of its own for (seed, purpose, ...), on the CPU: the same on every device."""
    digest = hashlib.blake2b(repr(coordinates).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


class Trainer:
    """Trains the network of `evaluation` on `train`, scores it on `validation`.

    It never sees another split. Both must lie on one device, which is the one that it trains on.
    """

    def __init__(
        self, evaluation: Evaluation, train: Split, validation: Split, classes: int
    ) -> None:
        self.recipe = recipe = evaluation.recipe
        self.shift: int = recipe.chosen("shift")
        self.label_smoothing: float = recipe.chosen("label_smoothing")
        self.seed = evaluation.seed
        self.train = train
        self.validation = validation
        self.device = train.images.device
        self.input_shape: Shape = tuple(train.images.shape[1:])
        self.batch_size = min(recipe.chosen("batch_size"), len(train.labels))
        self.batches_per_epoch = len(train.labels) // self.batch_size  # the rest waits an epoch
        self.mean, self.scale = normalisation(train)
        self.precision, self.scaled = _precision(recipe, self.device)
        with _out_of_memory_named(self.device):
            self.network = _initialised(evaluation, self.input_shape, classes).to(self.device)
            self.network.to(memory_format=torch.channels_last)
            self.optimizer = _optimizer(recipe, self.network, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.scaled)
        self.forward: nn.Module = (
            torch.compile(self.network) if recipe.compile else self.network  # type: ignore[assignment]
        )
        self.epoch = 0  # finished ones
        self.batch = 0  # finished ones of the epoch under way
        self.train_loss = torch.zeros((), device=self.device)
        self.seconds = 0.0  # spent on the epoch under way before this process took it up

    def epochs(self) -> Iterator[EpochResult]:
        """Train to the end, or until a loss is not finite: the result of every epoch."""
        yield from (result for result in self.batches() if result is not None)

    def batches(self) -> Iterator[EpochResult | None]:
        """Train batch by batch: None after each, and the result after the last of an epoch.

        Between two of them `state_dict` may be taken and iteration given up. Nothing waits for
        the device but the end of an epoch. Raises OutOfMemory.
        """
        with _out_of_memory_named(self.device), _fast_matmul(self.device):
            while self.epoch < self.recipe.epochs:
                started = time.perf_counter() - self.seconds
                for images, labels in self._augmented_batches():
                    self._step(images, labels)
                    self.batch += 1
                    self.seconds = time.perf_counter() - started
                    yield None
                accuracy, loss = evaluate(
                    self.forward, self.validation, self._normalised, self._autocast
                )
                train_loss = float(self.train_loss) / self.batches_per_epoch
                self.epoch, self.batch, self.seconds = self.epoch + 1, 0, 0.0
                self.train_loss = torch.zeros_like(self.train_loss)
                seconds = time.perf_counter() - started
                device = self._device_name()
                result = EpochResult(
                    self.epoch, accuracy, loss, train_loss, seconds, device, str(torch.__version__)
                )
                yield result
                if result.diverged:
                    return

    def _step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.network.train()
        step = self.epoch * self.batches_per_epoch + self.batch
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(
                self.recipe, step, self.recipe.epochs * self.batches_per_epoch
            )
        with self._autocast():
            logits = self.forward(images)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.train_loss += loss.detach()

    def _augmented_batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The batches of this epoch from `self.batch` on: (images as the network wants, labels)."""
        count = len(self.train.labels)
        order = torch.randperm(count, generator=generator(self.seed, "order", self.epoch))
        order = order.to(self.device, non_blocking=True)
        shift = self.shift
        shifts = flips = None
        if shift:
            shifts = torch.randint(
                0, 2 * shift + 1, (2, count), generator=generator(self.seed, "shift", self.epoch)
            ).to(self.device, non_blocking=True)
        if self.recipe.flip:
            flips = torch.rand(count, generator=generator(self.seed, "flip", self.epoch)) < 0.5
            flips = flips.to(self.device, non_blocking=True)
        for batch in range(self.batch, self.batches_per_epoch):
            place = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
            images = self.train.images[order[place]]
            if shifts is not None:
                images = shifted(images, shift, shifts[0, place], shifts[1, place])
            if flips is not None:
                images = torch.where(flips[place, None, None, None], images.flip(3), images)
            yield self._normalised(images), self.train.labels[order[place]]

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        floats = images.to(torch.float32, memory_format=torch.channels_last)
        return floats.sub_(self.mean).mul_(self.scale)

    def _autocast(self) -> Any:
        if self.precision is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.precision)

    def _device_name(self) -> str:
        if self.device.type == "cpu":
            return f"cpu, {torch.get_num_threads()} threads"
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "mps"

    def state_dict(self) -> dict[str, Any]:
        """Tensors and built-in types: all that the rest of the training depends on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "epoch": self.epoch,
            "batch": self.batch,
            "train_loss": self.train_loss,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        # a copy: torch would go on with these very tensors, and `state` would change with it
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.train_loss = state["train_loss"].to(self.device, copy=True)
        self.seconds = state["seconds"]


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Of step `step` (from 0) of `steps`: a pure function, so that a schedule has no state."""
    done = (step + 0.5) / steps
    factor = {
        "constant": lambda: 1.0,
        "cosine": lambda: (1 + math.cos(math.pi * done)) / 2,
        "onecycle": lambda: min(done / WARMUP, (1 - done) / (1 - WARMUP)),
    }[recipe.schedule]()
    peak: float = recipe.chosen("lr")
    return peak * factor


def shifted(
    images: torch.Tensor, most: int, down: torch.Tensor, right: torch.Tensor
) -> torch.Tensor:
    """Move each image of a batch by its own `down` - most and `right` - most pixels.

    `down` and `right` are (batch,), of 0 .. 2 * most. What enters is black.
    """
    batch, _, height, width = images.shape
    padded = F.pad(images, (most, most, most, most))
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # (b, c, 2m + 1, 2m + 1, h, w)
    return windows[torch.arange(batch, device=images.device), :, down, right]


@lru_cache(maxsize=1)  # a search trains on one split again and again
def normalisation(train: Split) -> tuple[torch.Tensor, torch.Tensor]:
    """Per channel (1, channels, 1, 1): the mean of all training pixels, and 1 / deviation."""
    channels = train.images.shape[1]
    levels = torch.arange(256, dtype=torch.float64)
    means, scales = [], []
    for channel in range(channels):
        counts = torch.bincount(train.images[:, channel].reshape(-1).int(), minlength=256)
        share = counts.cpu().double() / counts.sum().cpu()
        mean = (share * levels).sum()
        deviation = (share * (levels - mean) ** 2).sum().sqrt()
        means.append(mean)
        scales.append(1 / deviation.clamp(min=1.0))  # a channel may be constant
    both = torch.stack([torch.stack(means), torch.stack(scales)]).float()
    mean, scale = both.to(train.images.device).view(2, 1, channels, 1, 1)
    return mean, scale


@torch.no_grad()
def evaluate(
    network: nn.Module, split: Split, normalised: Any, autocast: Any = nullcontext
) -> tuple[float, float]:
    """(accuracy, mean cross-entropy) of `network` on `split`; waits for the device once."""
    network.eval()
    batch_size = max(1, SCORED_PIXELS // split.images[0].numel())
    correct = torch.zeros((), dtype=torch.int64, device=split.images.device)
    loss = torch.zeros((), dtype=torch.float32, device=split.images.device)
    for start in range(0, len(split.labels), batch_size):
        images = split.images[start : start + batch_size]
        labels = split.labels[start : start + batch_size]
        with autocast():
            logits = network(normalised(images)).float()
        correct += (logits.argmax(1) == labels).sum()
        loss += F.cross_entropy(logits, labels, reduction="sum")
    count = len(split.labels)
    return int(correct) / count, float(loss) / count


def _initialised(evaluation: Evaluation, input_shape: Shape, classes: int) -> Network:
    """The network on the CPU with weights from (seed, "weights"): the same on every device.

    He normal for all but the classifier, whose weights have variance 1 / fan-in: its logits then
    begin at about one, whatever the width before it.
    """
    assert isinstance(evaluation.architecture, Architecture)  # a benchmark's is never trained
    with torch.device("meta"):
        network = build(evaluation.architecture, input_shape, classes)
    network.to_empty(device="cpu")
    random = generator(evaluation.seed, "weights")
    last = network.dense[-1]
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(
                module.weight,
                nonlinearity="linear" if module is last else "relu",
                generator=random,
            )
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    return network


def _optimizer(recipe: Recipe, network: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.chosen("weight_decay")},
        {"params": vectors, "weight_decay": 0.0},
    ]
    fused = device.type in ("cuda", "cpu")
    lr: float = recipe.chosen("lr")
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=lr, fused=fused)
    return torch.optim.SGD(groups, lr=lr, momentum=MOMENTUM, nesterov=True, fused=fused)


def _precision(recipe: Recipe, device: torch.device) -> tuple[torch.dtype, bool]:
    """(the type that autocast computes in, whether gradients must be scaled)."""
    name = recipe.precision
    if name == "auto":
        name = "fp32"
        if device.type == "cuda":
            name = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]
    return dtype, name == "fp16"


@contextmanager
def _fast_matmul(device: torch.device) -> Iterator[None]:
    """TF32 for what stays in fp32 on CUDA; the user's setting comes back afterwards."""
    if device.type != "cuda":
        yield
        return
    before = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@contextmanager
def _out_of_memory_named(device: torch.device) -> Iterator[None]:
    """Turns torch's out-of-memory errors, which the CPU has no class for, into OutOfMemory."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(f"out of memory on {device}; {SMALLER}") from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise OutOfMemory(f"out of memory on {device}; {SMALLER}") from error
