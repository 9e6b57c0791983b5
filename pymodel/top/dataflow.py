"""A bundle as one piece of hardware: its units and the streams between them.

One unit for each layer; where a tensor has several readers, forks; where its two ends differ in the channels of a
word, split and gather (docs/reference/interfaces.md, "Networks as one top").
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pymodel.common.arrays import Int64, Integers
from pymodel.common.bounds import TENSOR_BITS
from pymodel.common.errors import ConfigError
from pymodel.common.identifiers import IN_PORT, OUT_PORT, identifiers
from pymodel.engine.packing import EngineShape
from pymodel.engine.words import Words
from pymodel.network.bundle import Bundle
from pymodel.network.formats import mean_scale
from pymodel.network.topology import INPUT, AvgPool, Concat, Layer, Linear, MaxPool, Network, Weighted
from pymodel.top.check_sum import check_beats
from pymodel.top.identity import identity, identity_beats
from pymodel.top.status import STATUS_BITS
from pymodel.top.units import (
    AddUnit,
    ConcatenateUnit,
    Control,
    EngineUnit,
    ForkUnit,
    GatherPixelsUnit,
    GatherUnit,
    GlobalAverageUnit,
    LoaderUnit,
    PacketParserUnit,
    PoolUnit,
    Regroup,
    ReluUnit,
    ResponseUnit,
    ShuffleUnit,
    SplitPixelsUnit,
    SplitUnit,
    Stream,
    StreamedEngineUnit,
    Unit,
    WeightPort,
    tensor,
)

NETWORK = "network"  # what the design of a whole network is called


@dataclass(frozen=True)
class Dataflow:
    """The units of a top from its input to its output, each after those that it reads.

    source: the input port. top: the name of the C++ function and of the RTL's top module.
    """

    units: list[Unit]
    source: Stream
    top: str

    @property
    def sinks(self) -> list[Stream]:
        """The output ports, in the order of the units."""
        inside = {stream.name for unit in self.units for stream in unit.reads}
        return [tensor(s) for unit in self.units for s in unit.writes if s.name not in inside]

    @property
    def sink(self) -> Stream:
        """The output port. Raises ConfigError where there are several."""
        sinks = self.sinks
        if len(sinks) > 1:
            raise ConfigError(f"network: output: must be one layer, got {', '.join(sink.layer for sink in sinks)}")
        return sinks[0]

    @property
    def packet_parser(self) -> PacketParserUnit | None:
        """The packet parser of a network with loaded weights; None where they are in ROM."""
        first = self.units[0]
        return first if isinstance(first, PacketParserUnit) else None

    @property
    def in_beats(self) -> int:
        """Input beats of an image that comes without weights."""
        return self.source.words.count + (self.packet_parser is not None)

    @property
    def out_beats(self) -> int:
        """Output beats of an image. Raises ConfigError as `sink` does."""
        return self.sink_beats[self.sink.name]

    @property
    def sink_beats(self) -> dict[str, int]:
        """Output beats of an image, by port."""
        return {sink.name: sink.words.count + (self.packet_parser is not None) for sink in self.sinks}

    @property
    def streams(self) -> list[Stream | Control]:
        """The streams between two units."""
        ports = {sink.name for sink in self.sinks}
        return [s for unit in self.units for s in unit.writes if s.name not in ports]

    @property
    def interval(self) -> int:
        """Cycles an image that the network is laid out for: those of its slowest unit by itself."""
        return max(unit.interval for unit in self.units)

    @property
    def engines(self) -> dict[str, EngineUnit]:
        """The engines, by layer."""
        return {unit.layer: unit for unit in self.units if isinstance(unit, EngineUnit)}

    @property
    def streamed(self) -> dict[str, StreamedEngineUnit]:
        """The engines whose weights come by a port of their own, by layer."""
        return {layer: unit for layer, unit in self.engines.items() if isinstance(unit, StreamedEngineUnit)}

    @property
    def shapes(self) -> dict[str, EngineShape]:
        """The shapes of the engines, by layer."""
        return {layer: engine.shape for layer, engine in self.engines.items()}

    @property
    def lanes(self) -> int:
        """Multiply-accumulates of all engines in each cycle."""
        return sum(shape.lanes for shape in self.shapes.values())

    @property
    def multipliers(self) -> int:
        """Hardware multipliers of all engines, those of scales aside."""
        return sum(shape.multipliers for shape in self.shapes.values())

    @property
    def macs(self) -> int:
        """Useful multiply-accumulates of an image."""
        return sum(shape.macs for shape in self.shapes.values())

    @property
    def layers(self) -> dict[str, Unit]:
        """The unit that computes each layer."""
        helpers = ResponseUnit | ForkUnit | PacketParserUnit | LoaderUnit | Regroup
        return {unit.layer: unit for unit in self.units if not isinstance(unit, helpers)}

    @property
    def probes(self) -> dict[str, Stream]:
        """The stream that carries the output of each layer, ports included, by layer."""
        found: dict[str, Stream] = {}
        for unit in self.units:
            for stream in unit.writes:
                if isinstance(stream, Stream) and stream.whole:
                    found.setdefault(stream.layer, stream)
        return found


def build(
    bundle: Bundle, shapes: Mapping[str, EngineShape], loaded: bool = False, streamed: Collection[str] = ()
) -> Dataflow:
    """The network of a bundle. shapes: of the engine of each layer with weights, by layer.

    loaded: weights are in RAM and come with images (docs/guide/weights.md), shapes are those of `pymodel.top.packets`.
    streamed: the layers whose weights come by a port, once an image.
    Raises ConfigError, naming the layer, for one that is not built in hardware.
    """
    if loaded and streamed:
        raise ConfigError(f"layer {min(streamed)}: weights: must be loaded where any are loaded, got streamed")
    if loaded and bundle.scales:
        raise ConfigError(f"layer {min(bundle.scales)}: scales: must be left out where weights are loaded")
    dataflow = _Builder(bundle, shapes, loaded, streamed).run()
    interval = dataflow.interval
    units = [
        replace(unit, network_interval=interval) if isinstance(unit, PoolUnit) else unit for unit in dataflow.units
    ]
    return replace(dataflow, units=units)


def single(
    layer: str, shape: EngineShape, weights: Integers, bias: Integers, scales: Integers | None = None
) -> Dataflow:
    """The engine of one layer by itself, with its weights in ROM.

    weights: int [cout, cin / groups, K, K]; bias, scales (where the shape has scale_bits): int [cout].
    """
    source, sink = Stream(IN_PORT, INPUT, shape.in_words), Stream(OUT_PORT, layer, shape.out_words)
    engine = EngineUnit("engine", layer, (source,), (sink,), shape, weights, bias, scales)
    return Dataflow([engine], source, top_name(layer))


def top_name(design: str) -> str:
    """The name of a design's top: another for each, so that several of them go into one project."""
    return f"psconv_{identifiers([design])[design]}"


class Form(NamedTuple):
    """What a word of a tensor has: channels, of neighbouring pixels."""

    group: int
    at_once: int


class _Builder:
    def __init__(self, bundle: Bundle, shapes: Mapping[str, EngineShape], loaded: bool, streamed: Collection[str]):
        self.bundle, self.shapes, self.loaded, self.streamed = bundle, shapes, loaded, streamed
        self.tensors = bundle.network.shapes()
        self.layers = needed_layers(bundle.network)
        self.names = {INPUT: INPUT} | identifiers([layer.name for layer in self.layers])
        self.units: list[Unit] = []
        self.readers: dict[str, list[str]] = {INPUT: []}
        for layer in self.layers:
            self.readers[layer.name] = []
            for source in layer.sources:
                self.readers[source].append(layer.name)
        self.waiting: dict[tuple[str, str], list[Stream]] = {}  # (layer, reader) -> its copies of the output
        self.ends = self._ends()

    def _ends(self) -> dict[str, str]:
        """The stream in which each output of the network ends, by layer: at a port, or at the response."""
        outputs = self.bundle.network.outputs
        if not self.loaded:
            return {name: OUT_PORT if len(outputs) == 1 else f"{OUT_PORT}_{self.names[name]}" for name in outputs}
        output = self.bundle.network.only_output("loaded weights")
        return {output: self.names[output]}

    def run(self) -> Dataflow:
        if not self.readers[INPUT]:
            raise ConfigError("network: input: must be read by a layer, got none")
        first = next(layer for layer in self.layers if layer.name == self.readers[INPUT][0])
        form = forms(self.shapes[first.name])[0] if first.name in self.shapes else Form(self.tensors[INPUT][0], 1)
        if self._flattens(first):
            form = Form(math.gcd(form.group, self.tensors[INPUT][0]), 1)
        source = Stream(IN_PORT, INPUT, self._words(INPUT, form))
        self._distribute(replace(source, name="image") if self.loaded else source)
        for layer in self.layers:
            self._layer(layer)
        if self.loaded:
            self._load_weights(source)
        return Dataflow(self.units, source, top_name(NETWORK))

    def _load_weights(self, source: Stream) -> None:
        """Adds packet parser, loaders and response around the units, behind the input port."""
        words = source.words
        bits, statuses = 8 * words.word_bytes, Control("statuses", STATUS_BITS)
        engines = [unit for unit in self.units if isinstance(unit, EngineUnit)]
        if not engines:
            raise ConfigError("network: weights: must be rom where no layer that the output needs has any, got loaded")
        loaders: list[LoaderUnit] = []
        behind: tuple[Control, ...] = ()
        for engine in reversed(engines):
            beats = Control(f"{engine.name}_loads", bits)
            rest = loaders[0].own_beats + loaders[0].rest_beats if loaders else 0
            loader = LoaderUnit(
                f"{engine.name}_loader",
                engine.layer,
                (beats,),
                (*(s for s in engine.reads if isinstance(s, Control)), *behind),
                engine.shape.rom_words,
                rest,
            )
            loaders.insert(0, loader)
            behind = (beats,)
        image = replace(source, name="image")
        load_beats = loaders[0].own_beats + loaders[0].rest_beats
        parser = PacketParserUnit(
            "parser",
            INPUT,
            (source,),
            (*behind, image, statuses),
            identity(self.units),
            identity_beats(bits),
            load_beats,
            check_beats(bits),
        )
        scores = tensor(self.units[-1].writes[0])
        response = ResponseUnit("response", scores.layer, (scores, statuses), (replace(scores, name=OUT_PORT),))
        self.units = [parser, *loaders, *self.units, response]

    def _words(self, layer: str, form: Form) -> Words:
        return Words(*self.tensors[layer], self.bundle.formats[layer].bits, *form)

    def _layer(self, layer: Layer) -> None:
        name, unit = layer.name, self.names[layer.name]
        if isinstance(layer, Weighted) and name in self.shapes:
            shape = self.shapes[name]
            taken, made = forms(shape)
            source, sink = self._source(layer.input, name), self._output(name, made)
            weights = self.bundle.weights[name].reshape(shape.weight_shape)
            if self._flattens(layer):
                source, order = self._flattened(source)
                weights = weights[:, order]
            source = self._regrouped(source, taken)
            scales = self.bundle.scales.get(name)
            kind: type[EngineUnit] = EngineUnit
            ports: tuple[Control | WeightPort, ...] = ()
            if self.loaded:
                ports = Control(f"{unit}_requests", 1), Control(f"{unit}_words", shape.load_bits)
            elif name in self.streamed:
                if shape.pieces > 1:
                    raise ConfigError(f"layer {name}: feed: must be windows with weights: streamed, got channels")
                kind, ports = StreamedEngineUnit, (WeightPort(f"w_{unit}", name, shape.rom_word_bits),)
            self.units.append(
                kind(unit, name, (source, *ports), (sink,), shape, weights, self.bundle.bias(name), scales)
            )
        elif layer.op == "add":
            left = self._source(layer.inputs[0], name)
            right = self._source(layer.inputs[1], name, _form(left))
            formats = self.bundle.formats
            left_frac, right_frac, frac = (formats[one].frac for one in (*layer.inputs, name))
            sink, largest = self._output(name, _form(left)), self.bundle.limits(name)[1]
            fracs = left_frac, right_frac, frac
            self.units.append(
                AddUnit(unit, name, (left, right), (sink,), fracs, layer.relu, largest, self.bundle.rounding)
            )
        elif isinstance(layer, MaxPool | AvgPool):
            source = self._source(layer.input, name)
            both = Form(source.words.group, math.gcd(source.words.at_once, self.tensors[name][2]))
            source, sink = self._regrouped(source, both), self._output(name, both)
            window, maximum = (layer.kernel, layer.stride, layer.pads), isinstance(layer, MaxPool)
            if not maximum:
                self._check_mean(name, layer.kernel**2)
            self.units.append(PoolUnit(unit, name, (source,), (sink,), *window, maximum, self.bundle.rounding))
        elif layer.op == "global_avgpool":
            source = self._source(layer.input, name)
            sink = self._output(name, Form(source.words.group, 1))
            self._check_mean(name, math.prod(self.tensors[layer.input][1:]))
            self.units.append(GlobalAverageUnit(unit, name, (source,), (sink,), self.bundle.rounding))
        elif layer.op == "relu":
            source = self._source(layer.input, name)
            sink = self._output(name, _form(source))
            self.units.append(ReluUnit(unit, name, (source,), (sink,), self.bundle.limits(name)[1]))
        elif layer.op == "concat":
            self._concatenate(layer)
        elif layer.op == "channel_shuffle":
            source = self._source(layer.input, name)
            whole = Form(source.words.channels, source.words.at_once)
            source, sink = self._regrouped(source, whole), self._output(name, whole)
            self.units.append(ShuffleUnit(unit, name, (source,), (sink,), layer.groups))
        else:
            raise ConfigError(f"layer {name}: engine: must be given for a {layer.op} in hardware, got none")
        self._distribute(tensor(self.units[-1].writes[0]))

    def _concatenate(self, layer: Concat) -> None:
        """The units of a concatenation: the first two inputs, and one more each time.

        Its words are filled by every input, so that none ends in the middle of one; of those that can be so, the
        narrowest ones that are as wide as the inputs' words, with which it is as fast as they come.
        """
        sources = [self._source(source, layer.name) for source in layer.inputs]
        at_once = sources[0].words.at_once
        common = math.gcd(*(source.words.channels for source in sources))
        widest = max(source.words.group for source in sources)
        group = next((n for n in range(widest, common) if common % n == 0), common)
        form = Form(group, at_once)
        joined, *others = [self._regrouped(source, form) for source in sources]
        for at, other in enumerate(others):
            last = at == len(others) - 1
            name = self.names[layer.name] + ("" if last else f"_part{at + 1}")
            both = replace(joined.words, channels=joined.words.channels + other.words.channels)
            sink = self._output(layer.name, form) if last else Stream(name, layer.name, both, whole=False)
            self.units.append(ConcatenateUnit(name, layer.name, (joined, other), (sink,)))
            joined = sink

    def _check_mean(self, name: str, count: int) -> None:
        if self.bundle.rounding == "half_even" and mean_scale(count, TENSOR_BITS.largest).doubled:
            raise ConfigError(
                f"layer {name}: the elements of a mean must be odd or a power of two in hardware with rounding: "
                f"half_even, got {count}"
            )

    def _flattens(self, layer: Layer) -> bool:
        """Whether a layer takes an image as the channels of one pixel."""
        return isinstance(layer, Linear) and self.tensors[layer.input][1:] != (1, 1)

    def _flattened(self, stream: Stream) -> tuple[Stream, Int64]:
        """A tensor as one pixel, its words as they come: with words that are full.

        Also int [C * H * W]: the place of each of that pixel's channels in the order channel, row, column.
        """
        words = stream.words
        if words.channels % words.group:
            stream = self._regrouped(stream, Form(math.gcd(words.channels, words.group), words.at_once))
            words = stream.words
        shape = words.per_pixel, words.group, words.height, words.width // words.at_once, words.at_once
        order = np.arange(math.prod(shape)).reshape(shape).transpose(2, 3, 0, 4, 1).ravel()
        flat = Words(words.channels * words.pixels, 1, 1, words.bits, words.fields)
        return replace(stream, words=flat, whole=False), order

    def _output(self, layer: str, form: Form) -> Stream:
        ends = layer in self.ends and not self.readers[layer]
        return Stream(self.ends[layer] if ends else self.names[layer], layer, self._words(layer, form))

    def _distribute(self, stream: Stream) -> None:
        """Copies of a layer's output for its readers, in the words of its engines where they agree; last for a port."""
        layer, readers = stream.layer, self.readers[stream.layer]
        wanted = {
            forms(self.shapes[reader])[0]
            for reader in readers
            if reader in self.shapes and not self._flattens(self.bundle.network.layer(reader))
        }
        if len(wanted) == 1:
            stream = self._regrouped(stream, wanted.pop())
        if not readers:
            return
        names = [self._copy_name(layer, at) for at in range(len(readers))]
        if layer in self.ends:
            names.append(self.ends[layer])
        copies = []
        for at, name in enumerate(names[:-1]):
            number = "" if at == 0 else str(at + 1)
            copy = replace(stream, name=name)
            rest = replace(stream, name=names[-1] if at == len(names) - 2 else f"{self.names[layer]}_rest{number}")
            self.units.append(ForkUnit(f"{self.names[layer]}_fork{number}", layer, (stream,), (copy, rest)))
            copies.append(copy)
            stream = rest
        for reader, copy in zip(readers, [*copies, stream], strict=False):
            self.waiting.setdefault((layer, reader), []).append(copy)

    def _copy_name(self, layer: str, at: int) -> str:
        """The name of the copy for the reader number `at`; one layer may read a tensor twice."""
        readers = self.readers[layer]
        return f"{self.names[layer]}_to_{self.names[readers[at]]}" + ("_again" if readers[at] in readers[:at] else "")

    def _source(self, layer: str, reader: str, form: Form | None = None) -> Stream:
        """The stream from which `reader` takes a layer's output, in words of that form (None: any)."""
        stream = self.waiting[layer, reader].pop(0)
        return stream if form is None else self._regrouped(stream, form)

    def _regrouped(self, stream: Stream, form: Form) -> Stream:
        """The stream in words of another form: their channels and pixels through the greatest common divisors.

        What makes words wider comes before what makes them narrower and more: first pixels that become more, then
        channels, then pixels that become fewer.
        """
        words = stream.words
        group, at_once = math.gcd(words.group, form.group), math.gcd(words.at_once, form.at_once)
        steps: list[tuple[type[Unit], str, Form]]
        if at_once == words.at_once:  # pixels are gathered
            steps = [(GatherPixelsUnit, "gather_pixels", Form(words.group, form.at_once))]
            pixels = form.at_once
        else:
            steps, pixels = [], words.at_once
        steps.append((SplitUnit, "split", Form(group, pixels)))
        steps.append((GatherUnit, "gather", Form(form.group, pixels)))
        if at_once != words.at_once:
            steps.append((SplitPixelsUnit, "split_pixels", Form(form.group, at_once)))
            steps.append((GatherPixelsUnit, "gather_pixels", form))
        origin = INPUT if stream.layer == INPUT and stream.name in (IN_PORT, "image") else stream.name
        for kind, verb, wanted in steps:
            if wanted != _form(stream):
                name = f"{origin}_as_{wanted.group}" + (f"x{wanted.at_once}" if wanted.at_once > 1 else "")
                words = replace(stream.words, group=wanted.group, at_once=wanted.at_once)
                after = replace(stream, name=name, words=words)
                self.units.append(kind(f"{origin}_{verb}", stream.layer, (stream,), (after,)))
                stream = after
        return stream


def _form(stream: Stream) -> Form:
    return Form(stream.words.group, stream.words.at_once)


def forms(shape: EngineShape) -> tuple[Form, Form]:
    """The forms of the words that an engine takes and makes."""
    return Form(shape.in_channels_per_beat, shape.Tx), Form(shape.out_channels_per_beat, shape.Tx)


def needed_layers(network: Network) -> list[Layer]:
    """The layers that the network's output depends on, in order: those that a network's top builds."""
    wanted, needed = {*network.outputs}, []
    for layer in reversed(network.layers):
        if layer.name in wanted:
            needed.append(layer)
            wanted.update(layer.sources)
    return needed[::-1]
