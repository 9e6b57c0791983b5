"""What a run works on: the bundle, its images, and the engine of each layer that has one."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from psconv.flow.config import LayerConfig, RunConfig
from psconv.synthesis.targets import Target, load_target
from pymodel.common.errors import ConfigError
from pymodel.common.memory import require
from pymodel.common.records import read_npz
from pymodel.datasets.splits import load_dataset
from pymodel.engine import cpp as header
from pymodel.engine.packing import EngineShape, pack_stream
from pymodel.engine.shape_of import engine_shape
from pymodel.golden import model as golden
from pymodel.golden import ops
from pymodel.network.bundle import Bundle
from pymodel.network.formats import SCALE_BITS, Format, check_range
from pymodel.network.random_bundle import random_bundle
from pymodel.network.supports import check_support
from pymodel.network.topology import Conv, InputSpec, Network
from pymodel.nn.variants import make_network
from pymodel.top import cpp as network_top
from pymodel.top.dataflow import Dataflow, build, needed_layers
from pymodel.top.packets import Packet, Verdict, answers, in_ultra_ram, loadable, packet, weight_beats

_DRAWN = 1 << 20  # random numbers at a time
_DRAWING_BYTES = 26  # of a weight: drawn, masked, the mask, and as it is kept

LAYER = "layer"  # the name of the only layer of a one-layer run
WHOLE = "network"  # the name of a whole network's folder and files


@dataclass(frozen=True)
class Engine:
    """One layer's engine, what goes into it and what must come out of it (int8 [n, C, H, W])."""

    name: str
    shape: EngineShape
    weights: np.ndarray  # int8 [cout, cin, K, K]
    bias: np.ndarray  # int32 [cout]
    scales: np.ndarray | None  # uint16 [cout]
    x: np.ndarray
    y: np.ndarray

    @cached_property
    def header(self) -> str:
        """The text of engine_config.hpp."""
        return header.render(self.shape, self.weights, self.bias, self.scales)


@dataclass(frozen=True)
class Whole:
    """A network as one top, what goes into it and what each layer must give (int8 [n, C, H, W], by layer)."""

    name: str
    network: str
    dataflow: Dataflow
    x: np.ndarray
    outputs: dict[str, np.ndarray]
    weights: np.ndarray | None = None  # what comes before the first image (loading.weight_beats); none: they are in ROM

    @property
    def reloads(self) -> frozenset[int]:
        """The images before which weights come."""
        return frozenset() if self.weights is None else frozenset([0])

    def packets(self, images: int) -> list[Packet]:
        """The beats of the first `images` images, with what comes before them."""
        x = self.x[:images]
        if self.weights is None:
            words = self.dataflow.source.words
            return [Packet(beats) for beats in words.pack(x, "images").reshape(len(x), words.count, words.word_bytes)]
        loads = [self.weights if at in self.reloads else None for at in range(len(x))]
        return [packet(self.dataflow, image, load) for image, load in zip(x, loads, strict=True)]

    def answers(self, images: int) -> np.ndarray:
        """Output beats for the first `images` images: uint8 [n, bytes]."""
        y, sink = self.y[:images], self.dataflow.sink.words
        if self.weights is None:
            return sink.pack(y, "scores")
        given = [Verdict.GOOD | (Verdict.RELOADED if at in self.reloads else 0) for at in range(images)]
        return answers(self.dataflow, y, given)

    def scores(self, beats: np.ndarray) -> np.ndarray:
        """int8 [n, channels, height, width] of the whole answers in output beats, uint8 [m, bytes]."""
        count, words = self.dataflow.out_beats, self.dataflow.sink.words
        whole = beats[: len(beats) // count * count].reshape(-1, count, words.word_bytes)[:, : words.count]
        return words.unpack(whole.reshape(-1, words.word_bytes), "output beats")

    @cached_property
    def streamed(self) -> dict[str, np.ndarray]:
        """The weight beats of an image for each port that brings weights, by its name: uint8 [words, bytes]."""
        return {
            engine.port.name: pack_stream(engine.weights, engine.shape) for engine in self.dataflow.streamed.values()
        }

    def further(self, images: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Beats and TLAST of each of these ports for the first `images` images."""
        return {
            port: (np.tile(beats, (images, 1)), np.tile(np.arange(1, len(beats) + 1) == len(beats), images))
            for port, beats in self.streamed.items()
        }

    @property
    def y(self) -> np.ndarray:
        """What comes out."""
        return self.outputs[self.dataflow.sink.layer]

    @cached_property
    def sources(self) -> dict[str, str]:
        """The C++ of the top by file name; the depths of its streams take a while to compute."""
        return network_top.render(self.dataflow, self.network)


@dataclass(frozen=True)
class Subject:
    """A bundle with its images, golden outputs, and what is built of it: an engine for each layer, or one top.

    `labels` is None for random images; `whole` is None where each layer is built by itself.
    """

    bundle: Bundle
    images: np.ndarray
    labels: np.ndarray | None
    outputs: dict[str, np.ndarray]
    engines: list[Engine]
    whole: Whole | None = None

    @property
    def designs(self) -> list[Engine] | list[Whole]:
        """What the steps of the flow work on, one after the other."""
        return [self.whole] if self.whole else self.engines


def make_subject(config: RunConfig, path: Path, target: Target | None = None) -> Subject:
    """Everything of the run that `path` configures, golden outputs included. Raises ConfigError.

    target: instead of the configured one.
    """
    try:
        if config.layer:
            bundle, images, labels = *_generated(config.layer, config, path.parent), None
        else:
            bundle = load_bundle(config, path)
            images, labels = _images(config, bundle)
        shapes = engine_shapes(config, bundle, target)
        network, weights = None, None
        if config.top == "network":
            network = build(bundle, shapes, config.weights == "loaded", list(filter(config.streams, shapes)))
            weights = weight_beats(network, bundle) if network.gate else None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    outputs = golden.run(bundle, images)
    if network:
        whole = Whole(WHOLE, bundle.network.name, network, images, outputs, weights)
        return Subject(bundle, images, labels, outputs, [], whole)
    return Subject(
        bundle,
        images,
        labels,
        outputs,
        [
            Engine(
                name,
                shape,
                bundle.weights[name].reshape(shape.cout, shape.cin, shape.kernel, shape.kernel),
                bundle.bias(name),
                bundle.scales.get(name),
                engine_input(bundle, name, outputs),
                outputs[name],
            )
            for name, shape in shapes.items()
        ],
    )


def engine_input(bundle: Bundle, name: str, outputs: dict[str, np.ndarray]) -> np.ndarray:
    """int8 [n, cin, height, width]: what the engine of a layer reads; a fully connected one reads one pixel."""
    layer = bundle.network.layer(name)
    x = outputs[layer.sources[0]]
    return x if isinstance(layer, Conv) else x.reshape(len(x), -1, 1, 1)


def engine_shapes(config: RunConfig, bundle: Bundle, target: Target | None = None) -> dict[str, EngineShape]:
    """The engine of each layer with weights that is built, by its name, for `target` or the configured one.

    Raises ConfigError.
    """
    device = target or load_target(config.target)
    names = [layer.name for layer in bundle.network.weighted_layers()]
    built = {layer.name for layer in needed_layers(bundle.network)} if config.top == "network" else set(names)
    if unknown := sorted(set(config.layers) - set(names)):
        raise ConfigError(f"layers.{unknown[0]}: no such layer with weights; known are {', '.join(names)}")
    shapes = {}
    for name in filter(built.__contains__, names):
        wish = config.layers.get(name, config.parallelism)
        engine = config.layer.engine if config.layer else "periodic"
        key = f"layers.{name}" if name in config.layers else "parallelism"
        try:
            shape = engine_shape(
                bundle,
                name,
                wish.To,
                wish.Tb,
                wish.fold,
                engine=engine,
                packing=wish.packing,
                feed=wish.feed,
                multiplier_bits=max(device.multiplier),
            )
        except ConfigError as error:
            raise ConfigError(f"{key}: {device.name}: {error}") from error
        if wish.lanes not in (None, shape.lanes):
            raise ConfigError(
                f"{key}.lanes: {wish.lanes}, but "
                f"{shape.support.name} with To {wish.To}, Tb {wish.Tb}, fold {wish.fold} has "
                f"ceil({shape.elements} / {wish.fold}) * {wish.To} = {shape.lanes}"
            )
        shapes[name] = loadable(shape) if config.weights == "loaded" else shape
    if config.weights == "loaded":
        return in_ultra_ram(shapes, device.budgets.URAM)
    return shapes


def load_bundle(config: RunConfig, path: Path) -> Bundle:
    """The bundle, or network with generated weights, that `path` names. Raises ConfigError."""
    wish = config.network
    if wish is None:
        return Bundle.load(path.parent / config.bundle)
    try:
        network = make_network(wish.name, wish.dataset, wish.variant)
    except ConfigError as error:
        raise ConfigError(f"network: {error}") from error
    return random_bundle(network, config.seed, wish.weight_bits, wish.activation_bits)


def _images(config: RunConfig, bundle: Bundle) -> tuple[np.ndarray, np.ndarray | None]:
    count, form = config.images.count, bundle.formats["input"]
    require_outputs(bundle.network, count)
    if config.images.source == "random":
        rng = np.random.default_rng([config.seed, 1])
        return random_images(rng, form, (count, *bundle.network.input.shape)), None
    data = load_dataset(config.images.source)
    if data.shape != bundle.network.input.shape:
        raise ConfigError(
            f"images.source: {config.images.source} has images of {data.shape}, the network "
            f"wants {bundle.network.input.shape}"
        )
    if data.input_format != form:
        raise ConfigError(
            f"images.source: {config.images.source} has the format {data.input_format}, the bundle's input has {form}"
        )
    if count > len(data.test):
        raise ConfigError(f"images.count: {count}, but {config.images.source} has {len(data.test)} test images")
    return data.integers(data.test.images[:count]), data.test.labels[:count]


def random_images(rng: np.random.Generator, form: Format, shape: tuple[int, ...]) -> np.ndarray:
    """int8 images all over a format, drawn a few at a time: the generator's own integers are eight times as large."""
    images = np.empty(math.prod(shape), np.int8)
    for start in range(0, len(images), _DRAWN):
        part = images[start : start + _DRAWN]
        part[...] = rng.integers(form.min, form.max + 1, len(part))
    return images.reshape(shape)


def _require_weights(network: Network) -> None:
    """Raises ConfigError where there is no memory to draw the weights of a network."""
    for layer in network.weighted_layers():
        count = math.prod(network.weight_shape(layer))
        require(count * _DRAWING_BYTES, f"layer {layer.name}: {count:,} weights", "a smaller layer needs less")


def require_outputs(network: Network, images: int) -> None:
    """Raises ConfigError where there is no memory for the outputs of every layer, and twice for those at work."""
    sizes = [math.prod(shape) for shape in network.shapes().values()]
    require(images * (sum(sizes) + 2 * max(sizes)), f"network {network.name}: the outputs of {images:,} images")


def _generated(layer: LayerConfig, config: RunConfig, folder: Path) -> tuple[Bundle, np.ndarray]:
    """A network of one layer, and random images for it."""
    support = layer.engine_support
    conv = Conv(
        name=LAYER,
        input="input",
        out_channels=layer.out_channels,
        kernel=layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        relu=layer.relu,
        support=support.spec(),
        bias=layer.bias,
    )
    network = Network(
        name=LAYER,
        layers=[conv],
        output=LAYER,
        input=InputSpec(channels=layer.in_channels, height=layer.height, width=layer.width),
    )
    _require_weights(network)
    require_outputs(network, config.images.count)
    rng = np.random.default_rng([config.seed, zlib.crc32(LAYER.encode())])
    weights, bias = _weights(layer, network.weight_shape(conv), rng, folder)
    scales = _scales(layer, rng)
    activations = Format(layer.activation_bits, 0)
    images = random_images(rng, activations, (config.images.count, *network.input.shape))
    if layer.shift == "auto":
        # One bit less than the largest output needs: most outputs fit, and some saturate.
        factor = 1 if scales is None else scales.astype(np.int64)[:, None, None]
        largest = max(
            int(np.abs(sums * factor).max())
            for _, sums in ops.conv2d_pieces(images, weights, bias, layer.stride, layer.padding)
        )
        shift = min(max(0, largest.bit_length() - layer.output_bits), 31)
    else:
        shift = layer.shift
    bundle = Bundle(
        network=network,
        formats={"input": activations, LAYER: Format(layer.output_bits, -shift)},
        weight_formats={LAYER: Format(layer.weight_bits, 0)},
        weights={LAYER: weights},
        biases={LAYER: bias} if layer.bias else {},
        scales={} if scales is None else {LAYER: scales},
        accumulator_bits={} if layer.accumulator_bits is None else {LAYER: layer.accumulator_bits},
    )
    return bundle, images


def _scales(layer: LayerConfig, rng: np.random.Generator) -> np.ndarray | None:
    """uint16 [cout], evenly spread over the octaves above 2^8, or none."""
    if layer.scale == "none":
        return None
    return (2 ** rng.uniform(8, SCALE_BITS, layer.out_channels)).astype(np.uint16)


def _weights(
    layer: LayerConfig, shape: tuple[int, ...], rng: np.random.Generator, folder: Path
) -> tuple[np.ndarray, np.ndarray]:
    """int8 [cout, cin, K, K], zero off the support, and int32 [cout]."""
    form, support = Format(layer.weight_bits, 0), layer.engine_support
    reach = 1 << (layer.weight_bits + layer.activation_bits - 2)
    bias = rng.integers(-reach, reach + 1, shape[0]) * int(layer.bias)
    if layer.weights in ("random", "min", "max"):
        low, high = {"random": (form.min, form.max), "min": (form.min,) * 2, "max": (form.max,) * 2}[layer.weights]
        weights = rng.integers(low, high + 1, shape) * support.mask(*shape[:2])
        return weights.astype(np.int8), bias.astype(np.int32)
    path = folder / layer.weights
    if path.suffix != ".npz":
        raise ConfigError(f"layer.weights: {layer.weights!r}: random, min, max or an .npz file was expected")
    try:
        arrays = read_npz(path)
    except ConfigError as error:
        raise ConfigError(f"layer.weights: {error}") from error
    for name in ("weight", "bias")[: 1 + layer.bias]:
        if name not in arrays:
            found = ", ".join(sorted(arrays)) or "none"
            raise ConfigError(f"layer.weights: {path}: array {name!r} expected, got {found}")
    weights, bias = arrays["weight"], arrays["bias"] if layer.bias else bias
    if weights.shape != shape or bias.shape != shape[:1]:
        raise ConfigError(
            f"layer.weights: {path}: weight {list(weights.shape)} and bias {list(bias.shape)}; "
            f"{list(shape)} and {[shape[0]]} were expected"
        )
    form.check(weights, f"layer.weights: {path}: weight")
    check_range(bias, -(1 << 31), (1 << 31) - 1, f"layer.weights: {path}: bias")
    check_support(weights, support, f"layer.weights: {path}")
    return weights.astype(np.int8), bias.astype(np.int32)
