"""The torch modules that layers stand for, one short function or class each."""

import torch
import torch.nn.functional as F
from torch import nn

Strides = tuple[int, int]  # down and across


def convolution(channels: int, filters: int, kernel_size: int, strides: Strides) -> nn.Sequential:
    return nn.Sequential(
        *_convolved(channels, filters, kernel_size, strides), nn.ReLU(inplace=True)
    )


def separable(channels: int, filters: int, kernel_size: int, strides: Strides) -> nn.Sequential:
    return nn.Sequential(
        *_convolved(channels, channels, kernel_size, strides, groups=channels),
        nn.ReLU(inplace=True),
        *_convolved(channels, filters, 1, (1, 1)),
        nn.ReLU(inplace=True),
    )


def dense(features: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """The module ReLU(norm(conv(x)) + shortcut(x)).

    The shortcut is a 1x1 convolution and a batch norm if the shapes differ, else the identity.
    """

    def __init__(self, channels: int, filters: int, kernel_size: int, strides: Strides) -> None:
        super().__init__()
        self.branch = nn.Sequential(*_convolved(channels, filters, kernel_size, strides))
        same = channels == filters and strides == (1, 1)
        self.shortcut = nn.Sequential(*([] if same else _convolved(channels, filters, 1, strides)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        summed: torch.Tensor = self.branch(x) + self.shortcut(x)
        return summed.relu_()


class Pointwise(nn.Conv2d):
    """A 1x1 convolution without padding or bias; a stride picks pixels before the convolution.

    Given the stride itself, oneDNN corrupts memory or gradients if the input has few channels and
    the processor has no AVX-512. A pool of one pixel is exact, and unlike a slice it keeps the
    layout of the gradients. A single input channel is multiplied by the weights instead: oneDNN
    sums the gradient of its weights, whose terms cancel before a batch norm, with errors of up to
    2 %.
    """

    def __init__(self, channels: int, filters: int, strides: Strides, groups: int) -> None:
        super().__init__(channels, filters, 1, groups=groups, bias=False)
        self.step = strides

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        picked = x if self.step == (1, 1) else F.avg_pool2d(x, 1, self.step)
        if self.in_channels == 1:
            return (picked.permute(0, 2, 3, 1) * self.weight.flatten()).permute(0, 3, 1, 2)
        return super().forward(picked)


def _convolved(
    channels: int, filters: int, kernel_size: int, strides: Strides, groups: int = 1
) -> list[nn.Module]:
    if kernel_size == 1:
        conv: nn.Conv2d = Pointwise(channels, filters, strides, groups)
    else:
        padding = kernel_size // 2
        conv = nn.Conv2d(
            channels, filters, kernel_size, strides, padding, groups=groups, bias=False
        )
    return [conv, nn.BatchNorm2d(filters)]
