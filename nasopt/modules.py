"""The torch modules that `Conv` stands for, one short function or class each."""

import torch
from torch import nn


def convolution(channels: int, filters: int, kernel_size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(*_convolved(channels, filters, kernel_size, stride), nn.ReLU(inplace=True))


def separable(channels: int, filters: int, kernel_size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *_convolved(channels, channels, kernel_size, stride, groups=channels),
        nn.ReLU(inplace=True),
        *_convolved(channels, filters, 1, 1),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """ReLU(norm(conv(x)) + shortcut(x)); the shortcut is a 1x1 convolution if shapes differ."""

    def __init__(self, channels: int, filters: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(*_convolved(channels, filters, kernel_size, stride))
        same = channels == filters and stride == 1
        self.shortcut = nn.Sequential(*([] if same else _convolved(channels, filters, 1, stride)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        summed: torch.Tensor = self.branch(x) + self.shortcut(x)
        return summed.relu_()


def _convolved(
    channels: int, filters: int, kernel_size: int, stride: int, groups: int = 1
) -> list[nn.Module]:
    padding = kernel_size // 2
    return [
        nn.Conv2d(channels, filters, kernel_size, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(filters),
    ]
