"""What the flow makes: tops, and the beats that go in and must come out.

A layer by itself is a network of one: each step of the flow works on a `Design`, whatever it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from psconv.flow.config import RunConfig
from psconv.flow.parallelism import engine_shapes
from psconv.synthesis.targets import Target
from pymodel.common.arrays import Bool, Int8, Integers, UInt8
from pymodel.engine.packing import EngineShape, pack_stream
from pymodel.network.bundle import Bundle
from pymodel.network.topology import INPUT
from pymodel.top import cpp
from pymodel.top.dataflow import NETWORK, Dataflow, build, single
from pymodel.top.packets import Packet, packet, responses, weight_beats
from pymodel.top.status import Status
from pymodel.top.units import EngineUnit, Stream


@dataclass(frozen=True)
class Vectors:
    """Images at a design's input, int8 [n, C, H, W], and the output of each of its layers, by layer, likewise."""

    x: Int8
    outputs: Mapping[str, Int8]

    def first(self, images: int) -> Vectors:
        """The vectors of the first `images` images."""
        return Vectors(self.x[:images], {layer: y[:images] for layer, y in self.outputs.items()})


@dataclass(frozen=True)
class Design:
    """One top.

    name: of its folder and files. what: it is, in words. source: the tensor that goes in, INPUT or a layer's output.
    weights: uint8 [beats, bytes], what comes before the first image (packets.weight_beats); none: they are in ROM, or
    come by ports of their own.
    """

    name: str
    what: str
    dataflow: Dataflow
    source: str
    weights: UInt8 | None = None

    @property
    def sinks(self) -> dict[str, Stream]:
        """The output ports by the layer whose output comes out, in the order of the ports."""
        return {sink.layer: sink for sink in self.dataflow.sinks}

    @property
    def layer(self) -> str:
        """The layer whose output comes out. Raises ConfigError where there are several."""
        return self.dataflow.sink.layer

    @property
    def engine(self) -> EngineUnit | None:
        """The engine, with its weights in ROM, that is all there is; none: there is more."""
        first, *rest = self.dataflow.units
        return first if not rest and type(first) is EngineUnit and not first.loaded else None

    @property
    def shapes(self) -> dict[str, EngineShape]:
        """The shapes of its engines, by layer."""
        return self.dataflow.shapes

    @property
    def probes(self) -> dict[str, Stream]:
        """The streams inside that carry the output of a layer, by layer."""
        ports = {sink.name for sink in self.dataflow.sinks}
        return {layer: stream for layer, stream in self.dataflow.probes.items() if stream.name not in ports}

    @property
    def reloads(self) -> frozenset[int]:
        """The images before which weights come."""
        return frozenset() if self.weights is None else frozenset([0])

    @cached_property
    def sources(self) -> dict[str, str]:
        """The C++ of the top by file name; the depths of its streams take a while to compute."""
        return self.rendered()

    def rendered(self, least_depth: int = 1) -> dict[str, str]:
        """`sources` with FIFOs of at least `least_depth` words, for a tool whose FIFOs the cycle model is not of."""
        return cpp.render(self.dataflow, self.what, least_depth)

    def vectors(self, outputs: Mapping[str, Int8]) -> Vectors:
        """What goes in and must come out, from the output of every layer of the network and its input."""
        words = self.dataflow.source.words
        x = outputs[self.source].reshape(-1, words.channels, words.height, words.width)  # a row of features: one pixel
        return Vectors(x, {layer: outputs[layer] for layer in {**self.probes, **self.sinks}})

    def packets(self, x: Integers) -> list[Packet]:
        """The beats of images, int [n, C, H, W], with what comes before them."""
        if self.weights is None:
            words = self.dataflow.source.words
            return [Packet(beats) for beats in words.pack(x, "images").reshape(len(x), words.count, words.word_bytes)]
        loads = [self.weights if at in self.reloads else None for at in range(len(x))]
        return [packet(self.dataflow, image, load) for image, load in zip(x, loads, strict=True)]

    def output_beats(self, layer: str, y: Integers) -> UInt8:
        """The beats of the port of a layer for its outputs, int [n, C, H, W]: uint8 [m, bytes]."""
        if self.weights is None:
            return self.sinks[layer].words.pack(y, "outputs")
        given = [Status.GOOD | (Status.RELOADED if at in self.reloads else 0) for at in range(len(y))]
        return responses(self.dataflow, y, given)

    def outputs(self, layer: str, beats: UInt8) -> Int8:
        """int8 [n, C, H, W] of the whole images in beats of the port of a layer, uint8 [m, bytes]."""
        sink = self.sinks[layer]
        count, words = self.dataflow.sink_beats[sink.name], sink.words
        whole = beats[: len(beats) // count * count].reshape(-1, count, words.word_bytes)[:, : words.count]
        return words.unpack(whole.reshape(-1, words.word_bytes), "output beats")

    @cached_property
    def streamed(self) -> dict[str, UInt8]:
        """The weight beats of an image for each port that brings weights, by its name: uint8 [words, bytes]."""
        engines = self.dataflow.streamed.values()
        return {engine.port.name: pack_stream(engine.weights, engine.shape) for engine in engines}

    def extra_inputs(self, images: int) -> dict[str, tuple[UInt8, Bool]]:
        """Beats and TLAST of each port of weights for `images` images, by port."""
        return {
            port: (np.tile(beats, (images, 1)), np.tile(np.arange(1, len(beats) + 1) == len(beats), images))
            for port, beats in self.streamed.items()
        }


def make_designs(config: RunConfig, bundle: Bundle, target: Target) -> list[Design]:
    """The network as one top (`top: network`), or each of its layers that has weights. Raises ConfigError."""
    shapes = engine_shapes(config, bundle, target)
    if config.top == "network":
        dataflow = build(bundle, shapes, config.weights == "loaded", list(filter(config.streams, shapes)))
        weights = weight_beats(dataflow, bundle) if dataflow.packet_parser else None
        return [Design(NETWORK, f"the network {bundle.network.name}", dataflow, INPUT, weights)]
    return [layer_design(bundle, name, shape) for name, shape in shapes.items()]


def layer_design(bundle: Bundle, name: str, shape: EngineShape) -> Design:
    """The engine of one layer of a bundle. Raises ConfigError where the weights do not fit it."""
    weights = bundle.weights[name].reshape(shape.weight_shape)
    dataflow = single(name, shape, weights, bundle.bias(name), bundle.scales.get(name))
    return Design(name, f"layer {name} of {bundle.network.name}", dataflow, bundle.network.layer(name).sources[0])
