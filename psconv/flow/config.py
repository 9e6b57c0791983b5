"""The configuration of a run: one YAML file that names a bundle, or a layer or network with generated weights.

What each key means stands beside its field; `python -m scripts.reference` makes the tables of
docs/reference/configuration.md of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pymodel.common import bounds
from pymodel.common.bounds import FileName, Odd, Version1
from pymodel.common.errors import ConfigError, Strict, validated
from pymodel.common.kinds import RUN, read_kind
from pymodel.network.supports import Support, make_support

Bits = Annotated[int, bounds.TENSOR_BITS.field()]
Size = Annotated[int, bounds.SIZE.field()]
Parallel = Annotated[int, bounds.PARALLEL.field()]
Multipliers = Annotated[int, bounds.MULTIPLIERS.field()]
Shift = Annotated[int, bounds.SHIFT.field()]
AccumulatorBits = Annotated[int, bounds.ACCUMULATOR_BITS.field()]
Clock = Annotated[float, bounds.CLOCK_NS.field()]
Width = Annotated[int, bounds.WIDTH.field()]


class Parallelism(Strict):
    """How much of a layer works at once; each is static wiring. `lanes` is a check, not a setting."""

    To: Parallel = Field(
        1,
        description="output channels at once: o, o + P, o + 2P, ...; more than 1 needs Cout (of a group) to be a "
        "multiple of P * To. In a depthwise convolution: outputs of a channel at once, a divisor of Cout / Cin",
    )
    R: Parallel = Field(
        1,
        description="rotations of the window ring at once: R neighbouring output channels, beside each of the To; must "
        "divide P, and with R = P the ring stands still. In a depthwise convolution: channels at once, 1 to Cin",
    )
    Tx: Parallel = Field(
        1,
        description="neighbouring pixels of a row at once, of the input and of the output; must divide both widths",
    )
    Tb: Parallel = Field(
        1,
        description="blocks of P input channels (of a group) at once; must divide ceil(Cin / P); 1 in a depthwise one",
    )
    fold: Parallel = Field(
        1,
        description="cycles that share the N * Tb products of a step: ceil(N * Tb / fold) lanes for each of To * R "
        "outputs and Tx pixels",
    )
    packing: Parallel = Field(
        1,
        description="products that share one hardware multiplier, at most: of outputs that meet the same activation, "
        "or of pixels, which meet the same weight; their packed operands must fit the target's multipliers",
    )
    feed: Literal["windows", "channels"] = Field(
        "windows",
        description="where the window ring is kept, and how it is fed: windows, in registers, all P * Tb channels at "
        "once; channels, in LUT memories, one channel of each block at a time: fewer LUTs and flip-flops, P cycles "
        "more per image; needs Cout / (To * R) * fold >= P",
    )
    lanes: Multipliers | None = Field(
        None, description="a check: the lanes that To, R, Tx, Tb and fold must come to, whatever the packing"
    )


class LayerSettings(Parallelism):
    """Settings of a single layer of a bundle."""

    weights: Literal["rom", "streamed"] | None = Field(
        None,
        description="where this layer's weights are; none: as `weights` says. Needs `top: network`; not with "
        "`weights: loaded`",
    )
    ultra_weights: bool | None = Field(
        None,
        description="with `weights: loaded`: whether they lie in UltraRAM; none: where that spares enough block RAM",
    )


class LayerConfig(Strict):
    """One convolution with generated weights."""

    in_channels: Size = Field(description="channels of an input image")
    out_channels: Size = Field(description="channels of an output image")
    height: Size = Field(description="rows of an image")
    width: Size = Field(description="columns of an image")
    kernel: Annotated[int, Odd] = bounds.LAYER_KERNEL.field(3, description="K, rows and columns of a kernel; odd")
    stride: int = bounds.LAYER_STRIDE.field(1, description="input pixels from one output pixel to the next")
    padding: int = bounds.LAYER_PADDING.field(1, description="rows and columns of zeros on each side, at most K - 1")
    groups: Size = Field(
        1,
        description="groups of in_channels / groups input and out_channels / groups output channels, each with weights "
        "of its own; must divide both. As many as input channels: a depthwise convolution",
    )
    support: str | dict[str, list[list[int]]] = Field(
        "dense",
        description="`dense`, `PSn_Pp`, `PSDn_Pp` (n = 1, 2, 4), or `{taps: [[0, 4], [2], ...]}`: one tap list per "
        "variant, tap = K * row + column",
    )
    engine: Literal["periodic", "indexed"] = Field(
        "periodic",
        description="`indexed`: for comparison, an engine with an index beside each weight and a multiplexer before "
        "each multiplier",
    )
    relu: bool = Field(False, description="negative outputs become zero")
    activation_bits: Bits = Field(8, description="of an input, signed")
    weight_bits: Bits = Field(8, description="of a weight, signed")
    output_bits: Bits = Field(8, description="of an output, signed")
    shift: Shift | Literal["auto"] = Field(
        "auto",
        description="right shift of the requantisation; `auto`: one bit less than would hold every output of these "
        "images, so that some saturate",
    )
    scale: Literal["none", "per_channel"] = Field(
        "none",
        description="`per_channel`: a random 16-bit scale for each output channel, which its sums are multiplied by "
        "before the shift",
    )
    accumulator_bits: AccumulatorBits | None = Field(
        None,
        description="width of the accumulator; refused where the weights prove that it could wrap; none: exactly what "
        "they prove",
    )
    weights: FileName = Field(
        "random",
        description="`random`, `min` (all -2^(w-1)), `max`, or an .npz with the arrays `weight` [Cout, Cin / groups, "
        "K, K] and, if `bias`, `bias` [Cout]",
    )
    bias: bool = Field(True, description="whether outputs have a bias")

    @property
    def engine_support(self) -> Support:
        support = make_support(self.support, self.kernel)
        if not isinstance(support, Support):
            raise ConfigError(f"support: must be periodic, got {support.name!r}, which has an index per kernel")
        return support


class GeneratedNetwork(Strict):
    """A network of the papers with generated weights, to build its hardware before anything is trained."""

    name: str = Field(description="`resnet18`, `vgg16`, `digits`, ...: see pymodel/network/zoo.py")
    dataset: str = Field(
        "cifar10", description="size and classes of its images: `cifar10`, `tiny-imagenet`, `imagenet`, `digits`"
    )
    variant: str = Field(
        "dense", description="support of its 3x3 convolutions but the first and grouped ones, such as `PSD1_P16`"
    )
    width: Width | None = Field(
        None, description="`resnet8`, `resnet18`, `resnet20`, ...: channels of the first stage; none: the standard ones"
    )
    activation_bits: Bits = Field(8, description="of activations, signed")
    weight_bits: Bits = Field(8, description="of weights, signed")


class Images(Strict):
    """What goes in."""

    source: Literal["random", "digits", "cifar10", "tiny-imagenet", "folder", "npz", "file"] = Field(
        "random",
        description="`random`: the whole range of the input format; a data set as in a training's `data.dataset`: its "
        "test images, for a bundle with its input; `file`: those in `images.path`",
    )
    path: FileName | None = Field(
        None,
        description="where the data set lies (a training's `data.path`); `file`: an .npz with the array `images` "
        "[n, C, H, W], integers of the input format or real numbers that are rounded to it, and, where there are "
        "labels, `labels`, int [n]",
    )
    count: int = bounds.IMAGES.field(2, description="images of the run; but for `random` the first ones")

    @model_validator(mode="after")
    def _path_where_needed(self) -> Images:
        if self.source in ("folder", "npz", "file") and self.path is None:
            raise ValueError(f"path: must be given with source: {self.source}, got none")
        if self.source in ("random", "digits") and self.path is not None:
            raise ValueError(f"path: must be left out with source: {self.source}, got {self.path}")
        return self


class Stalls(Strict):
    """A second co-simulation in which both sides stall at random; the first never stalls and counts cycles."""

    images: int = bounds.STALLED_IMAGES.field(
        1, description="images of a second co-simulation, in which both sides stall at random; 0: there is none"
    )
    input: float = bounds.PROBABILITY_OF_STALL.field(0.3, description="probability that the source idles in a cycle")
    output: float = bounds.PROBABILITY_OF_STALL.field(
        0.3, description="probability that the sink is not ready in a cycle"
    )


class RunConfig(Strict):
    """A whole run."""

    psconv: Annotated[Literal[1], Version1] = Field(description="version of the file format")
    bundle: FileName | None = Field(
        None, description="a quantised network (YAML). Exactly one of `bundle`, `layer` and `network`"
    )
    layer: LayerConfig | None = Field(None, description="or one layer with generated weights")
    network: GeneratedNetwork | None = Field(None, description="or a whole network with generated weights")
    top: Literal["layers", "network"] = Field(
        "layers", description="RTL for each layer with weights, or one for the whole network"
    )
    weights: Literal["rom", "loaded", "streamed"] = Field(
        "rom",
        description="where weights are. `loaded`: in RAM, through the input port, before or between images; "
        "`streamed`: from outside memory, each once an image, by a port for each layer; both need `top: network`",
    )
    images: Images = Images()
    seed: int = bounds.SEED.field(0, description="of weights, images and stalls")
    target: str = Field("zcu104", description="a device of `constraints/`")
    clock_ns: Clock | None = Field(
        None, description="clock period that the open flow pipelines for; none: the target's"
    )
    parallelism: Parallelism = Parallelism()
    layers: dict[str, LayerSettings] = Field(
        {}, description="settings of single layers of a bundle or network, by name; the others take `parallelism`"
    )
    stalls: Stalls = Stalls()

    def streams(self, layer: str) -> bool:
        """Whether the weights of a layer are streamed."""
        own = self.layers[layer].weights if layer in self.layers else None
        return (own or self.weights) == "streamed"

    @model_validator(mode="after")
    def _one_subject(self) -> RunConfig:
        if sum(subject is not None for subject in (self.bundle, self.layer, self.network)) != 1:
            raise ValueError("bundle, layer, network: exactly one must be given")
        if self.layer and self.top == "network":
            raise ValueError(
                "top: must be layers for one layer, got network; only a bundle or a network is built as one top"
            )
        if self.weights != "rom" and self.top != "network":
            raise ValueError(f"top: must be network for weights: {self.weights}, got {self.top}")
        for name, layer in self.layers.items():
            if layer.weights == "streamed" and self.top != "network":
                raise ValueError(f"top: must be network for layers.{name}.weights: streamed, got {self.top}")
            if layer.ultra_weights is not None and self.weights != "loaded":
                raise ValueError(
                    f"layers.{name}.ultra_weights: must be left out with weights: {self.weights}, got "
                    f"{str(layer.ultra_weights).lower()}; only weights that are loaded can lie there"
                )
            if layer.weights and self.weights == "loaded":
                raise ValueError(
                    f"layers.{name}.weights: must be left out with weights: loaded, got {layer.weights}; "
                    "only rom and streamed can be mixed"
                )
        if self.layer and self.layers:
            raise ValueError("layers: must be left out for one layer; set parallelism instead")
        if not self.bundle and self.images.source != "random":
            raise ValueError(f"images.source: must be random with generated weights, got {self.images.source!r}")
        return self


def load(path: Path) -> RunConfig:
    """The checked configuration in a YAML file. Raises ConfigError naming file, key and value."""
    return validated(RunConfig, read_kind(path, RUN), str(path))
