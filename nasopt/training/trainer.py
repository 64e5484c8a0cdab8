"""`Trainer`: one evaluation, batch by batch, as an iterator whose state can be saved and loaded.

An epoch that is resumed in its middle is bit-identical to one that was not interrupted, on the same
device and number of threads.
"""

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from nasopt.data.readers import Split
from nasopt.space.architecture import Architecture
from nasopt.space.layers import Shape
from nasopt.space.model import Network, empty, has_own, put_in_own
from nasopt.space.own_module import drawing_from, told
from nasopt.training.batches import Batches, Draw, generator
from nasopt.training.cuda_graph import Captured, CudaGraphs, Recorder
from nasopt.training.devices import (
    autocast_type,
    device_name,
    has_own_stream,
    lay_out,
    out_of_memory_told,
    training_on,
    wait_for_own,
)
from nasopt.training.evaluation import EpochResult, Evaluation, Recipe
from nasopt.training.metrics import Confusion, accuracy
from nasopt.training.profiling import Timer, no_timer

MOMENTUM = 0.9  # Nesterov, of "sgd"
WARMUP = 0.25  # share of all steps, in "onecycle"
SCORED_PIXELS = 2**20  # about as many in a batch of the validation split, channels not counted


class Trainer:
    """A training of the network of `evaluation` on `train`, with its scores on `validation`.

    It never sees another split. `device` is by default the one on which both are; if they are
    elsewhere, batches are copied as they come. `threads` are those of the CPU, by default as many
    as torch is set to. `timer` is called with what the time was spent on.
    """

    keeps_state = True

    def __init__(
        self,
        evaluation: Evaluation,
        train: Split,
        validation: Split,
        classes: int,
        *,
        device: torch.device | None = None,
        threads: int | None = None,
        timer: Timer = no_timer,
    ) -> None:
        self.recipe = recipe = evaluation.recipe
        self.label_smoothing: float = recipe.chosen("label_smoothing")
        self.validation = validation
        if device is None:
            device = train.images.device
        # with its index: to torch "cuda" is another device than the "cuda:0" where a tensor lies
        self.device = device = torch.empty(0, device=device).device
        self.threads = threads
        self.timer = timer
        self.seed = evaluation.seed
        self.own = isinstance(evaluation.architecture, Architecture) and has_own(
            evaluation.architecture
        )
        self.precision = autocast_type(recipe.precision, device, train.images.shape[-1])
        with out_of_memory_told(device):
            self.batches_of = Batches(recipe, train, evaluation.seed, device)
        self.steps_per_epoch = self.batches_of.per_epoch
        balanced = recipe.class_weights == "balanced"
        self.class_weights = (
            balanced_weights(train.labels, classes).to(device) if balanced else None
        )
        with training_on(device, threads):
            self.network = _initialised(evaluation, tuple(train.images.shape[1:]), classes)
            lay_out(self.network.to(device))
            self.optimizer = _optimizer(recipe, self.network, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision is torch.float16)
        self.forward: nn.Module = _compiled(self.network) if recipe.compile else self.network
        # the parts of a graph cannot be timed
        capture = device.type == "cuda" and not recipe.compile and timer is no_timer
        self.recorder: Recorder | None = CudaGraphs(device) if capture else None
        self.epoch = 0  # number of finished epochs
        self.batch = 0  # number of finished batches of the epoch under way
        self.train_loss = torch.zeros((), device=device)
        self.seconds = 0.0  # spent on the epoch under way before this process took it up

    def epochs(self) -> Iterator[EpochResult]:
        """Train to the end, or until a loss is not finite; yield the result of every epoch."""
        yield from (result for result in self.batches() if result is not None)

    def batches(self) -> Iterator[EpochResult | None]:
        """Train batch by batch; yield None after each, and the result after the last of an epoch.

        Between two of them `state_dict` may be taken and the iteration given up. Only the end of an
        epoch and, once, the recording of a step wait for the device.

        Raises OutOfMemory if the network does not fit the device.
        """
        # not an attribute: in a reference cycle the network would stay in memory until it is found
        step = self._step if self.recorder is None else Captured(self._step, self.recorder)
        with training_on(self.device, self.threads):
            while self.epoch < self.recipe.epochs:
                started = time.perf_counter() - self.seconds
                self.network.train()
                for draw in self.batches_of.draws(self.epoch, first=self.batch):
                    self._set_learning_rate()
                    with self._around_own(self.epoch, self.batch):
                        step(draw)
                    self.batch += 1
                    self.seconds = time.perf_counter() - started
                    yield None
                with self._around_own(self.epoch, "evaluation"):
                    confusion, loss = evaluate(
                        self.forward,
                        self.validation,
                        self.batches_of.normalised,
                        self._autocast,
                        self.device,
                    )
                train_loss = float(self.train_loss) / self.steps_per_epoch
                self.timer("evaluation")
                self.epoch, self.batch, self.seconds = self.epoch + 1, 0, 0.0
                self.train_loss.zero_()
                seconds = time.perf_counter() - started
                result = EpochResult(
                    self.epoch, accuracy(confusion), loss, train_loss, seconds,
                    device_name(self.device, self.precision), str(torch.__version__), confusion,
                )  # fmt: skip
                yield result
                if result.diverged:
                    return

    @contextmanager
    def _around_own(self, *coordinates: int | str) -> Iterator[None]:
        """Make what a block of the user's draws follow from the coordinates; tell its mistakes."""
        if not self.own:
            yield
            return
        devices = [self.device] if self.device.type == "cuda" else []
        seed = generator(self.seed, "blocks", *coordinates).initial_seed()
        drawing = drawing_from(seed, devices)
        with told("a block in training"), out_of_memory_told(self.device), drawing:
            yield
            if has_own_stream(self.device):  # a recorded step may read the seed while it runs
                wait_for_own(self.device)

    def _set_learning_rate(self) -> None:
        step = self.epoch * self.steps_per_epoch + self.batch
        rate = learning_rate(self.recipe, step, self.recipe.epochs * self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):  # where a recorded step reads it
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def _step(self, draw: Draw) -> None:
        images, labels = self.batches_of.make(draw)
        self.timer("data")
        with self._autocast():
            logits = self.forward(images)
            loss = F.cross_entropy(
                logits.float(), labels, self.class_weights, label_smoothing=self.label_smoothing
            )
        self.timer("forward")
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.timer("backward")
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.train_loss += loss.detach()
        self.timer("optimizer")

    def _autocast(self) -> Any:
        if self.precision is torch.float32:
            return nullcontext()
        # no cache: a weight is used once a step, and a recorded step must not find it in there
        return torch.autocast(self.device.type, self.precision, cache_enabled=False)

    def state_dict(self) -> dict[str, Any]:
        """Return all that the rest of the training depends on, as tensors and built-in types."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "epoch": self.epoch,
            "batch": self.batch,
            "train_loss": self.train_loss,
            "seconds": self.seconds,
        }

    def fits(self, state: Any) -> bool:
        """Return whether `load_state_dict` can go on from `state`, which may be anything at all."""
        own = self.state_dict()
        if not (isinstance(state, dict) and state.keys() == own.keys()):
            return False
        optimizer, scaler = state["optimizer"], state["scaler"]
        return (
            all(_alike(state[name], own[name]) for name in own.keys() - {"optimizer", "scaler"})
            and isinstance(optimizer, dict)
            and _alike(optimizer.get("state"), own["optimizer"]["state"])
            and (scaler == {} or _alike(scaler, torch.amp.GradScaler("cpu").state_dict()))
            and 0 <= state["epoch"] < self.recipe.epochs
            and 0 <= state["batch"] <= self.steps_per_epoch
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the result of `state_dict`; this trainer must not have made a step yet."""
        self.network.load_state_dict(state["network"])
        # a copy: torch would go on with these very tensors, and `state` would change with it;
        # the options stay this trainer's, since the state may be of a training on another device
        self.optimizer.load_state_dict(
            {
                "state": copy.deepcopy(state["optimizer"]["state"]),
                "param_groups": self.optimizer.state_dict()["param_groups"],
            }
        )
        if state["scaler"]:  # empty if it was trained without one
            self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.train_loss.copy_(state["train_loss"])
        self.seconds = state["seconds"]


def _alike(value: Any, own: Any) -> bool:
    """Return whether `value` is nested as `own` is, of the same types and shapes, and finite."""
    if isinstance(own, dict):
        nested = isinstance(value, dict) and value.keys() == own.keys()
        return nested and all(_alike(value[name], own[name]) for name in own)
    if isinstance(own, torch.Tensor):
        return (
            type(value) is torch.Tensor
            and (value.shape, value.dtype) == (own.shape, own.dtype)
            and value.layout is torch.strided
            and not value.is_meta
            # the mask of a block may be infinite, where it is so from the beginning
            and bool((value.isfinite().cpu() | ~own.isfinite().cpu()).all())
        )
    return type(value) is type(own) and math.isfinite(value)


def _compiled(network: nn.Module) -> nn.Module:
    # all networks share the code of one `forward`, of which torch compiles the first few only
    torch.compiler.reset()
    compiled: nn.Module = torch.compile(network)  # type: ignore[assignment]
    return compiled


def balanced_weights(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return the weight of each class: images / (classes there are * images of this one).

    The mean weight of an image is 1. A class without images has the weight 0.
    """
    counts = torch.bincount(labels.cpu(), minlength=classes).double()
    there = (counts > 0).sum()
    weights = len(labels) / (there * counts)
    return torch.where(counts > 0, weights, 0.0).float()


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the rate of step `step` (from 0) of `steps`.

    It is a pure function, so that a schedule has no state.
    """
    done = (step + 0.5) / steps
    factor = {
        "constant": lambda: 1.0,
        "cosine": lambda: (1 + math.cos(math.pi * done)) / 2,
        "onecycle": lambda: min(done / WARMUP, (1 - done) / (1 - WARMUP)),
    }[recipe.schedule]()
    peak: float = recipe.chosen("lr")
    return peak * factor


@torch.no_grad()
def evaluate(
    network: nn.Module,
    split: Split,
    normalised: Any,
    autocast: Any = nullcontext,
    device: torch.device | None = None,
) -> tuple[Confusion, float]:
    """Return (confusion, mean cross-entropy) of `network` on `split`, once the device is done."""
    network.eval()
    device = split.images.device if device is None else device
    batch_size = max(1, SCORED_PIXELS // split.images[0, 0].numel())
    count = len(split.labels)
    taken = []
    loss = torch.zeros((), dtype=torch.float32, device=device)
    for start in range(0, count, batch_size):
        images = split.images[start : start + batch_size]
        labels = split.labels[start : start + batch_size].to(device)
        with autocast():
            logits = network(normalised(images)).float()
        taken.append(logits.argmax(1))
        loss += F.cross_entropy(logits, labels, reduction="sum")
    return _confusion(split.labels, torch.cat(taken), logits.shape[1]), float(loss) / count


def _confusion(labels: torch.Tensor, taken: torch.Tensor, classes: int) -> Confusion:
    cells = torch.bincount(labels.cpu() * classes + taken.cpu(), minlength=classes**2)
    return tuple(map(tuple, cells.view(classes, classes).tolist()))


def _initialised(evaluation: Evaluation, input_shape: Shape, classes: int) -> Network:
    """Return the network on the CPU with weights from (seed, "weights"), equal on every device.

    The weights are He normal but for the classifier, whose weights have variance 1 / fan-in: its
    logits then begin at about one, whatever the width before it. A block of the user's has those
    that it initialises itself.
    """
    assert isinstance(evaluation.architecture, Architecture)  # a benchmark's is never trained
    network = empty(evaluation.architecture, input_shape, classes)
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
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    def seed(place: int) -> int:
        return generator(evaluation.seed, "weights", place).initial_seed()

    put_in_own(network, evaluation.architecture, input_shape, seed)
    return network


def _optimizer(recipe: Recipe, network: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": recipe.chosen("weight_decay")},
        {"params": vectors, "weight_decay": 0.0},
    ]
    on_cuda = device.type == "cuda"
    lr: float = recipe.chosen("lr")
    if on_cuda:
        for group in groups:
            group["lr"] = torch.tensor(lr, device=device)
    fused = device.type in ("cuda", "cpu")
    if recipe.optimizer == "adamw":
        adamw = torch.optim.AdamW(groups, lr=lr, fused=fused, capturable=on_cuda)
        # no warning about steps that are not captured: the first few are not, on purpose
        adamw._warned_capturable_if_run_uncaptured = True
        for parameter in network.parameters():
            # as torch does at the first step: so a state has one form, whenever it is taken
            adamw.state[parameter] = {
                "step": torch.zeros((), device=device if fused else None),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        return adamw
    optimizer = torch.optim.SGD(groups, lr=lr, momentum=MOMENTUM, nesterov=True, fused=fused)
    for parameter in network.parameters():
        # torch would leave them uninitialised if the first step of fp16 overflows
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer
