"""The compiled kernel against numpy and onnxruntime: every instruction set of this processor, and life without it."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pymodel.common import compiled
from pymodel.common.compiled import Native
from pymodel.common.errors import ConfigError
from pymodel.golden import model as golden
from pymodel.golden import ops
from pymodel.golden.native import convolution
from pymodel.golden.native.build import KERNEL
from pymodel.golden.native.plan import Plan, group_channels, make_plan, plan_of
from pymodel.network import random_bundle as generate
from pymodel.network.bundle import Bundle
from pymodel.network.formats import Format, Rounding, requantise
from pymodel.network.supports import PAPER_VARIANTS, Support, make_support
from pymodel.network.topology import Network
from pymodel.network.zoo import digits, make_network
from tests.helpers.golden import EVERY_OP, conv_by_onnxruntime, random_bundle, random_images

NATIVES = [Native(KERNEL.load(), number) for number in KERNEL.supported()]
SETS = [KERNEL.instruction_sets[native.instruction_set] for native in NATIVES]


def test_this_processor_runs_the_plain_kernel_and_the_best_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SETS[0] == "plain"
    monkeypatch.delenv(KERNEL.switch, raising=False)
    assert KERNEL.describe() == SETS[-1]


def test_the_instruction_sets_are_those_that_the_system_reports() -> None:
    flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[1].splitlines()[0].split()
    assert ("avx2" in SETS) == ("avx2" in flags)
    wanted = {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"}
    assert ("avx512vnni" in SETS) == (wanted <= set(flags))


# Convolutions


def random_layer(
    rng: np.random.Generator, support: str | dict, kernel: int, cout: int, cin: int, weight_bits: int, extreme: bool
) -> tuple[np.ndarray, np.ndarray, int]:
    """Weights int8 [cout, cin, K, K] of a support, its mask and its period."""
    made = make_support(support, kernel, seed=int(rng.integers(1 << 30)))
    low, high = -(1 << (weight_bits - 1)), 1 << (weight_bits - 1)
    shape = (cout, cin, kernel, kernel)
    values = np.full(shape, low) if extreme else rng.integers(low, high, shape)
    mask = made.mask(cout, cin)
    return (values * mask).astype(np.int8), mask, made.period if isinstance(made, Support) else 1


@pytest.mark.parametrize("native", NATIVES, ids=SETS)
@settings(deadline=None, max_examples=120)
@given(
    st.sampled_from([*PAPER_VARIANTS, {"taps": [[0, 8], [4], [1, 2, 3]]}, "PS1_P5", "1x1"]),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(1, 40),
    st.sampled_from([1, 2, 5]),
    st.integers(2, 8),
    st.integers(0, 2**32),
)
@example("PSD1_P16", 33, 35, 1, 1, 1, 1, 1, 1, 8, 0)
@example("dense", 5, 4, 9, 7, 2, 1, 35, 2, 8, 1)  # threads with unequal parts
@example("PSD1_P8", 16, 8, 2, 7, 1, 1, 150, 7, 8, 1)  # two parts of the rows, three of the images
@example("1x1", 4, 3, 6, 6, 2, 0, 17, 2, 8, 2)
def test_convolution_equals_numpy(
    native: Native,
    support: str | dict,
    cout: int,
    cin: int,
    height: int,
    width: int,
    stride: int,
    padding: int,
    count: int,
    threads: int,
    weight_bits: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    kernel = 1 if support == "1x1" else 3
    padding = min(padding, kernel - 1)
    height, width = (max(size, kernel - 2 * padding) for size in (height, width))
    weights, mask, period = random_layer(
        rng, "dense" if kernel == 1 else support, kernel, cout, cin, weight_bits, extreme=seed % 5 == 0
    )
    images = rng.integers(-128, 128, (count, cin, height, width)).astype(np.int8)
    if seed % 3 == 0:
        images[:] = -128
    bias = rng.integers(-5000, 5000, cout).astype(np.int32)
    scales = rng.integers(1, 1 << 16, cout).astype(np.uint16) if seed % 2 else None
    shift, bits, relu = int(rng.integers(0, 32 if seed % 2 else 16)), int(rng.integers(2, 9)), bool(rng.integers(2))
    sums = ops.conv2d(images, weights, bias, stride, padding)
    rounding: Rounding = "half_even" if seed % 7 < 3 else "half_up"
    factors = None if scales is None else scales[:, None, None]
    expected = requantise(sums, shift, bits, relu, factors, rounding=rounding)
    saturation = (0 if relu else -(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    plan = make_plan(weights, mask, period, convolution.group_size(native))
    result = convolution.convolve(
        native, plan, images, bias, scales, stride, padding, shift, saturation, threads, rounding
    )
    assert result.dtype == np.int8 and np.array_equal(result, expected)


@pytest.mark.parametrize("native", NATIVES, ids=SETS)
@pytest.mark.parametrize("padding", [(0, 0, 1, 1), (2, 1, 0, 3), (0, 3, 3, 0)])
@pytest.mark.parametrize(("kernel", "stride", "count"), [(4, 1, 20), (4, 2, 3), (4, 3, 17)])
def test_even_kernels_with_other_padding_on_each_side(
    native: Native, kernel: int, stride: int, count: int, padding: tuple[int, int, int, int]
) -> None:
    rng = np.random.default_rng(kernel)
    weights, mask, period = random_layer(rng, "dense", kernel, 7, 5, 8, extreme=False)
    images = rng.integers(-128, 128, (count, 5, 6, 5)).astype(np.int8)
    expected = requantise(ops.conv2d(images, weights, None, stride, padding), 9, 8, True, None, 100)
    plan = make_plan(weights, mask, period, convolution.group_size(native))
    none = np.zeros(7, np.int32)
    result = convolution.convolve(native, plan, images, none, None, stride, padding, 9, (0, 100), 2)
    assert np.array_equal(result, expected)
    top, left, bottom, right = padding
    wide = np.pad(images, [(0, 0), (0, 0), (top, bottom), (left, right)])
    assert np.array_equal(result, requantise(ops.conv2d(wide, weights, None, stride), 9, 8, True, None, 100))


@pytest.mark.parametrize("native", NATIVES, ids=SETS)
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_exact_sums_equal_onnxruntime(native: Native, kernel: int) -> None:
    """Where a sum lies among the sums that occur: saturated to -1..0 after a threshold is taken off."""
    rng = np.random.default_rng(kernel)
    images = rng.choice([-128, -127, 127], (3, 70, 6, 5)).astype(np.int8)
    weights = rng.choice([-128, -127, 127], (9, 70, kernel, kernel)).astype(np.int8)
    weights[0], images[0] = -128, -128  # the largest sum
    padding = kernel // 2
    sums = conv_by_onnxruntime(images, weights, 1, padding, 1)
    assert sums.max() == 128 * 128 * 70 * kernel**2
    plan = make_plan(weights, np.ones_like(weights, bool), 1, convolution.group_size(native))
    for threshold in (*np.unique(sums)[:: max(1, len(np.unique(sums)) // 50)].tolist(), 0):
        bias = np.full(9, -threshold, np.int32)
        result = convolution.convolve(native, plan, images, bias, None, 1, padding, 0, (-1, 0))
        assert np.array_equal(result, np.where(sums < threshold, -1, 0))


@pytest.mark.parametrize("native", NATIVES, ids=SETS)
def test_sums_at_the_end_of_32_bits(native: Native) -> None:
    """The largest sum that `plan_of` accepts, with the half unit that rounds it, both ways."""
    for shift in (0, 1, 22, 31):
        half = 1 << shift >> 1
        weights, images = np.full((1, 1, 1, 1), 1, np.int8), np.zeros((1, 1, 1, 1), np.int8)
        plan = make_plan(weights, np.ones_like(weights, bool), 1, convolution.group_size(native))
        for bias in ((1 << 31) - 1 - half, -(1 << 31) + 1 + half):
            exact = requantise(np.array([bias]), shift, 8, False)
            result = convolution.convolve(native, plan, images, np.array([bias]), None, 1, 0, shift, (-128, 127))
            assert result.item() == exact.item()


@pytest.mark.parametrize("native", NATIVES, ids=SETS)
def test_images_wider_than_the_cache(native: Native) -> None:
    """One image at a time, whose rows alone exceed the packed rows that the kernel likes to hold."""
    rng = np.random.default_rng(0)
    weights, mask, period = random_layer(rng, "PSD1_P8", 3, 9, 64, 8, extreme=False)
    images = rng.integers(-128, 128, (2, 64, 5, 1500)).astype(np.int8)
    expected = requantise(ops.conv2d(images, weights, None, 2, 1), 7, 8, False)
    result = convolution.convolve(
        native,
        make_plan(weights, mask, period, convolution.group_size(native)),
        images,
        np.zeros(9),
        None,
        2,
        1,
        7,
        (-128, 127),
    )
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("native", NATIVES, ids=SETS)
@settings(deadline=None, max_examples=60)
@given(st.integers(0, 22), st.integers(0, 22), st.integers(0, 22), st.booleans(), st.integers(2, 8), st.integers(0, 99))
@example(22, 22, 22, False, 8, 0)
def test_addition_equals_numpy(
    native: Native, left: int, right: int, shift: int, relu: bool, bits: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    one, two = (rng.choice([-128, 127, 3, -1], (seed % 7, 3, 5, 4)).astype(np.int8) for _ in range(2))
    rounding: Rounding = "half_even" if seed % 2 else "half_up"
    expected = requantise((one.astype(int) << left) + (two.astype(int) << right), shift, bits, relu, rounding=rounding)
    saturation = (0 if relu else -(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    assert np.array_equal(convolution.add(native, one, two, (left, right, shift), saturation, 1, rounding), expected)


@pytest.mark.parametrize("native", NATIVES, ids=SETS)
def test_threads_add_all_there_is(native: Native) -> None:
    one, two = np.random.default_rng(0).integers(-128, 128, (2, 9, 3, 85, 87)).astype(np.int8)  # four parts, one short
    expected = np.clip(one.astype(int) + two, -128, 127)
    for threads in (1, 2, 5):
        assert np.array_equal(convolution.add(native, one, two, (0, 0, 0), (-128, 127), threads), expected)


def test_parts_are_whole_and_begin_at_grains() -> None:
    for count, grain, most in itertools.product((0, 1, 7, 64, 150), (1, 4, 64), (1, 2, 3, 9)):
        parts = convolution.parts_of(count, grain, most)
        assert parts[0][0] == 0 and parts[-1][1] == count and len(parts) <= most
        assert all(a[1] == b[0] and b[0] % grain == 0 and b[0] < b[1] for a, b in itertools.pairwise(parts))


# Plans


@settings(deadline=None)
@given(st.integers(1, 80), st.integers(1, 40), st.sampled_from([2, 4]))
def test_each_channel_is_in_one_group(count: int, period: int, size: int) -> None:
    channels = group_channels(count, period, size)
    assert sorted(channels[channels >= 0]) == list(range(count))
    assert len(channels) == -(-count // size) and (channels[:, 0] >= 0).all()
    alike = (channels % period == channels[:, :1] % period).all(axis=1) & (channels >= 0).all(axis=1)
    assert alike.sum() >= sum(len(range(residue, count, period)) // size for residue in range(period))


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize(("name", "places"), [("PSD1_P16", 24), ("PSD4_P8", 37), ("PS1_P9", 9), ("dense", 9)])
def test_structure_leaves_no_multiplications_by_zero(name: str, places: int, size: int) -> None:
    """N places a period, as in hardware: whole periods, so all channels of a group have their taps in common."""
    support = Support.parse(name, 3)
    count = size * support.period
    mask = support.mask(count, count)
    plan = make_plan(mask.astype(np.int8), mask, support.period, size)
    assert set(plan.tiles["taps"]) == {places}
    assert plan.weights.sum() == plan.weights.size == mask.sum() and plan.tiles["outputs"].sum() == count


# In the golden model


def outputs_by(
    bundle: Bundle, images: np.ndarray, switch: str, monkeypatch: pytest.MonkeyPatch, threads: int | None = None
) -> dict[str, np.ndarray]:
    monkeypatch.setenv(KERNEL.switch, switch)
    return golden.run(bundle, images, threads=threads)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("switch", SETS)
def test_networks_equal_numpy(switch: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = random_bundle(Network(**yaml.safe_load(EVERY_OP)), seed)
    if seed % 2:
        bundle = replace(bundle, rounding="half_even")
    images = random_images(bundle, 37, seed)
    expected = outputs_by(bundle, images, "off", monkeypatch)
    called = []
    monkeypatch.setattr(golden, "convolve", lambda *args: called.append(1) or convolution.convolve(*args))
    for threads in (1, 2, 3):
        result = outputs_by(bundle, images, switch, monkeypatch, threads)
        assert all(np.array_equal(result[name], expected[name]) for name in expected) and len(result) == len(expected)
    assert len(called) == 3 * sum(layer.op == "conv" for layer in bundle.network.layers)


@pytest.mark.parametrize("name", ["mobilenet_v2", "shufflenet", "resnet18"])
def test_networks_of_the_papers_equal_numpy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = generate.random_bundle(make_network(name, "cifar10", "pSC2" if name == "resnet18" else "dense"), 0)
    images = random_images(bundle, 1, 0)
    result, expected = (outputs_by(bundle, images, switch, monkeypatch) for switch in (SETS[-1], "off"))
    assert all(np.array_equal(result[layer], expected[layer]) for layer in expected)


def test_no_images() -> None:
    bundle = random_bundle(digits("PSD1_P16").folded(), 1)
    assert golden.run(bundle, random_images(bundle, 0, 0))["fc"].shape == (0, 10, 1, 1)


def test_sums_beyond_32_bits_are_left_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = {"op": "conv", "name": "c", "input": "input", "out_channels": 1, "kernel": 1}
    network = Network(name="one", input={"channels": 1, "height": 1, "width": 1}, output="c", layers=[conv])
    form = Format(8, 0)
    for bias, accepted in ((2**31 - 1 - 256, True), (2**31 - 256, False)):  # 2 * 128 is the rest of the bound
        bundle = Bundle(
            network,
            {"input": form, "c": form},
            {"c": form},
            {"c": np.full((1, 1, 1, 1), 2, np.int8)},
            {"c": np.array([bias], np.int32)},
        )
        assert (plan_of(bundle, bundle.network.layer("c"), 2) is not None) == accepted
        assert outputs_by(bundle, np.full((1, 1, 1, 1), 127), SETS[-1], monkeypatch)["c"].item() == 127


def test_a_plan_lives_as_long_as_its_bundle_and_its_weights_stay() -> None:
    bundle = random_bundle(digits().folded(), 1)
    layer = bundle.network.weighted_layers()[0]
    plan = plan_of(bundle, layer, 2)
    assert isinstance(plan, Plan) and plan_of(bundle, layer, 2) is plan
    with pytest.raises(ValueError, match="read-only"):
        bundle.weights[layer.name][0] = 1
    gone = weakref.ref(plan)
    del plan, bundle
    gc.collect()
    assert gone() is None


# Building


def test_what_computes_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for switch in SETS:
        monkeypatch.setenv(KERNEL.switch, switch)
        assert KERNEL.describe() == switch
    monkeypatch.setenv(KERNEL.switch, "off")
    assert KERNEL.describe() == "numpy (PSCONV_NATIVE=off)" and KERNEL.chosen() is None
    monkeypatch.setenv(KERNEL.switch, "sse9")
    with pytest.raises(ConfigError, match="PSCONV_NATIVE: must be off or one of .*avx2.*, got 'sse9'"):
        KERNEL.chosen()
    if missing := set(KERNEL.instruction_sets) - set(SETS):
        monkeypatch.setenv(KERNEL.switch, missing.pop())
        with pytest.raises(ConfigError, match="must be an instruction set of this processor, got"):
            KERNEL.chosen()


def test_the_library_is_built_once(tmp_path: Path) -> None:
    made = compiled.build(tmp_path, KERNEL.sources)
    assert compiled.build(tmp_path, KERNEL.sources, ()) == made  # found: no compiler is asked for
    assert [path.name for path in tmp_path.iterdir()] == [made.name]  # nothing else is left


@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")
def test_gcc_builds_it_too_without_a_warning(tmp_path: Path) -> None:
    made = compiled.build(
        tmp_path, KERNEL.sources, compilers=(("false",), ("no-such-compiler",), ("g++", "-Wall", "-Wextra", "-Werror"))
    )
    script = (
        "from pathlib import Path\n"
        "from pymodel.common import compiled\nfrom pymodel.golden.native.build import KERNEL\n"
        f"compiled.build = lambda folder, sources: Path({str(made)!r})\n"
        "print(KERNEL.describe())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, KERNEL.switch: ""},
    )
    assert done.stdout.strip() == SETS[-1]


@pytest.mark.parametrize("broken", ["no compiler", "no folder", "a damaged library"])
def test_numpy_computes_where_there_is_no_kernel(broken: str, tmp_path: Path) -> None:
    """A process of its own, whose cache is of no use."""
    cache = tmp_path / "cache"
    if broken == "no folder":
        cache.write_text("a file")
    if broken == "a damaged library":
        compiled.build(cache / "psconv", KERNEL.sources).write_bytes(b"damaged")
    no_compiler = "compiled.build.__defaults__ = ((('false',),),)" if broken == "no compiler" else ""
    script = (
        "from pymodel.common import compiled\nfrom pymodel.golden.native.build import KERNEL\n"
        + no_compiler
        + "\nimport numpy as np\nfrom pymodel.golden import model as golden\n"
        "from pymodel.network.random_bundle import random_bundle\n"
        "from pymodel.network.zoo import digits\nbundle = random_bundle(digits(), 0)\n"
        "print(golden.run(bundle, np.ones((1, 1, 8, 8), int))['fc'].shape, KERNEL.describe())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), KERNEL.switch: ""},
    )
    assert done.stdout.startswith("(1, 10, 1, 1) numpy (")
