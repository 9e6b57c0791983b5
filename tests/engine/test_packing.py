"""Packing against a field-by-field reading of docs/reference/interfaces.md, and round trips."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymodel.common.errors import ConfigError
from pymodel.engine.packing import (
    EngineShape,
    pack_bias,
    pack_scales,
    pack_weights,
    unpack_bias,
    unpack_weights,
)

BASE = {
    "cin": 20,
    "cout": 32,
    "kernel": 3,
    "padding": 1,
    "height": 5,
    "width": 7,
    "support": "PSD1_P16",
    "acc_bits": 24,
}

DEPTHWISE = {"groups": 16, "cin": 16, "support": "dense"}


@st.composite
def shapes(draw: st.DrawFn) -> EngineShape:
    """Any legal engine shape that is small."""
    kernel, bits = draw(st.sampled_from([1, 3, 5])), st.integers(2, 8)
    specs: list = ["dense"]
    if kernel == 3:
        specs += [
            "PSD1_P16",
            "PS1_P9",
            "PSD4_P8",
            "PS2_P6",
            "PS4_P4",
            "PSD2_P3",
            "PS4_P1",
            {"taps": [[0, 8], [4]]},
        ]
    if kernel == 5:
        specs.append({"taps": [[0, 24], [7], [1, 2, 3]]})
    support = draw(st.sampled_from(specs))
    probe = EngineShape(cin=1, cout=1, kernel=kernel, height=9, width=9, support=support, acc_bits=24)
    cin = draw(st.integers(1, 3 * probe.P + 2))
    blocks = -(-cin // probe.P)
    to, tb = (
        draw(st.integers(1, 3)),
        draw(st.sampled_from([t for t in range(1, blocks + 1) if blocks % t == 0])),
    )
    rotations = draw(st.sampled_from([r for r in range(1, probe.P + 1) if probe.P % r == 0]))
    cout = draw(st.integers(1, 2)) * probe.P * to if to > 1 else draw(st.integers(1, 20))
    kind, groups = draw(st.sampled_from(["ungrouped", "grouped", "channelwise"])), 1
    if kind == "channelwise" and probe.P == 1:
        groups = cin = draw(st.integers(2, 7))
        cout, rotations, tb = cin * to * draw(st.integers(1, 2)), draw(st.integers(1, cin)), 1
    elif kind != "ungrouped":
        groups = draw(st.integers(2, 3))
        cin, cout = groups * probe.P * tb * draw(st.integers(1, 2)), groups * probe.P * to * draw(st.integers(1, 2))
        if cin == groups:  # one input channel each
            cin *= 2
    padding = draw(st.integers(0, kernel - 1))
    smallest = max(1, kernel - 2 * padding)
    return EngineShape(
        cin=cin,
        cout=cout,
        kernel=kernel,
        support=support,
        groups=groups,
        To=to,
        R=rotations,
        Tb=tb,
        stride=draw(st.integers(1, 3)),
        padding=padding,
        height=draw(st.integers(smallest, 6)) if smallest < 6 else smallest,
        width=draw(st.integers(smallest, 6)) if smallest < 6 else smallest,
        fold=draw(st.integers(1, probe.N * tb)),
        in_bits=draw(bits),
        weight_bits=draw(bits),
        out_bits=draw(bits),
        acc_bits=draw(st.integers(9, 40)),
    )


def random_integers(seed: int, bits: int, size: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).integers(-(1 << (bits - 1)), 1 << (bits - 1), size)


def random_weights(seed: int, shape: EngineShape) -> np.ndarray:
    size = (shape.cout, shape.cin // shape.groups, shape.kernel, shape.kernel)
    return random_integers(seed, shape.weight_bits, size) * shape.support.mask(*size[:2])


def field(word: int, index: int, bits: int) -> int:
    value = (word >> (index * bits)) & ((1 << bits) - 1)
    return value - (1 << bits) if value >> (bits - 1) else value


def channelwise(shape: EngineShape) -> bool:
    return shape.cin == shape.groups > 1


def rounds_of(shape: EngineShape) -> int:
    """Rounds of a pixel, as docs/reference/interfaces.md counts them."""
    return math.ceil(shape.cin / shape.R) if channelwise(shape) else shape.groups


def steps_of(shape: EngineShape) -> int:
    """Steps of a round, as docs/reference/interfaces.md counts them."""
    return math.ceil(shape.cout // shape.groups / (shape.To * (1 if channelwise(shape) else shape.R)))


def output_of(shape: EngineShape, g: int, s: int, n: int) -> int:
    """Output channel n of step s of round g, as docs/reference/interfaces.md numbers them; from cout on padding."""
    P, To, R, of_group = shape.support.period, shape.To, shape.R, shape.cout // shape.groups
    r, k = divmod(n, To)
    if channelwise(shape):
        return (g * R + r) * of_group + s * To + k
    word, slot = divmod(s, P // R)
    return g * of_group + (word * To + k) * P + slot * R + r


@settings(deadline=None, max_examples=100)
@given(shapes(), st.integers(0, 2**32))
def test_rom_word_by_word(shape: EngineShape, seed: int) -> None:
    weights = random_weights(seed, shape)
    words = pack_weights(weights, shape)
    p, f, m, n = shape.support.period, shape.fold, shape.M, shape.N
    elements, steps, outputs = shape.support.elements(), steps_of(shape), shape.To * shape.R
    group_cin = shape.cin // shape.groups
    sets = math.ceil(group_cin / p) // shape.Tb
    assert len(words) == rounds_of(shape) * sets * steps * f
    assert all(0 <= word < 1 << (m * outputs * shape.weight_bits) for word in words)
    for g, b, s, fold in product(range(rounds_of(shape)), range(sets), range(steps), range(f)):
        word = words[((g * sets + b) * steps + s) * f + fold]
        for k in range(outputs):
            o = output_of(shape, g, s, k)
            for j in range(m):
                element, expected = fold * m + j, 0
                if element < n * shape.Tb and o < shape.cout:
                    (v, t), tb = elements[element % n], element // n
                    i = (b * shape.Tb + tb) * p + (v - o - 1) % p
                    if i < group_cin:
                        expected = weights[o, i].flat[t]
                assert field(word, k * m + j, shape.weight_bits) == expected


@settings(deadline=None, max_examples=100)
@given(shapes(), st.integers(1, 16), st.integers(0, 2**32))
def test_biases_and_scales_word_by_word(shape: EngineShape, bits: int, seed: int) -> None:
    shape = shape.model_copy(update={"scale_bits": bits})
    bias = random_integers(seed, shape.bias_bits, (shape.cout,))
    scales = np.random.default_rng(seed).integers(1, 1 << bits, shape.cout)
    outputs = shape.To * shape.R
    biases, words = pack_bias(bias, shape), pack_scales(scales, shape)
    rounds, steps = rounds_of(shape), steps_of(shape)
    assert len(words) == len(biases) == rounds * steps
    for (g, s), bias_word, word in zip(product(range(rounds), range(steps)), biases, words, strict=True):
        assert 0 <= word < 1 << (outputs * bits) and 0 <= bias_word < 1 << (outputs * shape.bias_bits)
        for k in range(outputs):
            o = output_of(shape, g, s, k)
            assert word >> (k * bits) & ((1 << bits) - 1) == (scales[o] if o < shape.cout else 0)
            assert field(bias_word, k, shape.bias_bits) == (bias[o] if o < shape.cout else 0)
    for wrong in (0, 1 << bits):
        with pytest.raises(ConfigError, match=f"scales .{bits} bits.: must be .*, got {wrong} at"):
            pack_scales(np.full(shape.cout, wrong), shape)


@settings(deadline=None, max_examples=150)
@given(shapes(), st.integers(0, 2**32))
def test_round_trips(shape: EngineShape, seed: int) -> None:
    weights = random_weights(seed, shape)
    assert (unpack_weights(pack_weights(weights, shape), shape) == weights).all()
    bias = random_integers(seed, shape.bias_bits, (shape.cout,))
    assert (unpack_bias(pack_bias(bias, shape), shape) == bias).all()
    images = random_integers(seed, shape.out_bits, (2, shape.cout, shape.hout, shape.wout))
    beats = shape.out_words.pack(images, "output images")
    assert beats.shape == (2 * shape.out_beats, shape.out_beat_bytes)
    assert (shape.out_words.unpack(beats, "output beats") == images).all()


@settings(deadline=None, max_examples=60)
@given(shapes(), st.integers(0, 2**32))
def test_input_beats_channel_by_channel(shape: EngineShape, seed: int) -> None:
    images = random_integers(seed, shape.in_bits, (2, shape.cin, shape.height, shape.width))
    beats = shape.in_words.pack(images, "input images")
    per_beat = shape.R if channelwise(shape) else shape.support.period * shape.Tb
    assert beats.shape == (2 * shape.in_beats, -(-per_beat * shape.in_bits // 8))
    position = 0
    for image in images:
        for row in range(shape.height):
            for column in range(shape.width):
                for block_set in range(shape.NB):
                    word = int.from_bytes(beats[position].tobytes(), "little")
                    assert word >> (per_beat * shape.in_bits) == 0
                    for c in range(per_beat):
                        channel = block_set * per_beat + c
                        expected = image[channel, row, column] if channel < shape.cin else 0
                        assert field(word, c, shape.in_bits) == expected
                    position += 1
    assert position == len(beats)


@settings(deadline=None)
@given(shapes())
def test_counts(shape: EngineShape) -> None:
    weights = int(shape.support.mask(shape.cout, shape.cin // shape.groups).sum())
    assert shape.macs == shape.hout * shape.wout * weights
    assert shape.weight_bits_stored == weights * shape.weight_bits
    assert shape.padding_bits == shape.rom_words * shape.rom_word_bits - shape.weight_bits_stored >= 0
    outputs = shape.To * shape.R
    if shape.cin % shape.P == 0 and shape.elements % shape.fold == 0 and shape.cout % outputs == 0:
        assert shape.padding_bits == 0
    # Every output channel is made exactly once, and less than a step, or a round, of what is no output channel.
    assert sorted(shape.step_outputs.flat) == list(range(shape.padded_cout))
    most = outputs * steps_of(shape) if channelwise(shape) else outputs
    assert shape.cout <= shape.padded_cout < shape.cout + most
    assert shape.step_outputs.shape == (shape.steps, outputs) == (rounds_of(shape) * steps_of(shape), outputs)
    # All channels of an output word are made in the steps between two words.
    between = steps_of(shape) if channelwise(shape) else shape.support.period // shape.R
    assert shape.out_words.per_pixel == -(-shape.steps // between)
    assert EngineShape(**shape.model_dump()) == shape
    assert EngineShape.model_validate_json(shape.model_dump_json()) == shape


def test_example_of_the_papers() -> None:
    shape = EngineShape(**{**BASE, "cin": 64, "cout": 64, "height": 32, "width": 32, "lanes": 24})
    assert (shape.P, shape.N, shape.M, shape.lanes, shape.NB, shape.steps) == (16, 24, 24, 24, 4, 64)
    assert shape.hout * shape.wout * shape.NB * shape.steps * shape.fold == 262_144
    assert shape.macs == 262_144 * 24
    assert shape.padding_bits == 0


def test_the_ring_stands_still_where_a_step_has_a_period_of_outputs() -> None:
    """64 -> 64 channels, PSD1_P16: 16 rotations of 24 lanes, the whole period in each of 4 steps."""
    size = {"cin": 64, "cout": 64, "height": 32, "width": 32}
    shape = EngineShape(**{**BASE, **size, "R": 16, "lanes": 384})
    assert (shape.outputs, shape.M, shape.lanes, shape.slots, shape.steps) == (16, 24, 384, 1, 4)
    assert shape.out_words.per_pixel == 4
    assert shape.hout * shape.wout * shape.NB * shape.steps * shape.fold == 16_384
    assert shape.macs == 16_384 * 384 and shape.padding_bits == 0
    assert shape.step_outputs.tolist() == [[*range(16 * step, 16 * step + 16)] for step in range(4)]


def test_a_last_step_is_padded() -> None:
    """18 outputs by four: the last two of the fifth step are none, and all that belongs to them is zero."""
    shape = EngineShape(**{**BASE, "cout": 18, "R": 4})
    assert (shape.steps, shape.padded_cout) == (5, 20)
    weights = int(shape.support.mask(18, 20).sum())
    assert shape.padding_bits == (2 * 20 * 24 - weights) * 8
    full = np.ones((18, 20, 3, 3), int) * shape.support.mask(18, 20)
    last = pack_weights(full, shape)[shape.steps - 1]  # of the first block set
    assert last == sum(1 << (8 * j) for j in range(2 * 24))
    biases = pack_bias(np.full(18, -1), shape)
    assert biases[-1] == (1 << (2 * shape.bias_bits)) - 1
    with pytest.raises(ConfigError, match="bias ROM: padding fields must be zero"):
        unpack_bias([*biases[:-1], (1 << (3 * shape.bias_bits)) - 1], shape)


def test_short_last_block_is_counted() -> None:
    shape = EngineShape(**BASE)
    weights = int(shape.support.mask(32, 20).sum())
    assert shape.padding_bits == (2 * 32 * 24 - weights) * 8


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"To": 3}, "To: .* 48 must divide cout, got To 3 with cout 32"),
        ({"To": 0}, "To: "),
        ({"R": 3}, "R: must divide the period 16 of PSD1_P16, got 3"),
        ({"R": 32}, "R: must divide the period 16 of PSD1_P16, got 32"),
        ({"R": 0}, "R: "),
        ({"R": 2, "support": "dense"}, "R: must divide the period 1 of dense, got 2"),
        ({"R": 2, "lanes": 24}, r"lanes: must be ceil.24 / 1. \* 2 = 48 for PSD1_P16 with To 1, R 2, .* got 24"),
        ({"To": 2, "cout": 32, "packing": 2, "multiplier_bits": 23}, "packing: must be 1 for 8-bit"),
        ({"R": 4, "feed": "channels"}, "feed: channels: .* at least the period 16, got 8 . 1; .* lower To or R"),
        ({"Tb": 3}, "Tb: must divide .* 2 blocks, got 3"),
        ({"fold": 0}, "fold: "),
        ({"fold": 25}, "fold: must be 1 to N .* 24, got 25"),
        ({"lanes": 23}, "lanes: must be .* 24 .* got 23"),
        ({"packing": 2}, "packing: must be 1 with To 1, .* got 2"),
        ({"packing": 0}, "packing"),
        ({"packing": 4, "To": 4, "cout": 64}, "packing: must be 1 to 2 for 8-bit .* got 4: .* multiplier 27"),
        (
            {"packing": 2, "To": 2, "multiplier_bits": 18},
            "packing: must be 1 for 8-bit .* got 2: .* 24 bits, .* multiplier 18",
        ),
        ({"multiplier_bits": 7}, "multiplier_bits"),
        ({"feed": "rows"}, "feed"),
        ({"feed": "channels", "cout": 15}, "feed: channels: .* at least the period 16, got 15 . 1"),
        ({"feed": "channels", "engine": "indexed"}, "feed: must be windows with engine: indexed, .* got channels"),
        ({"groups": 3}, "groups: must divide cin 20, got 3"),
        ({"groups": 5, "support": "dense"}, "groups: must divide cout 32, got 5"),
        ({"groups": 2}, "support: its period must divide cin / groups = 10, got 16 of PSD1_P16"),
        ({"groups": 4, "cin": 64}, "support: its period must divide cout / groups = 8, got 16 of PSD1_P16"),
        ({"groups": 2, "cin": 64, "To": 2}, "To: .* 32 must divide cout / groups, got To 2 with cout / groups 16"),
        ({"groups": 2, "cin": 64, "Tb": 3}, "Tb: must divide the ceil.cin / groups / period. = .* 2 blocks, got 3"),
        ({"groups": 16, "cin": 16}, "support: its period must be 1 in groups of one input channel, got 16 of PSD1_P16"),
        (DEPTHWISE | {"R": 17}, "R: must be 1 to cin = 16 in groups of one input channel, got 17"),
        (DEPTHWISE | {"Tb": 2}, "Tb: must be 1 in groups of one input channel, got 2; R is their number at once"),
        (DEPTHWISE | {"To": 3}, "To: must divide cout / groups = 2 in groups of one input channel, got 3"),
        (DEPTHWISE | {"feed": "channels"}, "feed: must be windows in groups of one input channel, got channels"),
        (DEPTHWISE | {"engine": "indexed"}, "engine: must be periodic in groups of one input channel, got indexed"),
        (DEPTHWISE | {"fold": 10}, "fold: must be 1 to N .* 9, got 10"),
        (DEPTHWISE | {"R": 4, "packing": 2}, "packing: must be 1 with To 1, R 4, .* got 2"),
        ({"lanes": True}, "lanes"),
        ({"lans": 24}, "lans: unknown key"),
        ({"padding": 3}, "padding: must be 0 to 2 with kernel 3, got 3"),
        ({"padding": [0, 0, 0, 3]}, r"padding: must be 0 to 2 with kernel 3, got \[0, 0, 0, 3\]"),
        ({"padding": [1, 1]}, r"padding: must be an integer of .*, or four, .* got \[1, 1\]"),
        ({"padding": [0, 1, 1, 1], "height": 1}, "height: must be at least 2 .*, got 1"),
        ({"largest": 96}, "largest: must be 0 to 127 with relu: true and out_bits 8, got 96"),
        ({"largest": 128, "relu": True}, "largest: must be 0 to 127 with relu: true .* got 128"),
        ({"padding": 0, "height": 2}, "height: must be at least 3 .*, got 2"),
        ({"padding": 0, "width": 2}, "width: must be at least 3 .*, got 2"),
        ({"height": -1}, "height"),
        ({"height": "5"}, "height"),
        ({"cin": 0}, "cin"),
        ({"cin": True}, "cin"),
        ({"stride": 0}, "stride"),
        ({"kernel": 2}, "support"),
        ({"kernel": 1, "padding": 0}, "dense"),
        ({"support": "PSD1_P0"}, "PSD1_P0"),
        ({"support": "pSC4"}, "unstructured"),
        ({"support": None}, "support"),
        ({"in_bits": 9}, "in_bits"),
        ({"weight_bits": 1}, "weight_bits"),
        ({"shift": 32}, "shift"),
        ({"acc_bits": 1}, "acc_bits"),
        ({"relu": 1}, "relu"),
    ],
)
def test_impossible_shapes(change: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        EngineShape(**{**BASE, **change})


def test_support_of_another_kernel() -> None:
    support = EngineShape(**BASE).support
    with pytest.raises(ConfigError, match="support: kernel must be 5, .* got 3"):
        EngineShape(**{**BASE, "kernel": 5, "support": support})


def test_refused_arrays() -> None:
    shape = EngineShape(**BASE, weight_bits=4, in_bits=4)
    weights = random_weights(1, shape)
    off = np.argwhere(~shape.support.mask(32, 20))[0]
    with pytest.raises(ConfigError, match="shape"):
        pack_weights(weights[:, :-1], shape)
    with pytest.raises(ConfigError, match="8 at"):
        pack_weights(np.where(weights == 7, 8, weights), shape)
    stray = weights.copy()
    stray[tuple(off)] = 1
    with pytest.raises(ConfigError, match="outside the support"):
        pack_weights(stray, shape)
    with pytest.raises(ConfigError, match="integers"):
        pack_weights(weights.astype(float), shape)
    with pytest.raises(ConfigError, match="bias"):
        pack_bias(np.full(32, 1 << 23), shape)
    with pytest.raises(ConfigError, match="8 at"):
        shape.in_words.pack(np.full((1, 20, 5, 7), 8), "input images")
    with pytest.raises(ConfigError, match="whole images"):
        shape.out_words.unpack(np.zeros((3, shape.out_beat_bytes), np.uint8), "output beats")


def test_damaged_rom_is_refused() -> None:
    shape = EngineShape(**BASE)
    words = pack_weights(random_weights(1, shape), shape)
    with pytest.raises(ConfigError, match="words"):
        unpack_weights(words[:-1], shape)
    with pytest.raises(ConfigError, match="words must fit"):
        unpack_weights([1 << shape.rom_word_bits, *words[1:]], shape)
    with pytest.raises(ConfigError, match="padding"):
        unpack_weights([*words[:-1], (1 << shape.rom_word_bits) - 1], shape)
    ragged = EngineShape(**{**BASE, "cin": 16, "cout": 31, "R": 2})
    words = pack_weights(random_weights(1, ragged), ragged)
    with pytest.raises(ConfigError, match="padding"):  # of an output channel that is none
        unpack_weights([*words[:-1], words[-1] | 1 << (ragged.rom_word_bits - 1)], ragged)


def test_padding_of_output_beats_must_be_zero() -> None:
    shape = EngineShape(**{**BASE, "cout": 5})
    beats = shape.out_words.pack(np.zeros((1, 5, 5, 7), int), "output images")
    beats[0, 5] = 1
    with pytest.raises(ConfigError, match="padding"):
        shape.out_words.unpack(beats, "output beats")


def test_padding_of_each_side_and_an_upper_bound() -> None:
    """A shape and what is written of it; without a bound of its own the largest output is that of its bits."""
    shape = EngineShape(**{**BASE, "padding": [0, 2, 1, 1], "relu": True, "largest": 96, "height": 5, "width": 7})
    assert (shape.hout, shape.wout, shape.pads, shape.limit) == (4, 8, (0, 2, 1, 1), 96)
    assert EngineShape(**shape.model_dump()) == shape and shape.model_dump()["padding"] == [0, 2, 1, 1]
    plain = EngineShape(**{**BASE, "padding": [1, 1, 1, 1]})
    assert plain == EngineShape(**{**BASE, "padding": 1}) and plain.padding == 1
    assert plain.limit == 127 and plain.largest is None
