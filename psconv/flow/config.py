"""The configuration of a run: one YAML file that names a bundle, or a layer or network with generated weights.

Every key is documented beside its field; docs/reference/configuration.md shows the same list with examples.
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


class Parallelism(Strict):
    """How much of a layer works at once; each is static wiring. `lanes` is a check, not a setting."""

    To: Parallel = Field(1, description="output channels at once; more than 1 needs Cout to be a multiple of P*To")
    Tb: Parallel = Field(1, description="blocks of P input channels at once; must divide ceil(Cin / P)")
    fold: Parallel = Field(1, description="cycles that share the N*Tb lanes; 1 is one lane per nonzero")
    packing: Parallel = Field(1, description="output channels whose products share a multiplier; must divide To")
    feed: Literal["windows", "channels"] = Field(
        "windows", description="what goes into the ring at once: windows of P*Tb channels, or one channel of each block"
    )
    lanes: Multipliers | None = Field(None, description="if given, what To, Tb and fold must give")


class LayerSettings(Parallelism):
    """Settings of a single layer of a bundle."""

    weights: Literal["rom", "streamed"] | None = Field(
        None, description="where this layer's weights are; none: as `weights` says (top: network)"
    )


class LayerConfig(Strict):
    """One convolution with generated weights."""

    in_channels: Size
    out_channels: Size
    height: Size
    width: Size
    kernel: Annotated[int, Odd] = bounds.LAYER_KERNEL.field(3, description="K, odd")
    stride: int = bounds.LAYER_STRIDE.field(1)
    padding: int = bounds.LAYER_PADDING.field(1, description="zeros on each side, at most K - 1")
    support: str | dict[str, list[list[int]]] = Field("dense", description="a name or {taps: [[...], ...]}")
    engine: Literal["periodic", "indexed"] = Field(
        "periodic", description="operands by the ring, or for comparison by an index beside each weight"
    )
    relu: bool = False
    activation_bits: Bits = 8
    weight_bits: Bits = 8
    output_bits: Bits = 8
    shift: Shift | Literal["auto"] = Field("auto", description="requantisation shift, 0..31; auto: from the outputs")
    scale: Literal["none", "per_channel"] = Field("none", description="per_channel: a random scale per output channel")
    accumulator_bits: AccumulatorBits | None = Field(
        None, description="at least what the weights prove; none: exactly that"
    )
    weights: FileName = Field("random", description="random, min (all -2^(w-1)), max, or an .npz with weight and bias")
    bias: bool = True

    @property
    def engine_support(self) -> Support:
        support = make_support(self.support, self.kernel)
        if not isinstance(support, Support):
            raise ConfigError(f"support: must be periodic, got {support.name!r}, which has an index per kernel")
        return support


class GeneratedNetwork(Strict):
    """A network of the papers with generated weights, to build its hardware before anything is trained."""

    name: str = Field(description="resnet18, vgg16, digits, ...")
    dataset: str = Field("cifar10", description="its images' size and classes")
    variant: str = Field("dense", description="support of its 3x3 convolutions, such as PSD1_P16")
    activation_bits: Bits = 8
    weight_bits: Bits = 8


class Images(Strict):
    """What goes in. `digits` is scikit-learn's test split; `random` covers the whole input format."""

    source: Literal["random", "digits"] = "random"
    count: int = bounds.IMAGES.field(2)


class Stalls(Strict):
    """A second co-simulation in which both sides stall at random; the first never stalls and counts cycles."""

    images: int = bounds.STALLED_IMAGES.field(1, description="how many of the images it simulates; 0 leaves it out")
    input: float = bounds.PROBABILITY_OF_STALL.field(0.3, description="probability that the source idles in a cycle")
    output: float = bounds.PROBABILITY_OF_STALL.field(
        0.3, description="probability that the sink is not ready in a cycle"
    )


class RunConfig(Strict):
    """A whole run."""

    psconv: Annotated[Literal[1], Version1] = Field(description="version of this file format")
    bundle: FileName | None = Field(None, description="a quantised network (YAML), relative to this file")
    layer: LayerConfig | None = Field(None, description="or one layer with generated weights")
    network: GeneratedNetwork | None = Field(None, description="or a whole network with generated weights")
    top: Literal["layers", "network"] = Field("layers", description="RTL for each layer, or one for the network")
    weights: Literal["rom", "loaded", "streamed"] = Field(
        "rom", description="loaded: by packets into RAM; streamed: by ports, once an image (top: network)"
    )
    images: Images = Images()
    seed: int = bounds.SEED.field(0)
    target: str = Field("zcu104", description="a device of constraints/")
    clock_ns: Clock | None = Field(None, description="clock period; none: the target's")
    parallelism: Parallelism = Parallelism()
    layers: dict[str, LayerSettings] = Field({}, description="settings of single layers of a bundle, by name")
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
