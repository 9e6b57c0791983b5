"""Weights that are loaded: shapes for any weights, the packets that a network reads, the responses that it gives.

The format of packets is defined in docs/guide/weights.md; the hardware's side is hls/engine/packet_parser.hpp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pymodel.common.arrays import Bool, Integers, UInt8
from pymodel.common.errors import ConfigError
from pymodel.engine.memories import Memory, ultra_blocks
from pymodel.engine.packing import EngineShape, pack_loads
from pymodel.engine.shape_of import engine_shape
from pymodel.network.bundle import Bundle
from pymodel.network.formats import MAX_ACC_BITS, check_accumulator
from pymodel.network.topology import INPUT
from pymodel.top.check_sum import check_sum
from pymodel.top.dataflow import Dataflow, build, needed_layers
from pymodel.top.identity import difference
from pymodel.top.status import Status
from pymodel.top.units import EngineUnit, LoaderUnit, PacketParserUnit, ResponseUnit, Unit

_SPARED = 3  # an UltraRAM holds as much as eight block RAMs


def loadable(shape: EngineShape) -> EngineShape:
    """The same engine with its weights in RAM: accumulators for any of its format, biases as large as their products.

    Raises ConfigError where that takes more than MAX_ACC_BITS.
    """
    products = shape.N * shape.blocks << (shape.weight_bits + shape.in_bits - 2)
    bits = (2 * products).bit_length() + 1
    if bits > MAX_ACC_BITS:
        raise ConfigError(f"accumulator for any weights: must have at most {MAX_ACC_BITS} bits, got {bits}")
    return EngineShape.model_validate(shape.model_dump() | {"support": shape.support, "acc_bits": bits, "loaded": True})


def in_ultra_ram(
    shapes: Mapping[str, EngineShape], ultras: int, chosen: Mapping[str, bool] | None = None
) -> dict[str, EngineShape]:
    """The engines on a device with so many UltraRAMs, by layer: which weights lie there, which in block RAM.

    In UltraRAM: those for each of which at least `_SPARED` block RAMs (36 kbit) are spared, those first that spare the
    most, as long as there are any left. chosen: by layer, where that is decided already.
    """
    chosen = chosen or {}
    spared = {}
    for layer in chosen:
        if chosen[layer]:
            ultras -= ultra_blocks(shapes[layer].rom_words, shapes[layer].rom_word_bits)
    for layer, shape in shapes.items():
        if layer in chosen:
            continue
        words = shape.rom_words, shape.rom_word_bits
        block, ultra = Memory("weights", *words, True).half_blocks / 2, ultra_blocks(*words)
        if block >= _SPARED * ultra:
            spared[layer] = block / ultra, ultra
    found = {
        layer: shape.model_copy(update={"ultra_weights": chosen.get(layer, False)}) for layer, shape in shapes.items()
    }
    for layer, (_, ultra) in sorted(spared.items(), key=lambda item: -item[1][0]):
        if ultra <= ultras:
            ultras -= ultra
            found[layer] = shapes[layer].model_copy(update={"ultra_weights": True})
    return found


@dataclass(frozen=True)
class Packet:
    """Beats on their way into a network, uint8 [n, bytes], TLAST with the last."""

    beats: UInt8

    @property
    def last(self) -> Bool:
        """bool [n]: TLAST."""
        numbers = np.arange(1, len(self.beats) + 1)
        return np.equal(numbers, len(self.beats))


def packet(dataflow: Dataflow, image: Integers, weights: UInt8 | None = None) -> Packet:
    """A header, weights as `weight_beats` gives them or none, an image, int [channels, height, width].

    Raises ConfigError: an image of another shape, out of range.
    """
    words = dataflow.source.words
    header = np.zeros((1, words.word_bytes), np.uint8)
    header[0, 0] = weights is not None
    parts = (
        [header, words.pack(image[None], "image")]
        if weights is None
        else [header, weights, words.pack(image[None], "image")]
    )
    return Packet(np.concatenate(parts))


def weight_beats(dataflow: Dataflow, bundle: Bundle) -> UInt8:
    """uint8 [beats, bytes]: identity, weights and biases of a bundle for a network that loads them, their check sum.

    Raises ConfigError, naming the layer: a bundle of another network, format or shift, weights off the support, a bias
    that is too large for the accumulator.
    """
    size = dataflow.source.words.word_bytes
    own = check_fits(dataflow, bundle)
    parts = [_engine_beats(engine.shape, own[layer], layer, size) for layer, engine in dataflow.engines.items()]
    beats = np.concatenate(parts)
    parser = packet_parser_of(dataflow)
    length = parser.identity_beats * size
    name = np.frombuffer(parser.identity.to_bytes(length, "little"), np.uint8).reshape(-1, size)
    return np.concatenate([name, beats, check_sum(beats)])


def check_fits(dataflow: Dataflow, bundle: Bundle) -> Mapping[str, EngineUnit]:
    """The engines by layer, with the bundle's weights.

    Raises ConfigError, naming the layer and what differs, for a bundle of another hardware.
    """
    packet_parser_of(dataflow)
    layers = {layer.name for layer in needed_layers(bundle.network)}
    if differing := sorted(layers ^ {unit.layer for unit in dataflow.units} - {INPUT}):
        where = "the bundle" if differing[0] in layers else "the hardware"
        raise ConfigError(f"layer {differing[0]}: must be in the bundle and in the hardware, got it in {where} only")
    shapes = {}
    for name, engine in dataflow.engines.items():
        built = engine.shape
        shapes[name] = loadable(engine_shape(bundle, name, built.To, built.Tb, built.fold, R=built.R, Tx=built.Tx))
    own = build(bundle, shapes, loaded=True)
    if found := difference(_computing(own), _computing(dataflow)):
        unit, key, mine, built = found
        raise ConfigError(f"layer {unit.layer}: {key}: must be {built}, as in the hardware, got {mine} in the bundle")
    return own.engines


def packet_parser_of(dataflow: Dataflow) -> PacketParserUnit:
    """The packet parser of a network. Raises ConfigError where its weights are not loaded."""
    if dataflow.packet_parser is None:
        raise ConfigError("network: weights: must be loaded, got rom")
    return dataflow.packet_parser


def _computing(dataflow: Dataflow) -> list[Unit]:
    """The units that make an output of an input, in the place of bringing weights to those that do."""
    return [unit for unit in dataflow.units if not isinstance(unit, PacketParserUnit | LoaderUnit | ResponseUnit)]


def statuses(responses: UInt8) -> list[Status]:
    """The status in each response, from its last beat: uint8 [n, bytes]."""
    return [Status(int(beat[0])) for beat in responses]


def responses(dataflow: Dataflow, scores: Integers, given: Sequence[Status]) -> UInt8:
    """Output beats for scores, int [n, channels, height, width], with the statuses: uint8 [n * out_beats, bytes]."""
    words = dataflow.sink.words
    beats = np.zeros((len(scores), dataflow.out_beats, words.word_bytes), np.uint8)
    beats[:, :-1] = words.pack(scores, "scores").reshape(len(scores), words.count, -1)
    beats[:, -1, 0] = [int(status) for status in given]
    return beats.reshape(-1, words.word_bytes)


def _engine_beats(shape: EngineShape, own: EngineUnit, layer: str, size: int) -> UInt8:
    """Beats of the weights and biases of `own` for the engine of a shape."""
    check_accumulator(own.weights, own.bias, shape.in_bits, shape.acc_bits, f"layer {layer}")
    length = -(-shape.load_bits // (8 * size)) * size
    octets = b"".join(word.to_bytes(length, "little") for word in pack_loads(own.weights, own.bias, shape))
    return np.frombuffer(octets, np.uint8).reshape(-1, size)
