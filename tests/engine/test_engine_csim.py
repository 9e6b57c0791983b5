"""The C++ engine, compiled and run, against the golden model; and its generated header."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psconv.common.places import CSIM, ENGINE
from psconv.flow import csim
from pymodel.common.errors import ConfigError
from pymodel.engine.cpp import engine_struct
from pymodel.engine.packing import EngineShape, pack_weights
from pymodel.engine.reference import conv_layer
from pymodel.network.formats import accumulator_bits
from pymodel.network.supports import BlockSupport, make_support
from pymodel.top import cpp as cpp
from pymodel.top.dataflow import single

CROSS = {"taps": [[1, 3, 4, 5, 7], [4], [0, 8]]}  # of unequal sizes, with a period that divides nothing


def make_layer(seed: int, images: int = 2, weights: str = "random", **changes: Any):
    """(shape, images, weights, bias) of a random layer; `weights` "least": every weight is -2**(bits - 1)."""
    layer = {
        "cin": 16,
        "cout": 16,
        "kernel": 3,
        "stride": 1,
        "padding": 1,
        "height": 4,
        "width": 5,
        "support": "PSD1_P16",
        "in_bits": 8,
        "weight_bits": 8,
        "out_bits": 8,
        "shift": 9,
        "relu": False,
        **changes,
    }
    rng = np.random.default_rng(seed)
    least = -(1 << (layer["weight_bits"] - 1))
    size = (layer["cout"], layer["cin"] // layer.get("groups", 1), layer["kernel"], layer["kernel"])
    values = np.full(size, least) if weights == "least" else rng.integers(least, -least, size)
    support = layer["support"]
    if not isinstance(support, BlockSupport):
        support = make_support(support, layer["kernel"])
    values = values * support.mask(*size[:2])
    bias = rng.integers(-2000, 2001, layer["cout"])
    shape = EngineShape(**layer, acc_bits=accumulator_bits(values, bias, layer["in_bits"]))
    low = -(1 << (shape.in_bits - 1))
    x = rng.integers(low, -low, (images, shape.cin, shape.height, shape.width))
    x[0].flat[:: max(1, x[0].size // 7)] = low  # the extreme that has no positive twin
    return shape, x, values, bias


VARIANTS = ("PSD2_P8", "PSD2_P16", "PS4_P4", "PS2_P6")

# Every feature in a few shapes, so that few programs are compiled.
FAST = {
    "papers": dict(cin=32, cout=32, height=5, width=7, images=3),
    "cin_not_multiple_of_p": dict(cin=20, cout=19, support="PSD4_P8", padding=0, relu=True, shift=8),
    "stride_2_fold_2_tb_2": dict(cin=64, cout=18, support="PS1_P9", Tb=2, fold=2, stride=2, height=7, width=6),
    "to_2_narrow": dict(cin=8, cout=16, support="PS4_P4", To=2, in_bits=3, weight_bits=2, out_bits=5, shift=2),
    "one_pixel_one_output": dict(cin=6, cout=1, support="PS2_P6", height=1, width=1, shift=0, weights="least"),
    "dense_fold_8": dict(cin=3, cout=5, support="dense", fold=8, in_bits=6, weight_bits=5, shift=12),
    "pointwise_stride_2": dict(cin=12, cout=8, kernel=1, padding=0, support="dense", Tb=4, To=2, stride=2, width=6),
    "least_weights_to_2_fold_3": dict(cin=32, cout=32, support="PSD4_P8", To=2, fold=3, weights="least", shift=14),
    "packing_2_of_to_4_fold_3": dict(cin=20, cout=32, support="PSD4_P8", To=4, packing=2, fold=3, stride=2),
    "packing_4_least_weights": dict(
        cin=7,
        cout=16,
        support="PS4_P4",
        To=4,
        packing=4,
        in_bits=4,
        weight_bits=4,
        out_bits=4,
        weights="least",
        shift=5,
    ),
}
# The engine with an index beside each weight: periodic supports, and random ones that only it can run.
FAST |= {
    "indexed_periodic": dict(cin=20, cout=19, engine="indexed", relu=True),
    "indexed_random": dict(cin=40, cout=6, engine="indexed", support=BlockSupport(3, 5, 7, 1), Tb=2, fold=3),
    "indexed_random_to_2": dict(cin=8, cout=16, engine="indexed", support=BlockSupport(3, 4, 9, 2), To=2, stride=2),
}
# The ring in memories, fed channel by channel: periods that are and are not powers of two, a set at work for as long as
# the next one takes to come and for longer, one set in all, blocks and outputs at once, folds.
FAST |= {
    "channels": dict(cin=40, cout=18, feed="channels", height=5, width=7, images=3),
    "channels_period_9": dict(cin=36, cout=18, support="PS1_P9", Tb=2, To=2, fold=3, stride=2, feed="channels"),
    "channels_one_set": dict(cin=6, cout=7, support="PS2_P6", height=1, width=1, feed="channels", images=3),
    "channels_packed": dict(cin=16, cout=32, To=2, packing=2, feed="channels", padding=0, relu=True),
}
# Several rotations: last steps that are padded, rings that stand still, beside all other degrees; without a ring.
FAST |= {
    "rotations": dict(cin=20, cout=18, R=4, relu=True),
    "rotations_to_2_packed": dict(
        cin=18, cout=36, support="PS1_P9", To=2, R=3, Tb=2, fold=2, packing=2, stride=2, relu=True
    ),
    "rotations_of_a_period": dict(cin=16, cout=16, support="PSD4_P8", R=8, Tb=2, fold=5),
    "rotations_channels": dict(cin=12, cout=11, support="PS4_P4", R=2, Tb=3, fold=2, feed="channels", images=3),
    "rotations_indexed": dict(cin=9, cout=7, engine="indexed", support=BlockSupport(3, 4, 9, 2), R=4, fold=2),
}
# Groups one after the other: with several block sets and steps, a ring in memories, folds, packed rotations, an index.
FAST |= {
    "groups": dict(cin=12, cout=18, groups=3, support="dense", To=2, Tb=2, fold=5, stride=2, height=7, relu=True),
    "groups_pointwise": dict(cin=12, cout=8, groups=2, kernel=1, padding=0, support="dense", Tb=3, To=2, stride=2),
    "groups_periodic": dict(cin=32, cout=32, groups=2, support="PS4_P4", To=2, R=2, Tb=2, Tx=2, width=6, packing=2),
    "groups_channels": dict(cin=36, cout=18, groups=2, support="PS1_P9", fold=2, feed="channels", images=3),
    "groups_channels_of_one_set": dict(cin=18, cout=27, groups=3, support="PS2_P3", feed="channels", Tb=2),
    "groups_indexed": dict(cin=20, cout=30, groups=5, engine="indexed", support=BlockSupport(3, 2, 7), fold=2),
}
# Channels of their own: all degrees, a short last round, one and several outputs of a channel, at once and in steps.
FAST |= {
    "depthwise": dict(cin=8, cout=8, groups=8, support="dense", R=4, relu=True, height=7, width=9),
    "depthwise_folded": dict(cin=7, cout=7, groups=7, support="dense", R=3, fold=2, stride=2, kernel=5, padding=2),
    "depthwise_pixels": dict(cin=5, cout=5, groups=5, support="dense", R=5, Tx=2, packing=2, width=6, images=3),
    "depthwise_pointwise": dict(cin=9, cout=9, groups=9, kernel=1, padding=0, support="dense", R=4, stride=2),
    "depthwise_cross": dict(cin=6, cout=6, groups=6, support={"taps": [[1, 3, 4, 5, 7]]}, R=2, fold=3, padding=2),
    "multiplied_at_once": dict(cin=5, cout=10, groups=5, support="dense", R=2, To=2, packing=2, shift=10),
    "multiplied_in_steps": dict(cin=5, cout=20, groups=5, support="dense", R=2, To=2, fold=4, Tx=2, width=4),
}
FAST_AMD = ("groups_channels", "rotations_to_2_packed", "indexed_random", "packing_2_of_to_4_fold_3")

SLOW = {
    **{f"variant_{name}": dict(support=name, cin=36, cout=33) for name in VARIANTS},
    **{f"bits_{bits}": dict(in_bits=bits, weight_bits=bits, out_bits=bits, shift=bits) for bits in range(2, 9)},
    **{f"padding_{padding}": dict(padding=padding, height=3, width=4) for padding in (0, 1, 2)},
    **{f"stride_{stride}": dict(stride=stride, height=9, width=8, cin=5) for stride in (3, 4)},
    "stride_beyond_the_image": dict(stride=7, height=5, width=5),
    "stride_leaves_rows_over": dict(stride=2, padding=0, height=6, width=8),
    "one_column": dict(height=9, width=1),
    "one_row": dict(height=1, width=9, padding=2),
    "kernel_5": dict(kernel=5, padding=2, support="dense", cin=2, cout=3, height=6, width=5, stride=2),
    "kernel_5_periodic": dict(kernel=5, padding=2, support={"taps": [[0, 12, 24], [4, 20]]}, cin=5, cout=3),
    "custom": dict(support=CROSS, cin=7, cout=9, To=3, fold=4),
    "to_p_outputs": dict(support="PS1_P9", cin=9, cout=36, To=4, fold=9),
    "fully_folded": dict(support="PSD1_P16", cin=32, cout=3, Tb=2, fold=48),
    "dense_parallel": dict(support="dense", cin=8, cout=6, Tb=4, To=3, relu=True),
    "all_blocks_at_once": dict(support="PS4_P4", cin=15, cout=8, Tb=4, To=2),
    "fully_connected": dict(kernel=1, padding=0, support="dense", height=1, width=1, cin=30, cout=10, Tb=6),
    "pointwise": dict(kernel=1, padding=0, support="dense", cin=5, cout=7, stride=3, height=8, width=7),
    "wide_window": dict(support="PSD1_P16", cin=64, cout=4, Tb=4, height=3, width=3),
    "longest_shift": dict(cin=3, cout=2, support="PS4_P4", shift=31),
    "packing_2_least_weights": dict(cin=40, cout=32, To=2, packing=2, weights="least", shift=14),
    "packing_2_two_blocks": dict(cin=64, cout=36, support="PS1_P9", To=2, Tb=2, packing=2, fold=2, relu=True),
    "packing_at_least_spacing": dict(cin=20, cout=32, support="PSD4_P8", To=2, packing=2, multiplier_bits=24),
    "packing_in_18_bits": dict(cin=9, cout=48, support="PSD2_P8", To=6, packing=2, weight_bits=4, multiplier_bits=18),
    "packing_9": dict(cin=5, cout=36, support="PS4_P4", To=9, packing=9, in_bits=2, weight_bits=2, shift=2),
    "packing_9_pointwise": dict(
        kernel=1,
        padding=0,
        support="dense",
        cin=14,
        cout=18,
        Tb=7,
        To=18,
        packing=9,
        in_bits=2,
        weight_bits=2,
        out_bits=3,
        shift=1,
        weights="least",
    ),
    "packing_5": dict(cin=7, cout=15, support=CROSS, To=5, packing=5, in_bits=3, weight_bits=3, out_bits=4, shift=2),
    "packing_3_of_8_and_2": dict(cin=4, cout=12, support="PS4_P4", To=3, packing=3, in_bits=2, shift=5),
    "packing_2_of_2_and_8": dict(cin=4, cout=8, support="PS4_P4", To=2, packing=2, weight_bits=2, weights="least"),
    "packing_dense_fold_8": dict(cin=3, cout=4, support="dense", To=4, fold=8, packing=4, in_bits=4, weight_bits=4),
    "channels_kernel_5": dict(
        kernel=5, padding=2, support={"taps": [[0, 12, 24], [4, 20], [7]]}, cin=7, cout=5, in_bits=5, feed="channels"
    ),
    "channels_fold_of_few_outputs": dict(cin=32, cout=3, fold=6, Tb=2, feed="channels", padding=2),
    "channels_stride_3": dict(support="PSD4_P8", cin=9, cout=9, stride=3, height=8, width=7, feed="channels"),
    "channels_dense": dict(support="dense", cin=3, cout=2, feed="channels"),
    "rotations_2_of_p16": dict(cin=32, cout=33, R=2, Tb=2, fold=7, weights="least", shift=14),
    "rotations_of_p16": dict(cin=16, cout=5, R=16, padding=0),
    "rotations_custom": dict(support=CROSS, cin=7, cout=9, To=3, R=3, fold=4),
    "rotations_packing_4": dict(
        cin=7, cout=16, support="PS4_P4", To=4, R=2, packing=4, in_bits=4, weight_bits=4, out_bits=4, shift=5
    ),
    "rotations_channels_of_a_period": dict(cin=8, cout=16, support="PS4_P4", R=4, feed="channels", stride=2),
    "rotations_channels_packed": dict(cin=16, cout=32, support="PSD4_P8", To=2, R=2, packing=2, feed="channels"),
    "no_shift": dict(support="PS1_P9", cin=4, cout=4, weight_bits=2, in_bits=2, shift=0),
}


def check(name: str, case: dict[str, Any], compiler: csim.Compiler, standard: str = "c++14") -> None:
    if compiler == "amd" and csim.amd_include() is None:
        pytest.skip("AMD's ap_types (hls4ml) are not installed")
    shape, images, weights, bias = make_layer(sum(map(ord, name)), **case)
    expected = conv_layer(images, weights, bias, shape)
    # Not all saturated, not all zero: the case says something.
    assert len(np.unique(expected)) > 1 or expected.size == 1 or shape.shift == 31
    np.testing.assert_array_equal(
        csim.simulate(single("layer", shape, weights, bias), images, compiler, standard), expected
    )


@pytest.mark.parametrize("name", FAST)
def test_engine_is_the_golden_model(name: str) -> None:
    check(name, FAST[name], "clang")


@pytest.mark.parametrize("name", FAST_AMD)
def test_engine_with_amds_headers(name: str) -> None:
    check(name, FAST[name], "amd")


SCALED = {
    "to_2": dict(cin=8, cout=16, support="PS4_P4", To=2, shift=22),
    "short_last_group": dict(cin=9, cout=19, support="PSD4_P8", relu=True, shift=21),
    "rotations": dict(cin=9, cout=7, support="PS4_P4", R=4, shift=21),
    "widest": dict(cin=32, cout=3, support="dense", kernel=1, padding=0, weights="least", shift=27),
}


def scales_of(shape: EngineShape) -> tuple[EngineShape, np.ndarray]:
    """The shape for 16-bit scales, and such scales, the largest possible among them."""
    scales = np.random.default_rng(shape.cout).integers(1, 1 << 16, shape.cout)
    scales[-1] = (1 << 16) - 1
    return shape.model_copy(update={"scale_bits": 16}), scales


@pytest.mark.parametrize(("name", "compiler"), [*((name, "clang") for name in SCALED), ("to_2", "amd")])
def test_scales_are_the_golden_models(name: str, compiler: csim.Compiler) -> None:
    if compiler == "amd" and csim.amd_include() is None:
        pytest.skip("AMD's ap_types (hls4ml) are not installed")
    shape, images, weights, bias = make_layer(sum(map(ord, name)), **SCALED[name])
    plain = conv_layer(images, weights, bias, shape)
    shape, scales = scales_of(shape)
    expected = conv_layer(images, weights, bias, shape, scales)
    assert len(np.unique(expected)) > 20 and not np.array_equal(expected, plain)
    result = csim.simulate(single("layer", shape, weights, bias, scales), images, compiler)
    np.testing.assert_array_equal(result, expected)


def test_scales_of_one_are_no_scales() -> None:
    shape, images, weights, bias = make_layer(4, cin=4, cout=8, support="PS4_P4")
    ones = np.ones(shape.cout, np.uint16)
    expected = conv_layer(images, weights, bias, shape)
    shape = shape.model_copy(update={"scale_bits": 1})
    np.testing.assert_array_equal(conv_layer(images, weights, bias, shape, ones), expected)
    np.testing.assert_array_equal(csim.simulate(single("layer", shape, weights, bias, ones), images), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SCALED) - {"to_2"}))
def test_more_scales_with_amds_headers(name: str) -> None:
    test_scales_are_the_golden_models(name, "amd")


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("compiler", ["clang", "amd"])
def test_more_shapes(name: str, compiler: csim.Compiler) -> None:
    check(name, SLOW[name], compiler)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(FAST) - set(FAST_AMD)))
def test_more_shapes_with_amds_headers(name: str) -> None:
    check(name, FAST[name], "amd")


@pytest.mark.slow
@pytest.mark.parametrize("standard", ["c++17", "c++20"])
@pytest.mark.parametrize("compiler", ["clang", "amd"])
def test_later_standards(compiler: csim.Compiler, standard: str) -> None:
    check("papers", FAST["papers"], compiler, standard)


def random_layer(seed: int) -> dict[str, Any]:
    """A small layer of any degrees of parallelism that go together, with more than one rotation."""
    rng = np.random.default_rng(seed)

    def one_of(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    while True:
        support = one_of("PSD1_P16", "PS1_P9", "PSD4_P8", "PS2_P6", "PS4_P4", "PSD2_P3", CROSS)
        period, To, Tb = make_support(support, 3).period, one_of(1, 1, 2, 3), one_of(1, 2)
        layer = {
            "support": support,
            "cin": period * Tb * one_of(1, 2) - (one_of(0, 1) if Tb == 1 else 0),
            "cout": period * To if To > 1 else int(rng.integers(1, 2 * period + 2)),
            "To": To,
            "R": one_of(*[n for n in range(2, period + 1) if period % n == 0]),
            "Tb": Tb,
            "fold": one_of(1, 2, 3, 5),
            "packing": one_of(1, 2, To),
            "feed": one_of("windows", "channels"),
            "engine": one_of("periodic", "periodic", "indexed"),
            "stride": one_of(1, 2),
            "padding": one_of(0, 1, 2),
            "relu": bool(rng.integers(2)),
            **{bits: int(rng.integers(3, 9)) for bits in ("in_bits", "weight_bits", "out_bits")},
        }
        try:
            shape, *_ = make_layer(seed, **layer)
        except ConfigError:
            continue
        if shape.lanes <= 400:
            # A shift that leaves numbers of many sizes.
            return layer | {"shift": max(0, shape.acc_bits - shape.out_bits - 1)}


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 30))])
def test_random_engines_with_rotations(seed: int) -> None:
    check(f"random {seed}", random_layer(seed), "clang")


def struct(shape: EngineShape, weights: np.ndarray, bias: np.ndarray, scales: np.ndarray | None = None) -> str:
    """C++ text of the engine's configuration."""
    return engine_struct("Config", shape, weights, bias, scales)


@pytest.fixture
def layer():
    return make_layer(1)


def test_header_is_deterministic_and_complete(layer) -> None:
    shape, _, weights, bias = layer
    text = struct(shape, weights, bias)
    assert text == struct(shape, weights.astype(np.int8), bias.astype(np.int32))
    words = re.findall(r"PSCONV_ROM_WORD\(0x([0-9a-f]+)\)", text)
    assert [int(word, 16) for word in words[: shape.rom_words]] == pack_weights(weights, shape)
    assert len(words) == shape.rom_words + shape.steps
    members = re.findall(r"static constexpr (?:int|bool) (\w+) = \w+;  // (.+)", text)
    assert len(members) == text.count("static constexpr") and "ACC_BITS" in dict(members)
    assert max(map(len, text.splitlines())) <= 120


def test_header_has_scales_where_the_shape_does(layer) -> None:
    shape, _, weights, bias = layer
    assert "SCALE_ROM" not in struct(shape, weights, bias)
    scaled, scales = scales_of(shape)
    text = struct(scaled, weights, bias, scales)
    words = [int(word, 16) for word in re.findall(r"PSCONV_ROM_WORD\(0x([0-9a-f]+)\)", text)]
    assert words[-shape.steps :] == scales[shape.step_outputs[:, 0]].tolist() and shape.To == 1
    for arguments in ((shape, weights, bias, scales), (scaled, weights, bias)):
        with pytest.raises(ConfigError, match="scale_bits"):
            struct(*arguments)


def test_header_refuses_what_the_engine_could_not_compute(layer) -> None:
    shape, _, weights, bias = layer
    with pytest.raises(ConfigError, match="outside the support"):
        struct(shape, np.ones_like(weights), bias)
    narrow = shape.model_copy(update={"acc_bits": shape.acc_bits - 1})
    with pytest.raises(ConfigError, match="accumulator"):
        struct(narrow, weights, bias)


def test_sources_are_written_at_once(layer, tmp_path: Path) -> None:
    shape, _, weights, bias = layer
    folder, dataflow = tmp_path / "synth" / "conv2", single("conv2", shape, weights, bias)
    cpp.write(folder, dataflow, "layer conv2")
    texts = cpp.render(dataflow, "layer conv2")
    assert {path.name: path.read_text() for path in folder.iterdir()} == texts
    with pytest.raises(ConfigError):
        cpp.write(folder, single("conv2", shape, np.ones_like(weights), bias), "layer conv2")
    assert {path.name: path.read_text() for path in folder.iterdir()} == texts


def test_errors_carry_the_compilers_and_the_programs_words(layer, tmp_path: Path) -> None:
    shape, images, weights, bias = layer
    with pytest.raises(ConfigError, match=cpp.SOURCE):
        csim.build(tmp_path)
    with pytest.raises(ConfigError, match="compiler: must be one of clang, amd, amd_clang, got 'gcc'"):
        csim.simulate(single("layer", shape, weights, bias), images, "gcc")
    (tmp_path / cpp.HEADER).write_text("#error no such layer\n")
    (tmp_path / cpp.SOURCE).write_text("")
    with pytest.raises(ConfigError, match="no such layer"):
        csim.build(tmp_path)
    with pytest.raises(ConfigError, match="cannot be started"):
        csim.run(tmp_path / "missing", images, shape.in_words, shape.out_words)


def test_program_refuses_input_of_another_shape(tmp_path: Path) -> None:
    shape, images, weights, bias = make_layer(2, cin=4, cout=4, support="PS4_P4")
    cpp.write(tmp_path, single("layer", shape, weights, bias), "a layer")
    program = csim.build(tmp_path)
    np.testing.assert_array_equal(
        csim.run(program, images, shape.in_words, shape.out_words), conv_layer(images, weights, bias, shape)
    )
    taller = shape.model_copy(update={"height": shape.height + 1})
    with pytest.raises(ConfigError, match="not a whole number of images"):
        csim.run(program, np.zeros((1, 4, taller.height, taller.width), int), taller.in_words, taller.out_words)
    assert csim.run(program, images[:0], shape.in_words, shape.out_words).shape == (0, 4, shape.hout, shape.wout)


def test_sources_are_plain_cpp14_of_bounded_width() -> None:
    assert shutil.which("g++") is not None
    for path in [*ENGINE.rglob("*.?pp"), *CSIM.rglob("*.*")]:
        text = path.read_text()
        assert text.startswith("// SPDX-License-Identifier: Apache-2.0\n"), path
        assert max(map(len, text.splitlines())) <= 120, path
        assert "if constexpr" not in text, path
