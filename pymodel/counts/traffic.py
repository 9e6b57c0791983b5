"""Bits moved for one image: through DRAM, and through the memories and registers of the engines.

DRAM traffic depends on the storage format (see storage.py) and on what stays on chip (`Buffers`). On-chip
traffic is counted off the loop nests of hls/engine at a chosen parallelism, for three kinds of engine:

    format                   engine
    periodic                 ours: no index; the ring turns by one channel from step to step
    dense                    ours with the dense support: zeros are stored and multiplied; P = 1, no turning
    per_weight, bitmap, csr  an engine that reads an index with each weight and fetches the operand it names

The indexed engine is the best case of its kind: the same loop nest, multipliers and feeders as ours, no
multiplier ever idle for lack of balance, every index decoded for nothing. What it pays is to read its indices
again for every output pixel, as it does its weights, and to fetch operands by address instead of by wire.

Layers run one after the other on engines of their own; nothing is fused. Numbers are computed, not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pymodel.common import bounds
from pymodel.common.errors import Checked, ConfigError
from pymodel.counts.storage import FORMATS, Storage, network_storage
from pymodel.engine.cycles import sequences
from pymodel.engine.memories import ring_places
from pymodel.engine.packing import EngineShape
from pymodel.engine.windows import has_columns, kept_columns
from pymodel.network.supports import MaskSupport, Support, UnstructuredSupport
from pymodel.network.topology import INPUT, Conv, Linear, Network

KIB = 8 * 1024  # bits
INDEXED = ("per_weight", "bitmap", "csr")
LayerStorage = Mapping[str, Mapping[str, Storage]]  # by layer and format, as network_storage gives it


class Buffers(Checked):
    """On-chip memory beside the engines, in KiB. Raises ConfigError."""

    weights_kib: int = bounds.KIB.field(
        0, description="the first layers, as many as fit with weights and indices, are loaded once for all images"
    )
    activations_kib: int = bounds.KIB.field(
        256, description="a tensor stays on chip if, while it is needed, it fits with all others then needed"
    )


class EngineOptions(Checked):
    """Parallelism and number formats that all engines of a network share. Raises ConfigError."""

    multipliers: int = bounds.MULTIPLIERS.field(72, description="at most; see `fitted_shape`")
    weight_bits: int = bounds.TENSOR_BITS.field(8)
    activation_bits: int = bounds.TENSOR_BITS.field(8)


Part = Literal["weights", "indices", "activations", "sums"]  # of an engine's energy: what a memory is there for


@dataclass(frozen=True)
class Memory:
    """An on-chip memory: its size, and the bits read from and written to it for one image."""

    name: str
    part: Part
    capacity_bits: int
    read_bits: int
    written_bits: int

    @property
    def bits(self) -> int:
        return self.read_bits + self.written_bits


@dataclass(frozen=True)
class Registers:
    """Flip-flops of one purpose: the bits clocked into them for one image. Reading a register is a wire."""

    part: Part
    bits: int


@dataclass(frozen=True)
class EngineTraffic:
    """What one image moves inside an engine.

    memories: block memories, by name; those an engine does not need are left out.
    registers: by purpose.
    gathered_bits: operands fetched by address from the window registers (indexed engines).
    products: multiply-accumulates carried out, those with padding weights included.
    """

    memories: dict[str, Memory]
    registers: dict[str, Registers]
    gathered_bits: int
    products: int

    @property
    def memory_bits(self) -> int:
        """Bits through all memory ports."""
        return sum(memory.bits for memory in self.memories.values())

    @property
    def register_bits(self) -> int:
        return sum(registers.bits for registers in self.registers.values())


@dataclass(frozen=True)
class LayerTraffic:
    """Bits moved for one image by one layer.

    dram_weight_bits, dram_index_bits: read from DRAM, 0 where they stay on chip.
    dram_activation_bits: read and written. buffer_activation_bits: the same for tensors kept on chip.
    engine: None without weights.
    """

    name: str
    op: str
    dram_weight_bits: int
    dram_index_bits: int
    dram_activation_bits: int
    buffer_activation_bits: int
    engine: EngineTraffic | None

    @property
    def dram_bits(self) -> int:
        return self.dram_weight_bits + self.dram_index_bits + self.dram_activation_bits

    @property
    def products(self) -> int:
        return self.engine.products if self.engine else 0


@dataclass(frozen=True)
class Traffic:
    """Traffic of one image through a network whose weights are stored in `form`."""

    network: str
    form: str
    options: EngineOptions
    buffers: Buffers
    layers: tuple[LayerTraffic, ...]

    def total(self, key: str) -> int:
        """The sum of a count of LayerTraffic (dram_bits, products, ...) over all layers."""
        return sum(getattr(layer, key) for layer in self.layers)


def network_traffic(
    network: Network,
    form: str,
    options: EngineOptions | None = None,
    buffers: Buffers | None = None,
    storage: LayerStorage | None = None,
) -> Traffic:
    """Traffic of one image, layer by layer, with weights in format `form`.

    storage: `network_storage(network, options.weight_bits)`, where the caller has it already.

    DRAM, per image:
      weights, indices   the layer's Storage in `form`, once; nothing for layers kept in the weight buffer
      activations        each tensor not kept: written once, read once by every layer that reads it; the
                         network's input is always read, its output always written
    Raises ConfigError: a format unknown or impossible for this network, groups that a support's period does not divide.
    """
    options, buffers = options or EngineOptions(), buffers or Buffers()
    if form not in FORMATS:
        raise ConfigError(f"format: must be one of {', '.join(FORMATS)}, got {form!r}")
    stored = _select(form, storage or network_storage(network, options.weight_bits), network.name)
    resident = _resident_layers(stored, buffers)
    tensors = _tensor_bits(network, options.activation_bits)
    kept = kept_tensors(network, tensors, buffers)
    layers = []
    for layer in network.layers:
        moved = [*((source, source in kept) for source in layer.sources), (layer.name, layer.name in kept)]
        dram = sum(tensors[name] for name, on_chip in moved if not on_chip)
        weights = stored.get(layer.name, Storage(0, 0))
        streamed = Storage(0, 0) if layer.name in resident else weights
        engine = None
        if isinstance(layer, Conv | Linear):
            index_bits = weights.index_bits if form in INDEXED else None
            shape = fitted_shape(network, layer, form, options)
            engine = engine_traffic(shape, index_bits, resident=not streamed.bits)
        layers.append(
            LayerTraffic(
                name=layer.name,
                op=layer.op,
                dram_weight_bits=streamed.weight_bits,
                dram_index_bits=streamed.index_bits,
                dram_activation_bits=dram,
                buffer_activation_bits=sum(tensors[name] for name, on_chip in moved if on_chip),
                engine=engine,
            )
        )
    return Traffic(network.name, form, options, buffers, tuple(layers))


def engine_traffic(shape: EngineShape, index_bits: int | None = None, resident: bool = True) -> EngineTraffic:
    """What one image moves inside an engine of this shape.

    index_bits: None for our engine, hard-wired; else an indexed engine with this many bits of indices in all.
    resident: False where weights and indices are written into the engine once per image.

    By the names of docs/reference/interfaces.md, with Tx = 1 and one group: pixels = Hout * Wout, turns = pixels * NB *
    steps and iterations = turns * F, outputs = To * R (of several groups all NB and steps of a pixel, sums of one):

    memory    capacity               read                            written
    weights   ROM words * word       pixels * capacity               capacity, if not resident
    indices   index_bits             pixels * capacity               capacity, if not resident
    biases    steps * To*R * bbits   iterations * To*R * bbits       0
    lines     W * NB * (K - 1) beats columns iterations * (K - 1)    as read        K > 1
                                     pieces
    history   NB * (K - 1) columns   windows iterations * (K - 1)    as read        K > 1, NB * pieces > 1
                                     columns, in pieces
    taps      2 sets of operands     iterations * operands           as come in     instead of a ring where windows
                                                                                    come in pieces
    sums      steps * To*R * abits   pixels * (NB - 1) * steps *     as read        NB > 1
                                     To*R * abits
    registers
    columns   each column word into its stream (K > 1)
    windows   each window word into its stream
    history   as above, in registers where NB * pieces = 1
    ring      P * Tb * K * K * in_bits for each load, pixels * NB of them, and, if P > R and hard-wired, for
              each turn, the other turns
    sums      To * R * abits for each step's sums into their stream; for each iteration too if F > 1
    output    P * To * out_bits for each step of each pixel

    gathered_bits, of an indexed engine: in_bits for each product. Products: iterations * multipliers.
    """
    runs = {sequence.process: sequence for sequence in sequences(shape)}
    sets, turns = shape.pixel_sets, shape.pixel_sets * shape.NB * shape.round_steps
    iterations = turns * shape.fold
    piece, pieces = shape.piece_bits, shape.NB * shape.pieces
    column = shape.kernel * shape.Tx * piece
    window, lines = shape.kernel * shape.span * piece, column - shape.Tx * piece
    history = kept_columns(shape) * shape.kernel * piece
    sums, biases = shape.sums_bits, shape.outputs * shape.bias_bits
    loads, ring_moves = sets * shape.NB, sets * shape.NB
    if index_bits is None and shape.P > shape.R:
        ring_moves += turns - loads

    memories: dict[str, Memory] = {}
    registers: dict[str, Registers] = {}

    def stored(name: str, part: Part, capacity: int, read: int, written: int) -> None:
        memories[name] = Memory(name, part, capacity, read, written)

    def clocked(name: str, part: Part, bits: int) -> None:
        registers[name] = Registers(part, bits)

    rom = shape.rom_words * shape.rom_word_bits
    stored("weights", "weights", rom, sets * rom, 0 if resident else rom)
    if index_bits:
        stored("indices", "indices", index_bits, sets * index_bits, 0 if resident else index_bits)
    stored("biases", "sums", shape.steps * biases, iterations * biases, 0)
    if has_columns(shape):
        moved = runs["columns"].iterations * lines
        stored("lines", "activations", shape.width // shape.Tx * pieces * lines, moved, moved)
        clocked("columns", "activations", len(runs["columns"].writes) * column)
        moved = runs["windows"].iterations * history
        if pieces > 1:
            stored("history", "activations", pieces * history, moved, moved)
        else:
            clocked("history", "activations", moved)
    if shape.round_sets > 1:
        moved = (turns - sets * shape.steps) * sums
        stored("sums", "sums", shape.round_steps * sums, moved, moved)
    clocked("windows", "activations", loads * shape.pieces * window)
    if shape.pieces > 1:
        operands = ring_places(shape) * shape.in_bits
        read, written = iterations * operands, loads * shape.pieces * operands
        stored("taps", "activations", 2 * shape.pieces * operands, read, written)
    else:
        clocked("ring", "activations", ring_moves * window)
    clocked("sums", "sums", sets * shape.steps * sums + (iterations * sums if shape.fold > 1 else 0))
    clocked("output", "sums", runs["output"].iterations * shape.out_words.word_bits)
    products = iterations * shape.lanes
    return EngineTraffic(
        memories=memories,
        registers=registers,
        gathered_bits=0 if index_bits is None else products * shape.in_bits,
        products=products,
    )


def fitted_shape(network: Network, layer: Conv | Linear, form: str, options: EngineOptions) -> EngineShape:
    """The fastest engine of a layer with R = 1 and at most `options.multipliers` multipliers; of equals the smallest,
    then the one with most blocks at once (it carries the fewest sums over). In groups of one input channel R is free.

    For counts on paper, of every network and format alike: each layer by itself, every engine with the same number of
    multipliers, none shared. What a chip holds, packing and rings in memories decide nothing here; a network that is to
    be built is laid out by pymodel.explore, or by hand in a run's configuration.

    A fully connected layer is a 1x1 convolution of one pixel. An indexed engine takes any support: for an unstructured
    one it is counted with the same taps in every kernel, for a mask with the same number of weights, rounded up, in
    every filter. Raises ConfigError.
    """
    source = network.shapes()[layer.input]
    if isinstance(layer, Linear):
        return _fit(
            cin=source[0] * source[1] * source[2],
            cout=layer.out_features,
            kernel=1,
            height=1,
            width=1,
            stride=1,
            padding=0,
            support=Support.parse("dense", 1),
            relu=layer.relu,
            options=options,
        )
    support = layer.make_support()
    if form == "dense":
        support = Support.parse("dense", layer.kernel)
    elif not isinstance(support, Support):
        if form not in INDEXED:
            raise ConfigError(f"layer {layer.name}: {support.name} has no period: use one of {', '.join(INDEXED)}")
        support = _balanced(support, *layer.weight_shape(source)[:2])
    try:
        return _fit(
            cin=source[0],
            cout=layer.out_channels,
            kernel=layer.kernel,
            height=source[1],
            width=source[2],
            stride=layer.stride,
            padding=layer.padding,
            support=support,
            relu=layer.relu,
            options=options,
            groups=layer.groups,
        )
    except ConfigError as error:
        raise ConfigError(f"layer {layer.name}: {error}") from error


class _Counted(Support):
    """A support that only says how many weights there are where: kernels may be empty."""

    def __post_init__(self) -> None:
        pass


def _balanced(support: UnstructuredSupport | MaskSupport, cout: int, cin: int) -> Support:
    """A support with as many weights in every filter, rounded up: what an ideal indexed engine has to do."""
    name = f"{support.name}_count"
    if isinstance(support, UnstructuredSupport):
        return Support(name, support.kernel, (tuple(range(support.kss)),))
    each, more = divmod(max(1, -(-support.weights(cout, cin) // cout)), cin)
    return _Counted(name, support.kernel, tuple(tuple(range(each + (channel < more))) for channel in range(cin)))


def kept_tensors(network: Network, bits: Mapping[str, int], buffers: Buffers) -> set[str]:
    """The layers whose output stays on chip: all its life, it fits beside everything else that is live.

    A tensor lives from the layer that makes it to the last that reads it. The network's output goes to DRAM;
    its input comes straight from there and takes no room. bits: size of each tensor, by layer name.
    """
    last = {layer.name: index for index, layer in enumerate(network.layers)}
    for index, layer in enumerate(network.layers):
        last.update((source, index) for source in layer.sources if source != INPUT)
    live = np.zeros(len(network.layers), np.int64)
    for born, layer in enumerate(network.layers):
        live[born : last[layer.name] + 1] += bits[layer.name]
    fits = live <= buffers.activations_kib * KIB
    return {
        layer.name
        for born, layer in enumerate(network.layers)
        if layer.name != network.output and fits[born : last[layer.name] + 1].all()
    }


def _tensor_bits(network: Network, activation_bits: int) -> dict[str, int]:
    return {name: int(np.prod(shape)) * activation_bits for name, shape in network.shapes().items()}


def _select(form: str, storage: LayerStorage, network: str) -> dict[str, Storage]:
    for name, formats in storage.items():
        if form not in formats:
            raise ConfigError(
                f"format {form!r}: layer {name} of {network} cannot be stored in it: use one of {', '.join(formats)}"
            )
    return {name: formats[form] for name, formats in storage.items()}


def _resident_layers(storage: Mapping[str, Storage], buffers: Buffers) -> set[str]:
    """The first layers, as many as the weight buffer holds whole."""
    ends = np.cumsum([part.bits for part in storage.values()])
    return {name for name, end in zip(storage, ends, strict=True) if end <= buffers.weights_kib * KIB}


def _fit(
    cin: int,
    cout: int,
    kernel: int,
    height: int,
    width: int,
    stride: int,
    padding: int,
    support: Support,
    relu: bool,
    options: EngineOptions,
    groups: int = 1,
) -> EngineShape:
    channelwise = groups == cin > 1
    blocks = -(-cin // groups // support.period)
    choices = []
    outputs = [To for To in range(1, cout // groups + 1) if To == 1 or cout // groups % (support.period * To) == 0]
    at_once = [R for R in range(1, cin + 1) if cin % R == 0] if channelwise else [1]
    for To, R in ((To, R) for To in outputs for R in at_once if To * R <= options.multipliers):
        for Tb in (Tb for Tb in range(1, blocks + 1) if blocks % Tb == 0):
            elements = support.nonzeros * Tb
            fold = -(-elements // (options.multipliers // (To * R)))
            cycles = blocks // Tb * (cout // To) * fold // R
            choices.append((cycles, -(-elements // fold) * To * R, -Tb, To, fold, R))
    _, _, minus_Tb, To, fold, R = min(choices)
    products = blocks * support.nonzeros  # of one output, padding included
    largest = products << (options.weight_bits + options.activation_bits - 2)
    return EngineShape(
        cin=cin,
        cout=cout,
        kernel=kernel,
        stride=stride,
        padding=padding,
        height=height,
        width=width,
        support=support,
        groups=groups,
        To=To,
        R=R,
        Tb=-minus_Tb,
        fold=fold,
        in_bits=options.activation_bits,
        weight_bits=options.weight_bits,
        out_bits=options.activation_bits,
        relu=relu,
        acc_bits=largest.bit_length() + 1,
    )
