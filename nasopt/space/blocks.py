"""The torch modules that layers stand for, one short function or class each."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

Strides = tuple[int, int]  # down and across

MOST_GROUPS, LEAST_CHANNELS = 32, 8  # of a group norm, and of each of its groups


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "gelu": nn.GELU,
    "silu": lambda: nn.SiLU(inplace=True),
    "hardswish": lambda: nn.Hardswish(inplace=True),
}


class Look(NamedTuple):
    """What is around each convolution of a layer: the names of its norm and its activation."""

    norm: str = "batch"
    activation: str = "relu"

    def activate(self) -> nn.Module:
        return ACTIVATIONS[self.activation]()


USUAL = Look()


def convolution(
    channels: int, filters: int, kernel_size: int, strides: Strides, look: Look = USUAL
) -> nn.Sequential:
    return nn.Sequential(
        *_convolved(channels, filters, kernel_size, strides, look), look.activate()
    )


def separable(
    channels: int, filters: int, kernel_size: int, strides: Strides, look: Look = USUAL
) -> nn.Sequential:
    return nn.Sequential(
        *_convolved(channels, channels, kernel_size, strides, look, groups=channels),
        look.activate(),
        *_convolved(channels, filters, 1, (1, 1), look),
        look.activate(),
    )


def dense(features: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """The module activation(norm(conv(x)) + shortcut(x)).

    The shortcut is a 1x1 convolution and a norm if the shapes differ, else the identity.
    """

    def __init__(
        self, channels: int, filters: int, kernel_size: int, strides: Strides, look: Look = USUAL
    ) -> None:
        super().__init__()
        self.branch = nn.Sequential(*_convolved(channels, filters, kernel_size, strides, look))
        same = channels == filters and strides == (1, 1)
        self.shortcut = nn.Sequential(
            *([] if same else _convolved(channels, filters, 1, strides, look))
        )
        self.activation = look.activate()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.activation(self.branch(x) + self.shortcut(x))
        return out


class Basic(Residual):
    """A residual layer whose branch has two convolutions, the first with the stride."""

    def __init__(
        self, channels: int, filters: int, kernel_size: int, strides: Strides, look: Look = USUAL
    ) -> None:
        super().__init__(channels, filters, kernel_size, strides, look)
        self.branch.append(look.activate())
        self.branch.extend(_convolved(filters, filters, kernel_size, (1, 1), look))


class Inverted(nn.Module):
    """The module project(depthwise(expand(x))), and + x where the shapes are equal.

    A norm is after each of the three, an activation after the first two; between them are
    `expansion` times the channels.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel_size: int,
        strides: Strides,
        expansion: int,
        look: Look = USUAL,
    ) -> None:
        super().__init__()
        wide = expansion * channels
        self.branch = nn.Sequential(
            *_convolved(channels, wide, 1, (1, 1), look),
            look.activate(),
            *_convolved(wide, wide, kernel_size, strides, look, groups=wide),
            look.activate(),
            *_convolved(wide, filters, 1, (1, 1), look),
        )
        self.skips = channels == filters and strides == (1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.branch(x)
        return x + out if self.skips else out


class GroupNorm(nn.GroupNorm):
    """A group norm with as many groups as the number of channels is good for.

    PyTorch's own refuses a single value; its mean of itself is as well defined as any other.
    """

    def __init__(self, channels: int) -> None:
        groups = math.gcd(channels, MOST_GROUPS)
        while groups > 1 and channels < groups * LEAST_CHANNELS:
            groups //= 2
        super().__init__(groups, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class Pointwise(nn.Conv2d):
    """A 1x1 convolution without padding; a stride picks pixels before the convolution.

    Given the stride itself, oneDNN corrupts memory or gradients if the input has few channels and
    the processor has no AVX-512. A pool of one pixel is exact, and unlike a slice it keeps the
    layout of the gradients. A single input channel is multiplied by the weights instead: oneDNN
    sums the gradient of its weights, whose terms cancel before a batch norm, with errors of up to
    2 %.
    """

    def __init__(
        self, channels: int, filters: int, strides: Strides, groups: int, bias: bool = False
    ) -> None:
        super().__init__(channels, filters, 1, groups=groups, bias=bias)
        self.step = strides

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        picked = x if self.step == (1, 1) else F.avg_pool2d(x, 1, self.step)
        if self.in_channels == 1:
            product = picked.permute(0, 2, 3, 1) * self.weight.flatten()
            return (product if self.bias is None else product + self.bias).permute(0, 3, 1, 2)
        return super().forward(picked)


class Strided(nn.Conv2d):
    """A convolution with a stride, of a block of the user's, computed as ours are.

    A stride picks pixels before a 1x1 convolution, as in `Pointwise`, and an axis of one pixel is
    not strided where that changes nothing: there oneDNN's gradients in bfloat16 are garbage.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        edges = (0, 0) if isinstance(self.padding, str) else self.padding  # "same" has no stride
        strides = [
            1 if side == 1 and 2 * edge == apart * (size - 1) else stride
            for side, size, stride, edge, apart in zip(
                x.shape[-2:], self.kernel_size, self.stride, edges, self.dilation,
                strict=True,
            )
        ]  # fmt: skip
        if self.kernel_size == (1, 1) and edges == (0, 0):
            x, strides = F.avg_pool2d(x, 1, strides), [1, 1]
        return F.conv2d(
            x, self.weight, self.bias, strides, self.padding, self.dilation, self.groups
        )


def protect(module: nn.Module) -> None:
    """Let the strided convolutions of a block of the user's be computed as ours are."""
    for part in module.modules():
        strided = type(part) is nn.Conv2d and part.stride != (1, 1)
        if strided and part.padding_mode == "zeros":
            part.__class__ = Strided


def _convolved(
    channels: int, filters: int, kernel_size: int, strides: Strides, look: Look, groups: int = 1
) -> list[nn.Module]:
    bias = look.norm == "none"
    if kernel_size == 1:
        conv: nn.Conv2d = Pointwise(channels, filters, strides, groups, bias)
    else:
        padding = kernel_size // 2
        conv = nn.Conv2d(channels, filters, kernel_size, strides, padding, groups=groups, bias=bias)
    if bias:
        return [conv]
    return [conv, GroupNorm(filters) if look.norm == "group" else nn.BatchNorm2d(filters)]
