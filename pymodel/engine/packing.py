"""Engine shapes, and how weights, biases and activations are packed for an engine.

The layouts are those of docs/reference/interfaces.md ("Supports, elements, ROM words" and "Streams of a layer engine").
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from pymodel.common import bounds
from pymodel.common.arrays import Bool, Int8, Int32, Int64, Integers, UInt8
from pymodel.common.errors import Checked, ConfigError
from pymodel.engine.products import Fields, fields
from pymodel.engine.sharing import PackedSum, packed_sums
from pymodel.engine.windows import span
from pymodel.engine.words import Words, check_shape, pack_fields, signed_fields
from pymodel.network import formats
from pymodel.network.supports import BlockSupport, Support, SupportSpec, check_support, make_support
from pymodel.network.topology import Padding, PaddingSpec, positions, written

Size = Annotated[int, bounds.SIZE.field()]
Parallel = Annotated[int, bounds.PARALLEL.field()]
Bits = Annotated[int, bounds.TENSOR_BITS.field()]


class EngineShape(Checked):
    """Everything but the weights that an engine for one convolution layer depends on.

    Raises ConfigError for a shape that no engine has: parallelism that does not divide, no output pixels, ...
    """

    cin: Size
    cout: Size
    kernel: int = bounds.KERNEL.field(description="K")
    stride: Size = 1
    padding: PaddingSpec = 0
    height: Size = Field(description="rows of the input image")
    width: Size = Field(description="columns of the input image")
    support: Support | BlockSupport = Field(description='a Support, its name, or {"taps": [[...], ...]}')
    groups: Size = Field(1, description="groups, each of cin / groups input and cout / groups output channels")
    engine: Literal["periodic", "indexed"] = Field(
        "periodic", description="operands by the ring, or by an index beside each weight"
    )
    To: Parallel = Field(1, description="output channels at once that are P apart and share a place of the ring")
    R: Parallel = Field(
        1, description="rotations at once: neighbouring output channels; must divide P. Channelwise: channels at once"
    )
    Tx: Parallel = Field(1, description="neighbouring pixels of a row at once; must divide both widths")
    Tb: Parallel = Field(1, description="blocks of P input channels at once")
    fold: Parallel = Field(1, description="F, cycles in which the multipliers work off one step")
    packing: Parallel = Field(
        1, description="products that share a multiplier, at most: of output channels or of pixels"
    )
    feed: Literal["windows", "channels"] = Field(
        "windows", description="taken by the processing element at once: a window set, or a channel of each block"
    )
    multiplier_bits: int = bounds.MULTIPLIER_BITS.field(
        27, description="of the wide operand of the device's multipliers: room for packed weights"
    )
    in_bits: Bits = 8
    weight_bits: Bits = 8
    out_bits: Bits = 8
    relu: bool = False
    largest: int | None = Field(None, description="output, where that is less than the greatest of its bits (ReLU6)")
    rounding: formats.Rounding = Field("half_up", description="of halves between two outputs")
    shift: int = bounds.SHIFT.field(0)
    acc_bits: int = bounds.ACCUMULATOR_BITS.field(
        description="accumulator width; formats.accumulator_bits proves the least"
    )
    scale_bits: int = bounds.SCALE_BITS.field(
        0, description="width of the output channels' scales; 0: there are none, and no multipliers for them"
    )

    loaded: bool = Field(False, description="weights and biases lie in RAM and are loaded, not in ROM")
    ultra_weights: bool = Field(False, description="weights that are loaded lie in UltraRAM, not in block RAM")

    @model_validator(mode="wrap")
    @classmethod
    def _lanes_agree(cls, data: Any, make: ModelWrapValidatorHandler[EngineShape]) -> EngineShape:
        """`lanes` may be given as a check: it must equal what To, R, Tx, Tb and fold lead to."""
        if not isinstance(data, dict):
            return make(data)
        shape = make({key: value for key, value in data.items() if key != "lanes"})
        lanes = data.get("lanes")
        if lanes is not None and (isinstance(lanes, bool) or lanes != shape.lanes):
            raise ConfigError(
                f"lanes: must be ceil({shape.elements} / {shape.fold}) * {shape.outputs * shape.Tx} = {shape.lanes} "
                f"for {shape.support.name} with To {shape.To}, R {shape.R}, Tx {shape.Tx}, Tb {shape.Tb}, "
                f"fold {shape.fold}, got {lanes!r}"
            )
        return shape

    @field_validator("support", mode="before")
    @classmethod
    def _read_support(cls, value: Any, info: ValidationInfo) -> Any:
        if "kernel" not in info.data:  # refused already
            return value
        kernel = info.data["kernel"]
        support = value if isinstance(value, Support | BlockSupport) else make_support(value, kernel)
        if not isinstance(support, Support | BlockSupport):
            raise ConfigError(f"support: must be periodic, got {support.name}, which is unstructured")
        if support.kernel != kernel:
            raise ConfigError(
                f"support: kernel must be {kernel}, as the layer's, got {support.kernel} of {support.name}"
            )
        return support

    @field_serializer("support")
    def _write_support(self, support: Support | BlockSupport) -> SupportSpec | BlockSupport:
        return support.spec()

    @model_validator(mode="after")
    def _possible(self) -> EngineShape:
        if self.engine == "periodic" and not isinstance(self.support, Support):
            raise ConfigError(f"engine: must be indexed for {self.support.name}, which has no period, got periodic")
        pads = self.pads
        if max(pads) > self.kernel - 1:
            raise ConfigError(
                f"padding: must be 0 to {self.kernel - 1} with kernel {self.kernel}, got {written(self.padding)}"
            )
        for name, size, around in (("height", self.height, pads.rows), ("width", self.width, pads.columns)):
            if size + around < self.kernel:
                raise ConfigError(
                    f"{name}: must be at least {self.kernel - around} (kernel {self.kernel}, "
                    f"padding {written(self.padding)}), got {size}"
                )
        if self.largest is not None and not (self.relu and 0 <= self.largest < 1 << (self.out_bits - 1)):
            raise ConfigError(
                f"largest: must be 0 to {(1 << (self.out_bits - 1)) - 1} with relu: true and out_bits {self.out_bits}, "
                f"got {self.largest}"
            )
        for name, size in (("width", self.width), ("output width", self.wout)):
            if size % self.Tx:
                raise ConfigError(f"Tx: must divide the {name} {size}, got {self.Tx}")
        self._check_groups()
        if self.P % self.R:
            raise ConfigError(f"R: must divide the period {self.P} of {self.support.name}, got {self.R}")
        of_group = " / groups" if self.groups > 1 else ""
        if self.To > 1 and not self.channelwise and self.group_cout % (self.P * self.To):
            raise ConfigError(
                f"To: period * To = {self.P} * {self.To} = {self.P * self.To} must divide cout{of_group}, "
                f"got To {self.To} with cout{of_group} {self.group_cout}"
            )
        if self.blocks % self.Tb:
            raise ConfigError(
                f"Tb: must divide the ceil(cin{of_group} / period) = ceil({self.group_cin} / {self.P}) = {self.blocks} "
                f"blocks, got {self.Tb}"
            )
        if self.fold > self.elements:
            raise ConfigError(f"fold: must be 1 to N * Tb = {self.elements}, got {self.fold}")
        if self.engine == "indexed" and self.packing > 1:
            raise ConfigError(
                f"packing: must be 1 with engine: indexed, where outputs share no activation, got {self.packing}"
            )
        if self.feed == "channels" and self.engine == "indexed":
            raise ConfigError("feed: must be windows with engine: indexed, which has no ring, got channels")
        if self.round_steps * self.fold < self.pieces:
            raise ConfigError(
                f"feed: channels: steps * fold must be at least the period {self.P}, got {self.round_steps} * "
                f"{self.fold}; raise fold, lower To or R, or use feed: windows"
            )
        _ = self.product_fields
        if self.packs_rotations and self.packing > (most := max(len(one.outputs) for one in self.packed_sums)):
            raise ConfigError(
                f"packing: must be {'1' if most == 1 else f'1 to {most}'} with To {self.To}, R {self.R}, "
                f"fold {self.fold}, as no more output channels of a step share an activation, got {self.packing}; "
                "raise To or R, or make it divide Tx"
            )
        return self

    def _check_groups(self) -> None:
        """Raises ConfigError where groups do not fit the channels, the support or the parallelism."""
        period = self.support.period
        for name, size in (("cin", self.cin), ("cout", self.cout)):
            if size % self.groups:
                raise ConfigError(f"groups: must divide {name} {size}, got {self.groups}")
            if not self.channelwise and self.groups > 1 and size // self.groups % period:
                raise ConfigError(
                    f"support: its period must divide {name} / groups = {size // self.groups}, got {period} of "
                    f"{self.support.name}"
                )
        if not self.channelwise:
            return
        where = "in groups of one input channel"
        for name, given, right in (("engine", self.engine, "periodic"), ("feed", self.feed, "windows")):
            if given != right:
                raise ConfigError(f"{name}: must be {right} {where}, got {given}")
        if period > 1:
            raise ConfigError(f"support: its period must be 1 {where}, got {period} of {self.support.name}")
        if self.R > self.cin:
            raise ConfigError(f"R: must be 1 to cin = {self.cin} {where}, got {self.R}")
        if self.Tb > 1:
            raise ConfigError(f"Tb: must be 1 {where}, got {self.Tb}; R is their number at once")
        if self.group_cout % self.To:
            raise ConfigError(f"To: must divide cout / groups = {self.group_cout} {where}, got {self.To}")

    # Of the support and its folding

    @property
    def channelwise(self) -> bool:
        """Whether each output channel has one input channel: depthwise convolutions, and those with a multiplier.

        R input channels and their outputs are at work at once, which are a block and stand for the rotations.
        """
        return self.groups > 1 and self.groups == self.cin

    @property
    def group_cin(self) -> int:
        """Input channels of a group, and of a filter."""
        return self.cin // self.groups

    @property
    def group_cout(self) -> int:
        """Output channels of a group."""
        return self.cout // self.groups

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """The shape of the array of weights: [cout, cin / groups, K, K]."""
        return self.cout, self.group_cin, self.kernel, self.kernel

    @property
    def P(self) -> int:
        """Input channels of a block: the period of the support, or those that a channelwise engine has at work."""
        return self.R if self.channelwise else self.support.period

    @property
    def N(self) -> int:
        """Nonzero weights of one block of one filter."""
        return self.support.nonzeros

    @property
    def elements(self) -> int:
        """E, products of one output channel and one block set."""
        return self.N * self.Tb

    @property
    def outputs(self) -> int:
        """Output channels of a step: To times R."""
        return self.To * self.R

    @property
    def sums_bits(self) -> int:
        """Bits of the sums of a step: of all its output channels, of Tx pixels."""
        return self.Tx * self.outputs * self.acc_bits

    @property
    def M(self) -> int:
        """Lanes of each output channel of a step."""
        return -(-self.elements // self.fold)

    @property
    def lanes(self) -> int:
        """Multiply-accumulates in each cycle: those of Tx pixels."""
        return self.Tx * self.word_weights

    @property
    def multipliers(self) -> int:
        """Hardware multipliers of the engine, those of the scales (`scale_multipliers`) aside."""
        if self.packs_rotations:
            return self.Tx * sum(len(one.lanes) for one in self.packed_sums)
        return self.lanes // self.packing

    @property
    def packs_pixels(self) -> bool:
        """Whether the products of a multiplier are of one weight and several pixels, else of one activation.

        Outputs come first where they fill every multiplier, then pixels.
        """
        return self.To % self.packing > 0 and self.Tx % self.packing == 0

    @property
    def packs_rotations(self) -> bool:
        """Whether neither outputs nor pixels fill every multiplier: then rotations share those where they can."""
        return self.To % self.packing > 0 and not self.packs_pixels

    @property
    def packed_sums(self) -> tuple[PackedSum, ...]:
        """Which products share a multiplier, and which of these are added before they are taken apart."""
        group, apart = self.product_fields.group, self.channelwise
        return packed_sums(self.support, self.To, self.R, self.Tb, self.fold, self.packing, group, apart)

    @property
    def product_fields(self) -> Fields:
        """Where the products of a multiplier stand. Raises ConfigError where they do not fit (never once made)."""
        return fields(self.packing, *self.operand_bits, self.M, self.multiplier_bits)

    @property
    def operand_bits(self) -> tuple[int, int]:
        """Bits of what is packed in a multiplier, several side by side, and of what they share."""
        return (self.in_bits, self.weight_bits) if self.packs_pixels else (self.weight_bits, self.in_bits)

    @property
    def scale_multipliers(self) -> int:
        """Multipliers of the requantisation: one for each output channel of a step where there are scales."""
        return self.Tx * self.outputs if self.scale_bits else 0

    # Of the loop nest

    @property
    def rounds(self) -> int:
        """Rounds of a pixel: its groups one after the other, or of a channelwise engine R of them at a time."""
        return -(-self.cin // self.R) if self.channelwise else self.groups

    @property
    def blocks(self) -> int:
        """Blocks of P input channels in a round, the last one padded where they are not a multiple of P."""
        return 1 if self.channelwise else -(-self.group_cin // self.P)

    @property
    def round_sets(self) -> int:
        """Block sets of Tb blocks in a round."""
        return self.blocks // self.Tb

    @property
    def NB(self) -> int:
        """Block sets of all rounds: words of an input pixel."""
        return self.rounds * self.round_sets

    @property
    def round_steps(self) -> int:
        """Steps of a round, of `outputs` output channels each, the last one padded where these are not a multiple."""
        return -(-self.group_cout // (self.To if self.channelwise else self.outputs))

    @property
    def steps(self) -> int:
        """Steps of all rounds."""
        return self.rounds * self.round_steps

    @property
    def slots(self) -> int:
        """Steps of an output word, after which the ring is back at its start."""
        return self.round_steps if self.channelwise else self.P // self.R

    @property
    def pieces(self) -> int:
        """Pieces of a window set, that the processing element takes one after the other."""
        return self.P if self.feed == "channels" and self.kernel > 1 else 1

    @property
    def span(self) -> int:
        """Columns of the windows of Tx output pixels side by side."""
        return span(self)

    @property
    def window_bits(self) -> int:
        """Bits of the windows of Tx output pixels and a block set."""
        return self.kernel * self.span * self.in_channels_per_beat * self.in_bits

    @property
    def piece_bits(self) -> int:
        """Bits of one tap of a piece: of a pixel of an input beat, or of its part."""
        return self.in_channels_per_beat * self.in_bits // self.pieces

    @property
    def pads(self) -> Padding:
        """Rows and columns of zeros around the image, side by side."""
        return Padding.of(self.padding)

    @property
    def hout(self) -> int:
        """Rows of the output image."""
        return positions((self.height, self.width), self.kernel, self.stride, self.pads)[0]

    @property
    def wout(self) -> int:
        """Columns of the output image."""
        return positions((self.height, self.width), self.kernel, self.stride, self.pads)[1]

    @property
    def limit(self) -> int:
        """The largest output."""
        return (1 << (self.out_bits - 1)) - 1 if self.largest is None else self.largest

    @property
    def pixel_sets(self) -> int:
        """Sets of Tx output pixels."""
        return self.hout * self.wout // self.Tx

    @property
    def summary(self) -> str:
        """The layer in words: channels, image, kernel, stride."""
        stride = f"/{self.stride}" if self.stride > 1 else ""
        groups = f" in {self.groups} groups" if self.groups > 1 else ""
        return f"{self.cin}x{self.height}x{self.width}→{self.cout} {self.kernel}x{self.kernel}{stride}{groups}"

    @property
    def macs(self) -> int:
        """Useful multiply-accumulates of an image: output pixels * weights of the support."""
        return self.hout * self.wout * self.support.weights(self.cout, self.group_cin)

    # Of the streams

    @property
    def in_channels_per_beat(self) -> int:
        return self.P * self.Tb

    @property
    def out_channels_per_beat(self) -> int:
        return self.outputs * self.slots

    @property
    def in_words(self) -> Words:
        """The input image as words."""
        return Words(self.cin, self.height, self.width, self.in_bits, self.in_channels_per_beat, self.Tx)

    @property
    def out_words(self) -> Words:
        """The output image as words."""
        return Words(self.cout, self.hout, self.wout, self.out_bits, self.out_channels_per_beat, self.Tx)

    @property
    def in_beats(self) -> int:
        """Input beats of an image."""
        return self.in_words.count

    @property
    def out_beats(self) -> int:
        """Output beats of an image."""
        return self.out_words.count

    @property
    def in_beat_bytes(self) -> int:
        return self.in_words.word_bytes

    @property
    def out_beat_bytes(self) -> int:
        return self.out_words.word_bytes

    # Of the memories

    @property
    def bias_bits(self) -> int:
        """Bits of a bias: it starts the accumulator, and has 32 bits at most."""
        return min(self.acc_bits, formats.BIAS_BITS)

    @property
    def word_weights(self) -> int:
        """Weights of a word of the weight ROM."""
        return self.M * self.outputs

    @property
    def rom_words(self) -> int:
        """Words of the weight ROM."""
        return self.NB * self.round_steps * self.fold

    @property
    def positions(self) -> int:
        """Activations that an index chooses from: taps of the channels of a block set."""
        return self.P * self.kernel**2 * self.Tb

    @property
    def index_bits(self) -> int:
        """Bits of the index beside each weight; 0 in the periodic engine, which has none."""
        return max(1, (self.positions - 1).bit_length()) if self.engine == "indexed" else 0

    @property
    def rom_word_bits(self) -> int:
        """All the weights of a word, and above them all their indices."""
        return self.word_weights * (self.weight_bits + self.index_bits)

    @property
    def index_rom_bits(self) -> int:
        """Bits of the weight ROM that hold indices."""
        return self.rom_words * self.word_weights * self.index_bits

    @property
    def load_bits(self) -> int:
        """Bits of a word as it is loaded into an engine with its weights in RAM: weights, above them biases."""
        return self.rom_word_bits + self.outputs * self.bias_bits

    @property
    def stream_beat_bytes(self) -> int:
        """Bytes of a beat of weights where they are streamed: a ROM word."""
        return -(-self.rom_word_bits // 8)

    @property
    def held_bits(self) -> dict[str, int]:
        """Bits of the RAMs that an engine with streamed weights has in the place of the weight ROM.

        windows: of all block sets and sets of output pixels; sums: of all output pixels; outputs: the output image.
        """
        return {
            "windows": self.pixel_sets * self.NB * self.window_bits,
            "sums": self.pixel_sets * self.sums_bits,
            "outputs": self.out_beats * self.out_words.word_bits,
        }

    @property
    def weight_bits_stored(self) -> int:
        """Bits of the weights of the support."""
        return self.support.weights(self.cout, self.group_cin) * self.weight_bits

    @property
    def padding_bits(self) -> int:
        """Weight fields of the ROM that hold none: of a short last block, and of multipliers idle in the last fold."""
        return self.rom_words * self.word_weights * self.weight_bits - self.weight_bits_stored

    @property
    def step_outputs(self) -> Int64:
        """int [steps, outputs]: the output channels of each step, R times the To that share a place of the ring.

        Those from cout on are padding: weights, biases and scales of zero.
        """
        word, slot = np.divmod(np.arange(self.steps), self.slots)
        rotation, output = np.divmod(np.arange(self.outputs), self.To)
        first = (word * self.out_channels_per_beat)[:, None]
        channels: Int64
        if self.channelwise:  # those of an input channel are neighbours
            channels = first + rotation * self.group_cout + slot[:, None] * self.To + output
        else:
            channels = first + slot[:, None] * self.R + output * self.P + rotation
        return channels

    @property
    def padded_cout(self) -> int:
        """Output channels with those that pad the last step."""
        return self.steps * self.outputs


def pack_rom(weights: Integers, shape: EngineShape) -> list[int]:
    """The ROM of an engine, one non-negative integer of `rom_word_bits` for each address: weights, above them indices.

    Raises ConfigError as `pack_weights` does.
    """
    words = pack_weights(weights, shape)
    if shape.engine == "periodic":
        return words
    above = shape.word_weights * shape.weight_bits
    return [word | index << above for word, index in zip(words, pack_indices(shape), strict=True)]


def pack_indices(shape: EngineShape) -> list[int]:
    """The index fields of an indexed engine's ROM: word_weights * `index_bits` bits an address, fields as the weights'.

    An index is (sub-block * P + channel) * K * K + tap; that of a padding field is 0.
    """
    indices = (np.arange(shape.elements) // shape.N) * (shape.P * shape.kernel**2) + _positions(shape)
    return _to_words(_by_address(np.ascontiguousarray(indices), shape), shape.index_bits)


def unpack_indices(words: list[int], shape: EngineShape) -> Int64:
    """int64 [NB, round_steps, outputs, E], index of each element: the inverse of `pack_indices`.

    Raises ConfigError: wrong number of words, a word too wide.
    """
    signed = _from_words(words, shape.rom_words, shape.word_weights, shape.index_bits)
    return _by_element(signed % (1 << shape.index_bits), shape)[..., : shape.elements]


def pack_weights(weights: Integers, shape: EngineShape) -> list[int]:
    """The weight fields of the ROM, one non-negative integer of word_weights * `weight_bits` bits for each address.

    Raises ConfigError as `lane_weights` does.
    """
    return _to_words(lane_weights(weights, shape), shape.weight_bits)


def lane_weights(weights: Integers, shape: EngineShape) -> Int64:
    """int [rom_words, word_weights]: the weight of each lane of a pixel at each address of the ROM.

    weights: int [cout, cin / groups, K, K]. Raises ConfigError: wrong shape, out of range, nonzero off the support.
    """
    check_shape(weights, shape.weight_shape, "weights")
    formats.check_range(weights, *_range(shape.weight_bits), f"weights ({shape.weight_bits} bits)")
    check_support(weights, shape.support, "weights")
    output, channel, tap = _weight_of_element(shape)
    flat = np.asarray(weights).reshape(shape.cout, shape.group_cin, -1)
    least = np.minimum(output, shape.cout - 1), np.minimum(channel, shape.group_cin - 1), tap
    return _by_address(np.where(_inside(output, channel, shape), flat[least], 0), shape)


def pack_loads(weights: Integers, bias: Integers, shape: EngineShape) -> list[int]:
    """What an engine with its weights in RAM is loaded with: `rom_words` integers of `load_bits`.

    Each is a word of the weight ROM; above it, in the first word of each step of a round's first block set, the bias
    word of that step. Raises ConfigError as `pack_weights` and `pack_bias` do.
    """
    words, biases = pack_rom(weights, shape), pack_bias(bias, shape)
    first = np.arange(shape.rom_words).reshape(shape.rounds, shape.round_sets, shape.round_steps, shape.fold)[
        :, 0, :, 0
    ]
    for address, word in zip(first.ravel().tolist(), biases, strict=True):
        words[address] |= word << shape.rom_word_bits
    return words


def stream_order(shape: EngineShape) -> Int64:
    """int [rom_words]: the ROM address of each word of an engine's weight stream.

    Of each round word (s * F + f) * NB + b is that of step s, fold f and block set b of NB in a round: with block sets
    inside folds each turn of the engine's windows is one fold of a step.
    """
    addresses = np.arange(shape.rom_words).reshape(shape.rounds, shape.round_sets, shape.round_steps * shape.fold)
    return addresses.swapaxes(1, 2).ravel()


def pack_stream(weights: Integers, shape: EngineShape) -> UInt8:
    """The weight beats of an image: uint8 [rom_words, stream_beat_bytes], little endian, in `stream_order`.

    Raises ConfigError as `pack_weights` does.
    """
    words = pack_rom(weights, shape)
    octets = b"".join(words[at].to_bytes(shape.stream_beat_bytes, "little") for at in stream_order(shape))
    return np.frombuffer(octets, np.uint8).reshape(-1, shape.stream_beat_bytes)


def unpack_stream(beats: UInt8, shape: EngineShape) -> Int8:
    """int8 [cout, cin / groups, K, K], the inverse of `pack_stream`. Raises ConfigError as `unpack_weights` does."""
    check_shape(beats, (shape.rom_words, shape.stream_beat_bytes), "weight beats")
    words = [0] * shape.rom_words
    for at, beat in zip(stream_order(shape), beats, strict=True):
        words[at] = int.from_bytes(beat.tobytes(), "little")
    return unpack_weights(words, shape)


def unpack_weights(words: list[int], shape: EngineShape) -> Int8:
    """int8 [cout, cin / groups, K, K], the inverse of `pack_weights`.

    Raises ConfigError: wrong number of words, a word too wide, padding that is not zero.
    """
    values = _from_words(words, shape.rom_words, shape.word_weights, shape.weight_bits)
    values = _by_element(values, shape)
    output, channel, tap = _weight_of_element(shape)
    inside = _inside(output, channel, shape)
    if values[..., shape.elements :].any() or values[..., : shape.elements][~inside].any():
        raise ConfigError("weight ROM: padding fields must be zero")
    weights = np.zeros((shape.cout, shape.group_cin, shape.kernel**2), np.int8)
    weights[output[inside], channel[inside], tap[inside]] = values[..., : shape.elements][inside]
    return weights.reshape(shape.weight_shape)


def pack_bias(bias: Integers, shape: EngineShape) -> list[int]:
    """The bias ROM, one word of outputs * `bias_bits` for each step. bias: int [cout].

    Raises ConfigError: wrong shape, out of range.
    """
    check_shape(bias, (shape.cout,), "bias")
    formats.check_range(bias, *_range(shape.bias_bits), f"bias ({shape.bias_bits} bits)")
    return _to_words(_by_step(bias, shape), shape.bias_bits)


def unpack_bias(words: list[int], shape: EngineShape) -> Int32:
    """int32 [cout], the inverse of `pack_bias`. Raises ConfigError."""
    bias = np.zeros(shape.padded_cout, np.int32)
    bias[shape.step_outputs] = _from_words(words, shape.steps, shape.outputs, shape.bias_bits)
    if bias[shape.cout :].any():
        raise ConfigError("bias ROM: padding fields must be zero")
    return bias[: shape.cout]


def pack_scales(scales: Integers, shape: EngineShape) -> list[int]:
    """The scale ROM, one word of outputs * `scale_bits` for each step. scales: int [cout].

    Raises ConfigError: wrong shape, out of range.
    """
    check_shape(scales, (shape.cout,), "scales")
    formats.check_range(scales, 1, (1 << shape.scale_bits) - 1, f"scales ({shape.scale_bits} bits)")
    return _to_words(_by_step(scales, shape), shape.scale_bits)


def _by_step(values: Integers, shape: EngineShape) -> Int64:
    """int64 [steps, outputs]: a value of each output channel, int [cout], zero for those that are padding."""
    padded = np.zeros(shape.padded_cout, np.int64)
    padded[: shape.cout] = values
    return padded[shape.step_outputs]


def _weight_of_element(shape: EngineShape) -> tuple[Int64, Int64, Int64]:
    """(output, input channel of its group, tap) of each element, all [NB, round_steps, outputs, E].

    What is not `_inside` is padding. Element e = tb * N + its number in the block.
    """
    position, taps = _positions(shape), shape.kernel**2
    block = np.arange(shape.NB)[:, None] % shape.round_sets * shape.Tb + np.arange(shape.elements) // shape.N
    channel = block[:, None, None, :] * shape.support.period + position // taps
    output = shape.step_outputs.reshape(shape.rounds, shape.round_steps, shape.outputs, 1)
    output = np.repeat(output, shape.round_sets, axis=0)
    return np.broadcast_to(output, position.shape), channel, position % taps


def _inside(output: Int64, channel: Int64, shape: EngineShape) -> Bool:
    """Whether the layer has these output channels and input channels of their groups: the others are padding."""
    return (output < shape.cout) & (channel < shape.group_cin)


def _positions(shape: EngineShape) -> Int64:
    """int [NB, round_steps, outputs, E]: where in its block each element's weight is."""
    found = shape.support.positions(shape.padded_cout, shape.blocks)[shape.step_outputs]  # [steps, outputs, blocks, N]
    found = found.reshape(shape.rounds, shape.round_steps, shape.outputs, shape.round_sets, shape.elements)
    return found.transpose(0, 3, 1, 2, 4).reshape(shape.NB, shape.round_steps, shape.outputs, shape.elements)


def _by_address(values: Int64, shape: EngineShape) -> Int64:
    """[NB, round_steps, outputs, E] -> [words, word_weights]: lane j in fold f has element f * M + j, zero beyond."""
    values = np.pad(values, [(0, 0)] * 3 + [(0, shape.fold * shape.M - shape.elements)])
    values = values.reshape(shape.NB, shape.round_steps, shape.outputs, shape.fold, shape.M)
    return values.transpose(0, 1, 3, 2, 4).reshape(shape.rom_words, -1)


def _by_element(values: Int64, shape: EngineShape) -> Int64:
    """[words, word_weights] -> [NB, round_steps, outputs, fold * M], the inverse of `_by_address`, padding left in."""
    values = values.reshape(shape.NB, shape.round_steps, shape.fold, shape.outputs, shape.M).transpose(0, 1, 3, 2, 4)
    return values.reshape(shape.NB, shape.round_steps, shape.outputs, -1)


def _to_words(values: Integers, bits: int) -> list[int]:
    """One Python integer for each row of fields."""
    return [int.from_bytes(row.tobytes(), "little") for row in pack_fields(values, bits)]


def _from_words(words: list[int], count: int, fields: int, bits: int) -> Int64:
    """int64 [count, fields], the inverse of `_to_words`. Raises ConfigError."""
    if len(words) != count:
        raise ConfigError(f"ROM: must have {count} words, got {len(words)}")
    if any(not 0 <= word < 1 << (fields * bits) for word in words):
        raise ConfigError(f"ROM: words must fit {fields * bits} bits")
    size = -(-fields * bits // 8)
    octets = np.frombuffer(b"".join(word.to_bytes(size, "little") for word in words), np.uint8)
    planes = np.unpackbits(octets.reshape(count, size), axis=1, bitorder="little")
    return signed_fields(planes[:, : fields * bits].reshape(count, fields, bits))


def _range(bits: int) -> tuple[int, int]:
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
