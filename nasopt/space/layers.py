"""The vocabulary of networks: `Conv`, `Dense`, `Pool`, with fields chosen or open.

The checks see through open fields, so that a bad choice fails when the space is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

from nasopt.errors import SpaceError, Spelled, closest
from nasopt.space import own
from nasopt.space.fields import Open, Real, field_from_json, field_to_json

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]  # of one image or feature map: (channels, height, width)
Construction = tuple[Callable[..., "nn.Module"], tuple[Any, ...]]  # numbers, or tuples of them

MAX_KERNEL_SIZE = 31  # pixels; larger ones are a typing error far more often than a wish
CONV_OPS = ("conv", "residual", "separable", "inverted", "basic")
ACTIVATIONS = ("relu", "gelu", "silu", "hardswish")
NORMS = ("batch", "group", "none")
EXPANSION = 6  # of the channels within an inverted residual
POOL_OPS = ("max", "average")


COLUMNS = ("filters", "kernel_size", "stride")  # of a table of layers; other fields are a type's


def in_pixels(resolution: Shape) -> str:
    """Return the size of a map or an image, or of a kernel, as a text: "3x3"."""
    return "x".join(map(str, resolution))


@dataclass(frozen=True)
class Wording:
    """A chosen layer in words: cells of a table, "" where it has none, a short and a long form."""

    type: str
    filters: str = ""  # or the width of a dense layer
    size: str = ""  # of the kernel or window
    stride: str = ""
    short: str = ""  # in a line with others
    long: str = ""

    @property
    def cells(self) -> tuple[str, str, str, str]:
        return self.type, self.filters, self.size, self.stride


@dataclass_transform(frozen_default=True, kw_only_default=True)
@dataclass(frozen=True, kw_only=True)
class Layer(Spelled, own.Frozen):
    """The base of all layers: fields that are chosen or open. A block of your own is a subclass.

        class Squeezed(nasopt.Layer):
            filters: int
            ratio: int = 4
            stride: int = 1

            def build(self, in_shape):
                return nn.Sequential(
                    nn.Conv2d(in_shape[0], self.filters // self.ratio, 1),
                    nn.Conv2d(self.filters // self.ratio, self.filters, 3, self.stride, 1),
                )

        Space(repeat(Squeezed(filters=categorical(16, 32), stride=categorical(1, 2)), 2, 6))

    It is a frozen dataclass without saying so. Its fields are numbers, texts or booleans, left open
    by `categorical` and `integer`. `build` returns the module for maps of `in_shape` (channels,
    height, width). The module may have any number of output channels; it keeps the map's size, or
    divides it by the field `stride`, rounded up. It is trained from the weights that it has.

    Results are known by the fields and the code of the class, with all that it refers to.
    """

    kind: ClassVar[str] = ""
    is_own: ClassVar[bool] = False  # a block of the user's
    shrinking: ClassVar[tuple[str, ...]] = ()  # the fields that decide the resolution
    # fields that came later are left out of JSON at their default: keys stay as they were
    later: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__module__ != __name__:
            own.take_in(cls, Layer)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if cls.is_own:
            own.check_values(cls, kwargs)
        return super().__new__(cls, *args, **kwargs)

    @property
    def open_fields(self) -> dict[str, Open]:
        """The open fields by name, in the order of declaration."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Open)}

    def choose(self, choices: dict[str, Any]) -> Self:
        """Return the same layer with `choices` in place of its open fields."""
        return replace(self, **choices) if choices else self

    def chosen(self, name: str) -> Any:
        """Return the value of field `name`, or raise SpaceError if it is still open."""
        value = getattr(self, name)
        if isinstance(value, Open):
            raise SpaceError(
                f"{type(self).__name__}.{name}={value!r} is still open; choose one of its values"
            )
        return value

    def effective(self, resolution: Shape, min_resolution: int) -> Self | None:
        """Return the layer in the form that acts on a map of `resolution` (height, width).

        Return None if it does nothing there.
        """
        if "stride" not in self.shrinking:
            return self
        # a stride longer than the map's longer side keeps the first pixel only, as that side would
        stride = min(self.chosen("stride"), max(resolution))
        if min(self.shrink(resolution)) < min_resolution:
            stride = 1
        return self if stride == self.chosen("stride") else replace(self, stride=stride)  # type: ignore[call-arg]

    def shrink(self, resolution: Shape) -> Shape:
        """Return the (height, width) that the layer makes of `resolution`, as `build` does."""
        if "stride" not in self.shrinking:
            return resolution
        return tuple(-(-side // self.chosen("stride")) for side in resolution)

    def construction(self, in_shape: Shape) -> "Construction":
        """Return the function that makes the module for inputs of `in_shape`, and its arguments.

        It is a class of `torch.nn` or stands in `blocks`, so that the call can be written down in
        plain PyTorch.
        """
        raise NotImplementedError

    def build(self, in_shape: Shape) -> "nn.Module":
        """Return the module for inputs of `in_shape`, on torch's current default device."""
        if self.is_own:
            raise SpaceError(own.unbuilt(type(self)))
        make, arguments = self.construction(in_shape)
        return make(*arguments)

    @property
    def wording(self) -> Wording:
        """The layer in words, for a table, a line or a sentence."""
        values = own.values(self)
        number = values.get("kernel_size")
        size = in_pixels((number, number)) if type(number) is int else ""
        told = {name: f"{name.replace('_', ' ')} {value}" for name, value in values.items()}
        others = [text for name, text in told.items() if name not in COLUMNS]
        filters, stride = (str(values.get(name, "")) for name in ("filters", "stride"))
        return Wording(
            "·".join([self.kind, *others]), filters, size, stride,
            short="·".join([self.kind, *map(str, values.values())]),
            long=", ".join([self.kind, *told.values()]),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        values = {
            field.name: field_to_json(getattr(self, field.name))
            for field in fields(self)
            if field.name not in self.later or getattr(self, field.name) != field.default
        }
        if self.is_own:
            code = own.digest_of(type(self), Layer)
            return {"layer": self.kind, "code": code, "fields": values}
        return {"layer": self.kind, **values}


@dataclass(frozen=True, kw_only=True)
class Conv(Layer):
    """A convolution, a norm and an activation, with "same" padding: only the stride shrinks it.

    `op` is "conv" (as in VGG), "residual" (the input is added before the activation, through a
    strided 1x1 convolution where the shapes differ: He et al. 2016, option B), "basic" (the same
    around two convolutions, ResNet's basic block), "separable" (a depthwise convolution and a 1x1
    one, norm and activation after each: Howard et al. 2017, MobileNet) or "inverted" (a 1x1
    convolution to `EXPANSION` times the channels, a depthwise one, and a 1x1 one without
    activation; the input is added where the shapes are equal: Sandler et al. 2018, MobileNetV2).

    `norm` is "batch", "group" (in groups of 8 channels or more, 32 groups at most: Wu & He 2018) or
    "none", with a bias instead.
    """

    kind: ClassVar[str] = "conv"
    shrinking: ClassVar[tuple[str, ...]] = ("stride",)
    later: ClassVar[tuple[str, ...]] = ("activation", "norm")
    filters: int | Open
    kernel_size: int | Open = 3
    stride: int | Open = 1
    op: str | Open = "conv"
    activation: str | Open = "relu"
    norm: str | Open = "batch"

    def __post_init__(self) -> None:
        for value in _whole_numbers("Conv", "filters", self.filters):
            _at_least(1, "Conv", "filters", value)
        for value in _whole_numbers("Conv", "kernel_size", self.kernel_size):
            _at_least(1, "Conv", "kernel_size", value)
            if value > MAX_KERNEL_SIZE:
                raise SpaceError(f"Conv.kernel_size={value}: use {MAX_KERNEL_SIZE} or less")
            if value % 2 == 0:
                raise SpaceError(
                    f"Conv.kernel_size={value}: an even kernel has no centre to pad around; "
                    f"use {value - 1} or {value + 1}"
                )
        for value in _whole_numbers("Conv", "stride", self.stride):
            _at_least(1, "Conv", "stride", value)
        _one_of(CONV_OPS, "Conv", "op", self.op)
        _one_of(ACTIVATIONS, "Conv", "activation", self.activation)
        _one_of(NORMS, "Conv", "norm", self.norm)

    def construction(self, in_shape: Shape) -> "Construction":
        from nasopt.space import blocks  # it imports torch: two seconds that `nasopt show` saves

        operations: dict[str, Callable[..., nn.Module]] = {
            "conv": blocks.convolution,
            "residual": blocks.Residual,
            "separable": blocks.separable,
            "inverted": blocks.Inverted,
            "basic": blocks.Basic,
        }
        channels, height, width = in_shape
        # An axis of one pixel is not strided, which changes nothing: there oneDNN's weight
        # gradients in bfloat16 are garbage (avx512_bf16, kernels of 3x3 and more).
        stride = self.chosen("stride")
        strides = min(stride, height), min(stride, width)
        arguments = [channels, self.chosen("filters"), self.chosen("kernel_size"), strides]
        op = self.chosen("op")
        if op == "inverted":
            arguments.append(EXPANSION)
        look = blocks.Look(self.chosen("norm"), self.chosen("activation"))
        if look != blocks.USUAL:
            arguments.append(look)
        return operations[op], tuple(arguments)

    @property
    def wording(self) -> Wording:
        filters, stride, op = (self.chosen(name) for name in ("filters", "stride", "op"))
        kernel = self.chosen("kernel_size")
        size = in_pixels((kernel, kernel))
        type_, sign, kind = {
            "conv": ("conv", "", ""),
            "residual": ("res", "+", "residual, "),
            "separable": ("sep", "~", "separable, "),
            "inverted": ("inv", "^", "inverted residual, "),
            "basic": ("basic", "#", "basic residual block, "),
        }[op]
        activation = {"relu": ""}.get(self.chosen("activation"), self.chosen("activation"))
        norm = {"batch": "", "group": "group norm", "none": "no norm"}[self.chosen("norm")]
        unusual = [each for each in (activation, norm) if each]
        return Wording(
            "·".join([type_, *unusual]), str(filters), size, str(stride),
            short="·".join([f"{sign}{filters}", f"{kernel}{f'/{stride}' if stride > 1 else ''}",
                            *(each.replace(" ", "-") for each in unusual)]),
            long=", ".join([f"{kind}{filters} filters of {size}, stride {stride}", *unusual]),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Pool(Layer):
    """A max or average pooling over windows of `kernel_size`, without overlap or padding.

    It does nothing if the map would become smaller than the space allows.
    """

    kind: ClassVar[str] = "pool"
    shrinking: ClassVar[tuple[str, ...]] = ("kernel_size",)
    kernel_size: int | Open = 2
    op: str | Open = "max"

    def __post_init__(self) -> None:
        for value in _whole_numbers("Pool", "kernel_size", self.kernel_size):
            _at_least(1, "Pool", "kernel_size", value)
        _one_of(POOL_OPS, "Pool", "op", self.op)

    def effective(self, resolution: Shape, min_resolution: int) -> Self | None:
        after = self.shrink(resolution)
        return None if min(after) < min_resolution or after == resolution else self

    def shrink(self, resolution: Shape) -> Shape:
        return tuple(side // self.chosen("kernel_size") for side in resolution)

    def construction(self, in_shape: Shape) -> "Construction":
        from torch import nn

        if self.chosen("kernel_size") > min(in_shape[1:]):
            height, width = in_shape[1:]
            raise SpaceError(
                f"Pool.kernel_size={self.kernel_size}: the map before it is {height}x{width}; "
                f"use {min(height, width)} or less"
            )
        pool = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[self.chosen("op")]
        return pool, (self.chosen("kernel_size"),)

    @property
    def wording(self) -> Wording:
        window, op = self.chosen("kernel_size"), self.chosen("op")
        type_ = {"average": "avg"}.get(op, op)
        size = in_pixels((window, window))
        return Wording(
            type_, size=size, stride=str(window), short=f"{type_}·{window}",
            long=f"{op} pooling of {size}",
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Dense(Layer):
    """A fully connected layer and ReLU, on the globally averaged features."""

    kind: ClassVar[str] = "dense"
    width: int | Open

    def __post_init__(self) -> None:
        for value in _whole_numbers("Dense", "width", self.width):
            _at_least(1, "Dense", "width", value)

    def construction(self, in_shape: Shape) -> "Construction":
        from nasopt.space import blocks

        return blocks.dense, (in_shape[0], self.chosen("width"))

    @property
    def wording(self) -> Wording:
        width = str(self.chosen("width"))
        return Wording(
            "dense", width, short=f"dense·{width}", long=f"fully connected, {width} wide"
        )


KINDS: dict[str, type[Layer]] = {layer.kind: layer for layer in (Conv, Pool, Dense)}


def layer_from_json(value: dict[str, Any]) -> Layer:
    """Return the layer that `Layer.to_json` wrote.

    A block whose class is not defined in this process, with that code, can be shown but not built.
    """
    kind = value["layer"]
    if "code" in value:
        given = {name: field_from_json(each) for name, each in value["fields"].items()}
        return own.class_of(kind, value["code"], tuple(given), Layer)(**given)
    return KINDS[kind](**{name: field_from_json(v) for name, v in value.items() if name != "layer"})


def _whole_numbers(owner: str, name: str, value: Any) -> Sequence[int]:
    """Return the values to check of a field of whole numbers; raise SpaceError for others."""
    if isinstance(value, Real):
        raise SpaceError(f"{owner}.{name}={value!r}: not whole numbers; use integer(low, high)")
    values = value.boundary_values if isinstance(value, Open) else (value,)
    for each in values:
        if type(each) is not int:
            raise SpaceError(f"{owner}.{name}={each!r}: not a whole number; use 1, 2, 3, ...")
    return values


def _at_least(least: int, owner: str, name: str, value: int) -> None:
    if value < least:
        raise SpaceError(f"{owner}.{name}={value}: use {least} or more")


def _one_of(choices: Sequence[str], owner: str, name: str, value: Any) -> None:
    for each in value.boundary_values if isinstance(value, Open) else (value,):
        if each not in choices:
            raise SpaceError(f"{owner}.{name}={each!r}: unknown; {closest(each, choices)}")
