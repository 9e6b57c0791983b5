"""Each header of hls/engine that does something by itself, compiled alone and compared with a plain definition."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.engine.programs import configuration, run_header

BITS = 5


def drawn(*shape: int, bits: int = BITS) -> np.ndarray:
    """Signed numbers of `bits` bits with both extremes among them, the same in every run."""
    numbers = np.random.default_rng(sum(shape)).integers(-(1 << (bits - 1)), 1 << (bits - 1), shape)
    numbers.flat[0], numbers.flat[-1] = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return numbers


@dataclass(frozen=True)
class Feeder:
    """An image of height x width pixels, `sets` words of `channels` each, of which `pieces` parts are moved."""

    height: int
    width: int
    channels: int = 2
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    sets: int = 1
    pieces: int = 1

    @property
    def out_height(self) -> int:
        return (self.height + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def out_width(self) -> int:
        return (self.width + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def config(self) -> dict[str, int]:
        return {
            "KERNEL": self.kernel,
            "STRIDE": self.stride,
            "PADDING": self.padding,
            "HEIGHT": self.height,
            "WIDTH": self.width,
            "OUT_HEIGHT": self.out_height,
            "OUT_WIDTH": self.out_width,
            "CHANNELS": self.channels,
            "BLOCK_SETS": self.sets,
            "PIECES": self.pieces,
            "IN_BITS": BITS,
            "WINDOW_DEPTH": 2,
            "COLUMN_DEPTH": 2,
        }

    def image(self) -> np.ndarray:
        """int [height, width, sets, channels], as the beats come."""
        return drawn(self.height, self.width, self.sets, self.channels)

    def padded(self, image: np.ndarray) -> np.ndarray:
        """The image in its zeros, by pieces: [rows, columns, sets, pieces, channels of a piece]; piece p has each
        `pieces`-th channel from p on."""
        pieces = image.reshape(self.height, self.width, self.sets, -1, self.pieces).swapaxes(3, 4)
        return np.pad(pieces, [(self.padding,) * 2] * 2 + [(0, 0)] * 3)

    def columns(self, image: np.ndarray) -> list[list[int]]:
        """The columns of the image for each output row, each from the top down."""
        padded = self.padded(image)[:, self.padding : self.padding + self.width]
        return [
            padded[row * self.stride : row * self.stride + self.kernel, x, b, p].ravel().tolist()
            for row, x, b, p in itertools.product(
                range(self.out_height), range(self.width), range(self.sets), range(self.pieces)
            )
        ]

    def windows(self, image: np.ndarray) -> list[list[int]]:
        """The window of each output pixel, column by column from the left."""
        padded = self.padded(image)
        made = []
        for row, column in itertools.product(range(self.out_height), range(self.out_width)):
            top, left = row * self.stride, column * self.stride
            window = padded[top : top + self.kernel, left : left + self.kernel].swapaxes(0, 1)
            made += [
                window[:, :, b, p].ravel().tolist() for b, p in itertools.product(range(self.sets), range(self.pieces))
            ]
        return made


FEEDERS = {
    "plain": Feeder(4, 5),
    "stride 2, two sets": Feeder(5, 6, stride=2, sets=2),
    "no padding": Feeder(4, 3, padding=0),
    "channel by channel": Feeder(3, 4, channels=4, sets=2, pieces=2),
    "one row, one column": Feeder(1, 1),
    "2x2": Feeder(4, 4, kernel=2, stride=2, padding=0),
}


@pytest.mark.parametrize("name", FEEDERS)
def test_columns(name: str) -> None:
    feeder = FEEDERS[name]
    image = feeder.image()
    assert run_header("columns", configuration(feeder.config), image) == feeder.columns(image)


@pytest.mark.parametrize("name", FEEDERS)
def test_windows(name: str) -> None:
    feeder = FEEDERS[name]
    image = feeder.image()
    columns = np.array(feeder.columns(image))
    assert run_header("windows", configuration(feeder.config), columns) == feeder.windows(image)


@pytest.mark.parametrize("stride", [1, 2])
def test_pixels(stride: int) -> None:
    feeder = Feeder(3, 5, kernel=1, padding=0, stride=stride, sets=2)
    image = feeder.image()
    assert run_header("pixels", configuration(feeder.config), image) == feeder.windows(image)


def engine(feeder: Feeder, taps: list[list[int]], folds: int = 1) -> str:
    """A configuration with the lanes of a support, for each variant its taps."""
    lanes = [(variant, tap) for variant, of_variant in enumerate(taps) for tap in of_variant]
    period = len(taps)
    blocks = feeder.channels // period
    constants = feeder.config | {
        "PERIOD": period,
        "NONZEROS": len(lanes),
        "TO": 1,
        "TB": blocks,
        "FOLDS": folds,
        "LANES_PER_OUTPUT": -(-len(lanes) * blocks // folds),
        "STEPS": 2 * period,
        "WEIGHT_BITS": 4,
        "INDEX_BITS": 0,
        "ACC_BITS": 16,
        "OUT_BITS": 8,
        "BIAS_BITS": 8,
    }
    return configuration(constants, {"variant": [v for v, _ in lanes], "tap": [t for _, t in lanes]})


@pytest.mark.parametrize(("blocks", "folds"), [(1, 1), (2, 1), (2, 4)])
@pytest.mark.parametrize("in_memory", [False, True])
def test_ring(blocks: int, folds: int, in_memory: bool) -> None:
    """For output channel o a lane (v, t) gets tap t of the channel i with (o + i + 1) mod P = v."""
    taps = [[4], [0], [8], [2, 6]]
    feeder = Feeder(1, 1, channels=4 * blocks, pieces=4 if in_memory else 1)
    window = drawn(3, 3, blocks, 4)  # row, column, block, channel
    words = window.transpose(3, 1, 0, 2) if in_memory else window.swapaxes(0, 1)
    options = ["-DIN_MEMORY"] if in_memory else []
    made = run_header("ring", engine(feeder, taps, folds), words, *options)
    copies = 1 if in_memory else 2  # of the ring: as a word in a memory and in registers
    per_fold = -(-5 * blocks // folds)
    for output in range(8):
        expected = [
            window[tap // 3, tap % 3, block, (variant - output - 1) % 4]
            for block in range(blocks)
            for variant, of_variant in enumerate(taps)
            for tap in of_variant
        ]
        for copy in range(copies):
            at = (output * copies + copy) * folds
            elements = [number for line in made[at : at + folds] for number in line]
            assert len(elements) == per_fold * folds
            assert elements[: 5 * blocks] == expected, (output, copy)


@pytest.mark.parametrize(("pixels", "sets", "steps", "folds"), [(3, 2, 4, 3), (2, 1, 1, 1), (1, 3, 2, 1), (1, 1, 1, 1)])
def test_nest(pixels: int, sets: int, steps: int, folds: int) -> None:
    feeder = Feeder(1, pixels, channels=1, kernel=1, padding=0, sets=sets)
    extents = {"PERIOD": 1, "NONZEROS": 1, "TO": 1, "TB": 1, "FOLDS": folds, "STEPS": steps, "LANES_PER_OUTPUT": 1}
    bits = {"WEIGHT_BITS": 4, "INDEX_BITS": 0, "ACC_BITS": 16, "OUT_BITS": 8, "BIAS_BITS": 8}
    expected = []
    for pixel, b, s, f in itertools.product(range(pixels), range(sets), range(steps), range(folds)):
        ends_set = s == steps - 1 and f == folds - 1
        ends_pixel = ends_set and b == sets - 1
        flags = [s == f == 0, ends_set, ends_pixel, ends_pixel and pixel == pixels - 1]
        expected.append([pixel, b, s, f, (b * steps + s) * folds + f, *map(int, flags)])
    assert run_header("nest", configuration(feeder.config | extents | bits)) == expected


@pytest.mark.parametrize(("wide", "narrow", "channels"), [(6, 2, 12), (6, 2, 10), (3, 3, 6), (4, 1, 4)])
@pytest.mark.parametrize("split", [True, False])
def test_regroup(wide: int, narrow: int, channels: int, split: bool) -> None:
    """Channels keep their order; a last wide word that a pixel does not fill has zeros above."""
    pixels = 3
    image = drawn(pixels, channels)
    filled = np.pad(image, ((0, 0), (0, -channels % wide)))
    groups = {"IN_GROUP": wide, "OUT_GROUP": narrow} if split else {"IN_GROUP": narrow, "OUT_GROUP": wide}
    constants = groups | {"BITS": BITS, "PIXELS": pixels, "PIECES": channels // narrow}
    given, expected = (filled, image.reshape(-1, narrow)) if split else (image, filled.reshape(-1, wide))
    made = run_header("regroup", configuration(constants), given, *(["-DSPLIT"] if split else []))
    assert made == expected.tolist()


@pytest.mark.parametrize(("maximum", "padding", "stride"), [(True, 0, 2), (False, 0, 2), (False, 1, 1)])
def test_pool(maximum: bool, padding: int, stride: int) -> None:
    feeder = replace(FEEDERS["2x2"], height=5, width=4, stride=stride, padding=padding, sets=2)
    image = feeder.image()
    rest = {"SUM_BITS": BITS + 2, "OUT_BITS": BITS, "SHIFT": 0 if maximum else 2, "RELU": False, "MAXIMUM": maximum}
    windows = np.array(feeder.windows(image)).reshape(-1, 4, feeder.channels)
    expected = windows.max(1) if maximum else (windows.sum(1) + 2) >> 2
    assert run_header("pool", configuration(feeder.config | rest), image) == expected.tolist()


@pytest.mark.parametrize("groups", [1, 3])
def test_global_average(groups: int) -> None:
    image = drawn(8, groups, 2)
    constants = {"PIXELS": 8, "GROUPS": groups, "CHANNELS": 2, "IN_BITS": BITS, "SUM_BITS": BITS + 3, "OUT_BITS": BITS}
    made = run_header("global_average", configuration(constants | {"SHIFT": 3, "RELU": False}), image)
    assert made == ((image.sum(0) + 4) >> 3).tolist()


@pytest.mark.parametrize("relu", [True, False])
def test_add(relu: bool) -> None:
    left, right = drawn(6, 2, 3), drawn(6, 2, 3)[::-1]
    constants = {"PIXELS": 6, "GROUPS": 2, "CHANNELS": 3, "LEFT_BITS": BITS, "RIGHT_BITS": BITS, "LEFT_SHIFT": 2}
    constants |= {"RIGHT_SHIFT": 0, "SUM_BITS": BITS + 3, "OUT_BITS": BITS, "SHIFT": 1, "RELU": relu}
    sums = ((left << 2) + right + 1) >> 1
    expected = sums.clip(0 if relu else -16, 15).reshape(-1, 3)
    made = run_header("add", configuration(constants), np.concatenate([left.ravel(), right.ravel()]))
    assert made == expected.tolist()


@pytest.mark.parametrize(("outputs", "steps"), [(1, 6), (1, 4), (2, 4), (1, 3)])
def test_output(outputs: int, steps: int) -> None:
    """Step s of output k is channel k * P + s of its group of P steps; a last group may be of fewer steps."""
    period, pixels = 4, 2
    feeder = Feeder(1, pixels, channels=period, kernel=1, padding=0)
    sums = drawn(pixels, steps, outputs, bits=9)
    constants = feeder.config | {
        "PERIOD": period,
        "NONZEROS": 1,
        "TO": outputs,
        "TB": 1,
        "FOLDS": 1,
        "LANES_PER_OUTPUT": 1,
        "STEPS": steps,
        "WEIGHT_BITS": 4,
        "INDEX_BITS": 0,
        "ACC_BITS": 9,
        "BIAS_BITS": 8,
        "OUT_BITS": BITS,
        "SCALE_BITS": 0,
        "SHIFT": 3,
        "RELU": False,
    }
    values = ((sums + 4) >> 3).clip(-16, 15)
    groups = np.pad(values, ((0, 0), (0, -steps % period), (0, 0))).reshape(pixels, -1, period, outputs)
    expected = groups.swapaxes(2, 3).reshape(-1, outputs * period)
    assert run_header("output", configuration(constants), sums) == expected.tolist()
