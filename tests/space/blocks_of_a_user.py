"""Blocks such as a study file may define, in a file of their own."""

import torch
from torch import nn

import nasopt
from nasopt import Conv, categorical

SLOPE = 0.125
WIDTHS = {"narrow": 2, "wide": 4}


def activation():
    return nn.LeakyReLU(SLOPE)


class Scale(nn.Module):
    """A gain for each channel, and a dropout: parameters and draws of its own."""

    def __init__(self, channels):
        super().__init__()
        self.gain = nn.Parameter(torch.rand(channels, 1, 1))
        self.temperature = nn.Parameter(torch.ones(()))
        self.register_buffer("steps", torch.arange(channels), persistent=False)
        self.dropout = nn.Dropout2d(0.25)

    def forward(self, x):
        return self.dropout(x * self.gain * self.temperature) + 0 * self.steps[:, None, None]


class Plain(nasopt.Layer):
    """The module of a Conv, as a user would write it."""

    filters: int
    kernel_size: int = 3
    stride: int = 1

    def build(self, in_shape):
        padding = self.kernel_size // 2
        return nn.Sequential(
            nn.Conv2d(
                in_shape[0], self.filters, self.kernel_size, self.stride, padding, bias=False
            ),
            nn.BatchNorm2d(self.filters),
            nn.ReLU(inplace=True),
        )


class Scaled2(nasopt.Layer):
    """A block with helpers, a name that ends with a digit, and a text among its fields."""

    width: str = "narrow"
    filters: int
    bottleneck: bool = False
    stride: int = 1

    def build(self, in_shape):
        inner = WIDTHS[self.width] * (1 if self.bottleneck else 2)
        return nn.Sequential(
            nn.Conv2d(in_shape[0], inner, 1),
            activation(),
            self.last(inner),
            Scale(self.filters),
        )

    def last(self, inner):
        return nn.Conv2d(inner, self.filters, 3, self.stride, 1)


class Attention(nn.Module):
    def __init__(self, channels, heads):
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        found, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return x + found.transpose(1, 2).reshape(x.shape)


class Attending(nasopt.Layer):
    """A block that keeps the shape of what comes in."""

    heads: int = 1

    def build(self, in_shape):
        return Attention(in_shape[0], self.heads)


class OfConvs(nasopt.Layer):
    """A block that is made of nasopt's own layer."""

    filters: int = 4

    def build(self, in_shape):
        return Conv(filters=self.filters).build(in_shape)


OPEN = (
    Plain(filters=categorical(2, 4), kernel_size=categorical(1, 3), stride=categorical(1, 2)),
    Scaled2(filters=categorical(2, 4), width=categorical("narrow", "wide")),
    Attending(heads=categorical(1, 2)),
)
