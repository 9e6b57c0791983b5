"""The topology of a network: what golden model, counts, training and bundles share.

A network is a list of named layers, each naming the layer (or the network's input) that it reads. Shapes are
(channels, height, width), inferred and checked when the network is made.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeAlias

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from pymodel.common import bounds
from pymodel.common.errors import Checked, ConfigError, Strict, shortened
from pymodel.network.supports import FileSupport, MaskSupport, SupportSpec, make_support

Positive = Annotated[int, bounds.NETWORK_SIZE.field()]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=64)]
# Goes into comments of C++, which a line break ends and a backslash does not.
Title = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f\\]*$", max_length=256)]
Shape = tuple[int, int, int]

INPUT = "input"  # the tensor that goes into a network, as layers and formats name it


class Padding(NamedTuple):
    """Rows above and below an image and columns to the left and right of it, in the order in which ONNX has them."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def of(cls, padding: int | tuple[int, ...]) -> Padding:
        """From a number for all sides, or four: what a `PaddingSpec` is."""
        return cls(*([padding] * 4 if isinstance(padding, int) else padding))

    @property
    def rows(self) -> int:
        return self.top + self.bottom

    @property
    def columns(self) -> int:
        return self.left + self.right


def _padding(value: Any) -> Any:
    """A number, or a tuple of four that are not all the same."""
    sides = list(value) if isinstance(value, list | tuple) else [value] * 4
    if len(sides) != 4 or any(type(side) is not int or not 0 <= side <= bounds.PADDING.high for side in sides):
        raise ValueError(
            f"must be an integer of {bounds.PADDING}, or four, [top, left, bottom, right], got {shortened(value)}"
        )
    return sides[0] if len(set(sides)) == 1 else tuple(sides)


def written(padding: int | tuple[int, ...]) -> int | list[int]:
    """A padding as files have it."""
    return padding if isinstance(padding, int) else list(padding)


_Side = Annotated[int, bounds.PADDING.field()]
PaddingSpec = Annotated[
    _Side | tuple[_Side, ...],
    BeforeValidator(_padding),
    PlainSerializer(written),
    Field(description="rows and columns around the image: of all sides, or [top, left, bottom, right]"),
]


def window_positions(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """Positions of a window of `kernel` along an axis of `size` elements with so many more before and after it.

    Below 1 where the window is longer than the axis.
    """
    return (size + before + after - kernel) // stride + 1


def positions(shape: tuple[int, ...], kernel: int, stride: int, pads: Padding) -> tuple[int, int]:
    """Rows and columns of positions of a square window on an image of shape (.., height, width)."""
    return (
        window_positions(shape[-2], kernel, stride, pads.top, pads.bottom),
        window_positions(shape[-1], kernel, stride, pads.left, pads.right),
    )


class InputSpec(Strict):
    """The network's input, which layers read under the name INPUT."""

    channels: Positive
    height: Positive
    width: Positive

    @property
    def shape(self) -> Shape:
        return self.channels, self.height, self.width


class _Layer(Checked):
    """A layer with one input."""

    name: Name
    input: Name

    @property
    def sources(self) -> list[str]:
        """The names of the tensors that the layer reads."""
        return [self.input]

    def out_shape(self, *shapes: Shape) -> Shape:
        """Output shape from the input shapes. Raises ConfigError, naming the key, where there is none."""
        return shapes[0]


class _Join(Checked):
    """A layer with several inputs."""

    name: Name
    inputs: Annotated[list[Name], Field(min_length=2)]

    @property
    def sources(self) -> list[str]:
        """The names of the tensors that the layer reads."""
        return self.inputs


class Rectified(Checked):
    """A layer that may end with a ReLU: what is negative becomes zero, what is above `clip` becomes clip (ReLU6)."""

    relu: bool = False
    clip: Annotated[float, bounds.CLIP.field()] | None = None

    @model_validator(mode="after")
    def _clips_a_relu(self) -> Self:
        if self.clip is not None and not self.relu:
            raise ConfigError(f"clip: must be left out without relu: true, got {self.clip:g}")
        return self


class _Window(_Layer):
    """A layer that slides a square window over each channel."""

    kernel: int
    stride: int
    padding: PaddingSpec

    @property
    def pads(self) -> Padding:
        """`padding`, side by side."""
        return Padding.of(self.padding)

    def windows(self, shape: Shape) -> tuple[int, int]:
        """Rows and columns of window positions. Raises ConfigError where there are none."""
        pads = self.pads
        for axis, size in (("height", shape[1] + pads.rows), ("width", shape[2] + pads.columns)):
            if size < self.kernel:
                raise ConfigError(f"kernel: must be at most {size}, the padded {axis} of the input, got {self.kernel}")
        return positions(shape, self.kernel, self.stride, pads)

    @model_validator(mode="after")
    def _padded_by_less_than_a_window(self) -> Self:
        """So every window has an element of the image."""
        if max(self.pads) > self.kernel - 1:
            raise ConfigError(
                f"padding: must be 0 to {self.kernel - 1} with kernel {self.kernel}, got {written(self.padding)}"
            )
        return self


class Conv(_Window, Rectified):
    """2-d convolution (cross-correlation, as everywhere in this field), then batch norm, then ReLU."""

    op: Literal["conv"] = "conv"
    out_channels: Positive
    kernel: Annotated[int, bounds.KERNEL.field()]
    stride: Positive = 1
    padding: PaddingSpec = 0
    groups: Positive = 1
    support: SupportSpec = Field("dense", description="see supports.make_support")
    bias: bool = True
    batch_norm: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Conv:
        self.make_support()
        if self.out_channels % self.groups:
            raise ConfigError(f"groups: must divide out_channels {self.out_channels}, got {self.groups}")
        return self

    def make_support(self) -> FileSupport:
        """The support; an unstructured one is seeded by the layer's name, so each layer has its own."""
        return make_support(self.support, self.kernel, seed=zlib.crc32(self.name.encode()))

    def weight_shape(self, source: Shape) -> tuple[int, ...]:
        """[out_channels, in_channels of a group, K, K]."""
        return self.out_channels, source[0] // self.groups, self.kernel, self.kernel

    def out_shape(self, *shapes: Shape) -> Shape:
        if shapes[0][0] % self.groups:
            raise ConfigError(f"groups: must divide the input's {shapes[0][0]} channels, got {self.groups}")
        return self.out_channels, *self.windows(shapes[0])


class MaxPool(_Window):
    """Largest element of each window; padding never wins."""

    op: Literal["maxpool"] = "maxpool"
    kernel: Positive = 2
    stride: Positive = 2
    padding: PaddingSpec = 0

    def out_shape(self, *shapes: Shape) -> Shape:
        return shapes[0][0], *self.windows(shapes[0])


class AvgPool(_Window):
    """Sum of each window over kernel**2, padding counted as zeros."""

    op: Literal["avgpool"] = "avgpool"
    kernel: Positive = 2
    stride: Positive = 2
    padding: PaddingSpec = 0

    def out_shape(self, *shapes: Shape) -> Shape:
        return shapes[0][0], *self.windows(shapes[0])


class GlobalAvgPool(_Layer):
    """Mean of each channel: shape (channels, 1, 1)."""

    op: Literal["global_avgpool"] = "global_avgpool"

    def out_shape(self, *shapes: Shape) -> Shape:
        return shapes[0][0], 1, 1


class Relu(_Layer, Rectified):
    """max(x, 0), and min(x, clip) where there is one."""

    op: Literal["relu"] = "relu"
    relu: Literal[True] = True


class ChannelShuffle(_Layer):
    """Channel g * (C / groups) + j goes to j * groups + g (ShuffleNet)."""

    op: Literal["channel_shuffle"] = "channel_shuffle"
    groups: Positive

    def out_shape(self, *shapes: Shape) -> Shape:
        if shapes[0][0] % self.groups:
            raise ConfigError(f"groups: must divide the input's {shapes[0][0]} channels, got {self.groups}")
        return shapes[0]


class Linear(_Layer, Rectified):
    """Fully connected layer on the input flattened in the order channel, row, column; then ReLU."""

    op: Literal["linear"] = "linear"
    out_features: Positive
    bias: bool = True

    def weight_shape(self, source: Shape) -> tuple[int, ...]:
        """[out_features, in_features]."""
        return self.out_features, source[0] * source[1] * source[2]

    def out_shape(self, *shapes: Shape) -> Shape:
        return self.out_features, 1, 1


class Add(_Join, Rectified):
    """Sum of two tensors of one shape, then ReLU: the residual addition."""

    op: Literal["add"] = "add"
    inputs: Annotated[list[Name], Field(min_length=2, max_length=2)]

    def out_shape(self, *shapes: Shape) -> Shape:
        if shapes[0] != shapes[1]:
            raise ConfigError(f"inputs: must have one shape, got {shapes[0]} and {shapes[1]}")
        return shapes[0]


class Concat(_Join):
    """The inputs' channels one after the other."""

    op: Literal["concat"] = "concat"

    def out_shape(self, *shapes: Shape) -> Shape:
        if len({shape[1:] for shape in shapes}) > 1:
            raise ConfigError(f"inputs: must have one height and width, got {', '.join(map(str, shapes))}")
        return sum(shape[0] for shape in shapes), *shapes[0][1:]


Layer = Annotated[
    Conv | MaxPool | AvgPool | GlobalAvgPool | Add | Relu | Concat | ChannelShuffle | Linear,
    Field(discriminator="op"),
]

Weighted: TypeAlias = Conv | Linear


def _one_or_several(output: Any) -> Any:
    """A name, or a tuple of several."""
    if not isinstance(output, list | tuple):
        return output
    if not output:
        raise ValueError("must be the name of a layer, or a list of names, got none")
    return output[0] if len(output) == 1 else tuple(output)


def _names(output: str | tuple[str, ...]) -> str | list[str]:
    return output if isinstance(output, str) else list(output)


class Network(Checked):
    """A network: its layers in order of evaluation; `output` names the one whose output is the result, or several.

    Raises ConfigError, naming the layer: a name used twice, an input not defined before, shapes that do not
    fit, a mask that is not of its layer's shape.
    """

    name: Title
    input: InputSpec
    layers: Annotated[list[Layer], Field(min_length=1)]
    output: Annotated[Name | tuple[Name, ...], BeforeValidator(_one_or_several), PlainSerializer(_names)]

    @model_validator(mode="after")
    def _connected(self) -> Network:
        known = {INPUT}
        for layer in self.layers:
            for source in layer.sources:
                if source not in known:
                    raise ConfigError(f"layer {layer.name}: input: must be 'input' or an earlier layer, got {source!r}")
            if layer.name in known:
                raise ConfigError(f"layer {layer.name}: name: must be a name of its own, got that of an earlier layer")
            known.add(layer.name)
        for output in self.outputs:
            if output not in known - {INPUT}:
                raise ConfigError(f"output: must be one of the layers, got {output!r}")
            if self.outputs.count(output) > 1:
                raise ConfigError(f"output: must name each layer once, got {output!r} twice")
        shapes = self.shapes()
        for layer in self.layers:
            if isinstance(layer, Conv) and isinstance(support := layer.make_support(), MaskSupport):
                try:
                    support.mask(*layer.weight_shape(shapes[layer.input])[:2])
                except ConfigError as error:
                    raise ConfigError(f"layer {layer.name}: {error}") from error
        return self

    @property
    def outputs(self) -> tuple[str, ...]:
        """The layers whose outputs are the result, in order."""
        return (self.output,) if isinstance(self.output, str) else self.output

    def only_output(self, what: str) -> str:
        """The layer whose output is the result. Raises ConfigError, saying what needs it, where there are several."""
        if len(self.outputs) > 1:
            raise ConfigError(f"output: must be one layer for {what}, got {', '.join(self.outputs)}")
        return self.outputs[0]

    def shapes(self) -> dict[str, Shape]:
        """(channels, height, width) of INPUT and of every layer's output."""
        shapes = {INPUT: self.input.shape}
        for layer in self.layers:
            try:
                shapes[layer.name] = layer.out_shape(*(shapes[source] for source in layer.sources))
            except ConfigError as error:
                raise ConfigError(f"layer {layer.name}: {error}") from error
        return shapes

    def layer(self, name: str) -> Layer:
        """The layer called `name`. Raises ConfigError."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise ConfigError(f"layer: must be one of {names} of network {self.name}, got {name!r}")

    def weighted_layers(self) -> list[Weighted]:
        """The layers with weights, in order."""
        return [layer for layer in self.layers if isinstance(layer, Weighted)]

    def weighted_layer(self, name: str) -> Weighted:
        """The layer called `name`, which has weights. Raises ConfigError, for one that has none too."""
        layer = self.layer(name)
        if not isinstance(layer, Weighted):
            raise ConfigError(f"layer {name}: op: must be conv or linear to have weights, got {layer.op}")
        return layer

    def weight_shape(self, layer: Weighted) -> tuple[int, ...]:
        """The shape of a layer's weight array."""
        return layer.weight_shape(self.shapes()[layer.input])

    def spec(self) -> dict[str, Any]:
        """The network as files write it, plain mappings without defaults; Network(**spec) reads it."""
        layers = [{"op": layer.op, **layer.model_dump(exclude_defaults=True)} for layer in self.layers]
        output = _names(self.output)
        return {"name": self.name, "input": self.input.model_dump(), "layers": layers, "output": output}

    def map_convs(self, change: Callable[[Conv], Conv]) -> Network:
        """The same network with each convolution replaced by `change` of it."""
        layers = [change(layer) if isinstance(layer, Conv) else layer for layer in self.layers]
        return Network(name=self.name, input=self.input, layers=layers, output=self.output)

    def folded(self) -> Network:
        """The same network without batch norm, which is folded into weights and bias: where there was one, there is a
        bias."""

        def fold(conv: Conv) -> Conv:
            bias = conv.bias or conv.batch_norm
            return Conv(**{**conv.model_dump(), "batch_norm": False, "bias": bias})

        return self.map_convs(fold)

    def dense_twin(self) -> Network:
        """The same network with every support dense."""
        return self.map_convs(lambda conv: Conv(**{**conv.model_dump(), "support": "dense"}))
