"""Each header of hls/engine that does something by itself, compiled alone and compared with a plain definition."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest

from pymodel.network.formats import mean_scale
from tests.engine.programs import configuration, run_header

BITS = 5
# Of a mean of a power of two of elements.
MEAN = {
    "OUT_BITS": BITS,
    "MULTIPLIER": 1,
    "MULTIPLIER_BITS": 1,
    "DOUBLED": False,
    "RELU": False,
    "LARGEST": 15,
    "HALVES_TO_EVEN": False,
}


def drawn(*shape: int, bits: int = BITS) -> np.ndarray:
    """Signed numbers of `bits` bits with both extremes among them, the same in every run."""
    numbers = np.random.default_rng(sum(shape)).integers(-(1 << (bits - 1)), 1 << (bits - 1), shape)
    numbers.flat[0], numbers.flat[-1] = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return numbers


@dataclass(frozen=True)
class Feeder:
    """An image of height x width pixels, `sets` words of `channels` each, of which `pieces` parts are moved.

    at_once: pixels of a row in a word. padding: on all sides, or of top, left, bottom, right.
    """

    height: int
    width: int
    channels: int = 2
    kernel: int = 3
    stride: int = 1
    padding: int | tuple[int, int, int, int] = 1
    sets: int = 1
    pieces: int = 1
    at_once: int = 1

    @property
    def around(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows above and below, columns to the left and right."""
        top, left, bottom, right = [self.padding] * 4 if isinstance(self.padding, int) else self.padding
        return (top, bottom), (left, right)

    @property
    def out_height(self) -> int:
        return (self.height + sum(self.around[0]) - self.kernel) // self.stride + 1

    @property
    def out_width(self) -> int:
        return (self.width + sum(self.around[1]) - self.kernel) // self.stride + 1

    @property
    def config(self) -> dict[str, int]:
        return {
            "KERNEL": self.kernel,
            "STRIDE": self.stride,
            "TOP": self.around[0][0],
            "LEFT": self.around[1][0],
            "HEIGHT": self.height,
            "WIDTH": self.width,
            "OUT_HEIGHT": self.out_height,
            "OUT_WIDTH": self.out_width,
            "TX": self.at_once,
            "CHANNELS": self.channels,
            "BLOCK_SETS": self.sets,
            "PIECES": self.pieces,
            "IN_BITS": BITS,
            "WINDOW_DEPTH": 2,
            "COLUMN_DEPTH": 2,
        }

    def image(self) -> np.ndarray:
        """int [height, width, sets, channels]."""
        return drawn(self.height, self.width, self.sets, self.channels)

    def beats(self, image: np.ndarray) -> np.ndarray:
        """The image as its beats come."""
        return image.reshape(self.height, -1, self.at_once, *image.shape[2:]).swapaxes(2, 3)

    def padded(self, image: np.ndarray) -> np.ndarray:
        """The image in its zeros, by pieces: [rows, columns, sets, pieces, channels of a piece]; piece p has each
        `pieces`-th channel from p on."""
        pieces = image.reshape(self.height, self.width, self.sets, -1, self.pieces).swapaxes(3, 4)
        return np.pad(pieces, [*self.around, *[(0, 0)] * 3])

    def columns(self, image: np.ndarray) -> list[list[int]]:
        """The columns of the image for each output row, `at_once` a word, each from the top down."""
        left = self.around[1][0]
        padded = self.padded(image)[:, left : left + self.width]
        return [
            padded[row * self.stride : row * self.stride + self.kernel, x : x + self.at_once, b, p]
            .swapaxes(0, 1)
            .ravel()
            .tolist()
            for row, x, b, p in itertools.product(
                range(self.out_height), range(0, self.width, self.at_once), range(self.sets), range(self.pieces)
            )
        ]

    def windows(self, image: np.ndarray) -> list[list[int]]:
        """The windows of each `at_once` output pixels as one, column by column from the left."""
        padded, span = self.padded(image), (self.at_once - 1) * self.stride + self.kernel
        made = []
        for row, column in itertools.product(range(self.out_height), range(0, self.out_width, self.at_once)):
            top, left = row * self.stride, column * self.stride
            window = padded[top : top + self.kernel, left : left + span].swapaxes(0, 1)
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
    "two pixels": Feeder(4, 6, at_once=2),
    "three pixels, stride 2, two sets": Feeder(5, 12, stride=2, sets=2, at_once=3),
    "two pixels, no padding": Feeder(4, 8, padding=0, at_once=2),
    "two pixels, channel by channel": Feeder(3, 4, channels=4, sets=2, pieces=2, at_once=2),
    "a row at once": Feeder(3, 4, at_once=4),
    "two pixels, 1x1, stride 2": Feeder(4, 8, kernel=1, stride=2, padding=0, sets=2, at_once=2),
    "4x4": Feeder(5, 6, kernel=4, padding=(1, 2, 3, 1)),
    "below and to the right": Feeder(4, 6, kernel=2, padding=(0, 0, 1, 1), sets=2),
    "above and to the left": Feeder(4, 5, padding=(2, 2, 0, 0), stride=2),
    "to the right, two pixels, stride 2": Feeder(6, 8, padding=(0, 0, 1, 1), stride=2, at_once=2),
    "6x6, to the left, two pixels": Feeder(2, 4, kernel=6, padding=(5, 5, 0, 0), at_once=2),
    "stride beyond the kernel": Feeder(8, 9, kernel=2, stride=3, padding=(0, 1, 0, 1), sets=2),
    "stride beyond the kernel, two pixels": Feeder(5, 12, kernel=2, stride=3, padding=0, at_once=2),
    "two pixels, 5x5, much padding": Feeder(3, 4, kernel=5, padding=2, at_once=2),
}


@pytest.mark.parametrize("name", FEEDERS)
def test_columns(name: str) -> None:
    feeder = FEEDERS[name]
    image = feeder.image()
    assert run_header("columns", configuration(feeder.config), feeder.beats(image)) == feeder.columns(image)


@pytest.mark.parametrize("name", FEEDERS)
def test_windows(name: str) -> None:
    feeder = FEEDERS[name]
    image = feeder.image()
    columns = np.array(feeder.columns(image))
    assert run_header("windows", configuration(feeder.config), columns) == feeder.windows(image)


@pytest.mark.parametrize(("stride", "at_once"), [(1, 1), (2, 1), (1, 2)])
def test_pixels(stride: int, at_once: int) -> None:
    feeder = Feeder(3, 6, kernel=1, padding=0, stride=stride, sets=2, at_once=at_once)
    image = feeder.image()
    assert run_header("pixels", configuration(feeder.config), feeder.beats(image)) == feeder.windows(image)


def engine(feeder: Feeder, taps: list[list[int]], folds: int, rotations: int, steps: int) -> str:
    """A configuration with the lanes of a support, for each variant its taps."""
    lanes = [(variant, tap) for variant, of_variant in enumerate(taps) for tap in of_variant]
    period = len(taps)
    blocks = feeder.channels // period
    constants = feeder.config | {
        "PERIOD": period,
        "NONZEROS": len(lanes),
        "TO": 1,
        "ROTATIONS": rotations,
        "TB": blocks,
        "ROUNDS": 1,
        "CHANNELWISE": False,
        "FOLDS": folds,
        "LANES_PER_OUTPUT": -(-len(lanes) * blocks // folds),
        "STEPS": steps,
        "WEIGHT_BITS": 4,
        "INDEX_BITS": 0,
        "ACC_BITS": 16,
        "OUT_BITS": 8,
        "LARGEST": 127,
        "HALVES_TO_EVEN": False,
        "BIAS_BITS": 8,
    }
    return configuration(constants, {"variant": [v for v, _ in lanes], "tap": [t for _, t in lanes]})


@pytest.mark.parametrize(
    ("blocks", "folds", "rotations"), [(1, 1, 1), (2, 1, 1), (2, 4, 1), (1, 1, 2), (2, 3, 2), (2, 1, 4), (1, 5, 4)]
)
@pytest.mark.parametrize(("in_memory", "pixels", "stride"), [(False, 1, 1), (True, 1, 1), (False, 2, 1), (True, 2, 2)])
def test_ring(blocks: int, folds: int, rotations: int, in_memory: bool, pixels: int, stride: int) -> None:
    """For output channel o a lane (v, t) gets tap t of the channel i with (o + i + 1) mod P = v, for each pixel."""
    taps, outputs = [[4], [0], [8], [2, 4, 6]], 8
    width, pieces = pixels * stride, 4 if in_memory else 1
    feeder = Feeder(1, width, channels=4 * blocks, stride=stride, pieces=pieces, at_once=pixels)
    window = drawn(3, 3 + (pixels - 1) * stride, blocks, 4)  # row, column, block, channel
    words = window.transpose(3, 1, 0, 2) if in_memory else window.swapaxes(0, 1)
    options = ["-DIN_MEMORY"] if in_memory else []
    # Window sets that come channel by channel need four iterations.
    steps = max(outputs // rotations, 4) if in_memory else outputs // rotations
    made = run_header("ring", engine(feeder, taps, folds, rotations, steps), words, *options)
    copies = 1 if in_memory else 2  # of the ring: as a word in a memory and in registers
    per_fold = -(-6 * blocks // folds)
    assert len(made) == steps * rotations * pixels * copies * folds
    for at, (output, pixel) in enumerate(itertools.product(range(steps * rotations), range(pixels))):
        expected = [
            window[tap // 3, tap % 3 + pixel * stride, block, (variant - output - 1) % 4]
            for block in range(blocks)
            for variant, of_variant in enumerate(taps)
            for tap in of_variant
        ]
        for copy in range(copies):
            first = (at * copies + copy) * folds
            elements = [number for line in made[first : first + folds] for number in line]
            assert len(elements) == per_fold * folds
            assert elements[: 6 * blocks] == expected, (output, copy)


@pytest.mark.parametrize(
    ("pixels", "rounds", "sets", "steps", "folds"),
    [
        (3, 1, 2, 4, 3),
        (2, 1, 1, 1, 1),
        (1, 1, 3, 2, 1),
        (1, 1, 1, 1, 1),
        (2, 3, 2, 4, 3),
        (2, 3, 1, 2, 1),
        (1, 2, 1, 1, 1),
    ],
)
def test_nest(pixels: int, rounds: int, sets: int, steps: int, folds: int) -> None:
    """Sets and steps of a round; where the sums of a step begin it says its number among those of the pixel."""
    feeder = Feeder(1, pixels, channels=1, kernel=1, padding=0, sets=rounds * sets)
    extents = {"PERIOD": 1, "NONZEROS": 1, "TO": 1, "ROTATIONS": 1, "TB": 1, "LANES_PER_OUTPUT": 1}
    extents |= {"FOLDS": folds, "STEPS": rounds * steps, "ROUNDS": rounds, "CHANNELWISE": False}
    bits = {
        "WEIGHT_BITS": 4,
        "INDEX_BITS": 0,
        "ACC_BITS": 16,
        "OUT_BITS": 8,
        "LARGEST": 127,
        "HALVES_TO_EVEN": False,
        "BIAS_BITS": 8,
    }
    expected = []
    extent = (pixels, rounds, sets, steps, folds)
    last_set_but_one = pixels * rounds * sets - 2
    for pixel, g, b, s, f in itertools.product(*map(range, extent)):
        ends_set = s == steps - 1 and f == folds - 1
        ends_pixel = ends_set and b == sets - 1 and g == rounds - 1
        flags = [s == f == 0, ends_set, ends_pixel, ends_pixel and pixel == pixels - 1]
        flags.append((pixel * rounds + g) * sets + b == last_set_but_one)
        address, begun = ((g * sets + b) * steps + s) * folds + f, g * steps + s if b == 0 else -1
        expected.append([pixel, b, s, f, address, begun, *map(int, flags)])
    assert run_header("nest", configuration(feeder.config | extents | bits)) == expected


@pytest.mark.parametrize(("wide", "narrow", "channels"), [(6, 2, 12), (6, 2, 10), (3, 3, 6), (4, 1, 4)])
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("at_once", [1, 2])
def test_regroup(wide: int, narrow: int, channels: int, split: bool, at_once: int) -> None:
    """Channels keep their order; a last wide word that a pixel does not fill has zeros above."""
    pixels = 3
    image = drawn(pixels * at_once, channels)
    filled = np.pad(image, ((0, 0), (0, -channels % wide)))
    groups = {"IN_GROUP": wide, "OUT_GROUP": narrow} if split else {"IN_GROUP": narrow, "OUT_GROUP": wide}
    constants = groups | {"BITS": BITS, "SETS": pixels, "TX": at_once, "PIECES": channels // narrow}

    def words(pixels: np.ndarray, group: int) -> np.ndarray:
        return pixels.reshape(-1, at_once, pixels.shape[1] // group, group).swapaxes(1, 2).reshape(-1, at_once * group)

    given, expected = (words(filled, wide), words(image, narrow))[:: 1 if split else -1]
    made = run_header("regroup", configuration(constants), given, *(["-DSPLIT"] if split else []))
    assert made == expected.tolist()


@pytest.mark.parametrize(("at_once", "ratio", "groups"), [(1, 2, 3), (2, 2, 1), (2, 3, 2), (1, 4, 1)])
@pytest.mark.parametrize("split", [True, False])
def test_regroup_pixels(at_once: int, ratio: int, groups: int, split: bool) -> None:
    """Pixels keep their order: of each set all groups of channels, of each of these all pixels."""
    sets, channels = 3, 2
    image = drawn(sets, ratio, at_once, groups, channels)
    narrow = image.swapaxes(2, 3).reshape(-1, at_once * channels)
    wide = image.transpose(0, 3, 1, 2, 4).reshape(-1, ratio * at_once * channels)
    constants = {"WIDE_SETS": sets, "RATIO": ratio, "GROUPS": groups, "WORD_BITS": at_once * channels * BITS}
    given, expected = (wide, narrow) if split else (narrow, wide)
    options = ["-DPIXELS", *(["-DSPLIT"] if split else [])]
    made = run_header("regroup", configuration(constants | {"BITS": BITS}), given, *options)
    assert made == expected.tolist()


@pytest.mark.parametrize(
    ("maximum", "padding", "stride", "at_once"),
    [(True, 0, 2, 1), (False, 0, 2, 1), (False, 1, 1, 1), (True, 0, 2, 2), (False, 0, 2, 4)],
)
def test_pool(maximum: bool, padding: int, stride: int, at_once: int) -> None:
    width = 4 if at_once == 1 else 8
    feeder = replace(FEEDERS["2x2"], height=5, width=width, stride=stride, padding=padding, sets=2, at_once=at_once)
    image = feeder.image()
    rest = {"SUM_BITS": BITS + 2, "SHIFT": 0 if maximum else 2, "MAXIMUM": maximum, "INVERTS": False} | MEAN
    one = replace(feeder, at_once=1)
    windows = np.array(one.windows(image)).reshape(-1, 4, feeder.channels)
    pixels = windows.max(1) if maximum else (windows.sum(1) + 2) >> 2
    pooled = pixels.reshape(one.out_height, one.out_width, one.sets, one.channels)
    expected = replace(feeder, height=one.out_height, width=one.out_width).beats(pooled)
    made = run_header("pool", configuration(feeder.config | rest), feeder.beats(image))
    assert made == expected.reshape(-1, at_once * feeder.channels).tolist()


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("padding", [1, (0, 0, 2, 2), (2, 1, 0, 1)])
def test_padding_is_never_the_largest(padding: int | tuple[int, int, int, int], at_once: int) -> None:
    """An image without a positive element, and one of the smallest numbers alone."""
    feeder = Feeder(4, 8, padding=padding, stride=1, at_once=at_once, sets=2)
    if feeder.out_width % at_once:
        feeder = replace(feeder, padding=1)
    rest = {"SUM_BITS": BITS + 2, "SHIFT": 0, "MAXIMUM": True, "INVERTS": True} | MEAN
    for image in (np.minimum(feeder.image(), -1), np.full_like(feeder.image(), -16)):
        wide = np.pad(image, [*feeder.around, (0, 0), (0, 0)], constant_values=-99)
        windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), axis=(0, 1))
        expected = replace(feeder, height=feeder.out_height, width=feeder.out_width).beats(windows.max((-1, -2)))
        made = run_header("pool", configuration(feeder.config | rest), feeder.beats(image))
        assert made == expected.reshape(-1, at_once * feeder.channels).tolist()


@pytest.mark.parametrize("count", [3, 6, 7, 9, 12, 25, 36])
def test_means_of_any_number(count: int) -> None:
    """Every sum, one at a time."""
    scale, shift, doubled = mean_scale(count, BITS)
    sums = np.arange(-16 * count, 15 * count + 1)
    images = sums[:, None] // count + (np.arange(count) < (sums % count)[:, None])  # each a sum of that many
    constants = {"SETS": count, "TX": 1, "GROUPS": len(sums), "CHANNELS": 1, "IN_BITS": BITS, "SHIFT": shift}
    constants |= {"SUM_BITS": BITS + count.bit_length()} | MEAN
    constants |= {"MULTIPLIER": scale, "MULTIPLIER_BITS": scale.bit_length(), "DOUBLED": doubled}
    made = run_header("global_average", configuration(constants), images.T)
    assert made == [[(2 * total + count) // (2 * count)] for total in sums.tolist()]


@pytest.mark.parametrize("largest", [15, 6, 0])
def test_relu(largest: int) -> None:
    words = drawn(7, 3)
    made = run_header("relu", configuration({"WORDS": 7, "CHANNELS": 3, "BITS": BITS, "LARGEST": largest}), words)
    assert made == np.where(words < 0, 0, np.where(words > largest, largest, words)).tolist()


@pytest.mark.parametrize(("groups", "at_once"), [(1, 1), (2, 1), (3, 2), (6, 1)])
def test_shuffle(groups: int, at_once: int) -> None:
    """Channel g * (6 / groups) + j goes to j * groups + g."""
    words = drawn(4, at_once, 6)
    expected = words.copy()
    for g in range(groups):
        for j in range(6 // groups):
            expected[..., j * groups + g] = words[..., g * (6 // groups) + j]
    constants = {"SETS": 4, "TX": at_once, "CHANNELS": 6, "BITS": BITS, "GROUPS": groups}
    assert run_header("shuffle", configuration(constants), words) == expected.reshape(4, -1).tolist()


@pytest.mark.parametrize(("first", "second"), [(1, 1), (3, 1), (2, 4)])
def test_concatenate(first: int, second: int) -> None:
    left, right = drawn(5, first, 2), drawn(5, second, 2)[::-1]
    constants = {"SETS": 5, "FIRST_GROUPS": first, "GROUPS": first + second, "WORD_BITS": 2 * BITS, "BITS": BITS}
    made = run_header("concatenate", configuration(constants), np.concatenate([left.ravel(), right.ravel()]))
    assert made == np.concatenate([left, right], axis=1).reshape(-1, 2).tolist()


@pytest.mark.parametrize("at_once", [1, 2, 8])
@pytest.mark.parametrize("groups", [1, 3])
def test_global_average(groups: int, at_once: int) -> None:
    image = drawn(8 // at_once, groups, at_once, 2)
    constants = {"SETS": 8 // at_once, "TX": at_once, "GROUPS": groups, "CHANNELS": 2, "IN_BITS": BITS, "SHIFT": 3}
    constants |= {"SUM_BITS": BITS + 3} | MEAN
    made = run_header("global_average", configuration(constants), image)
    assert made == ((image.sum((0, 2)) + 4) >> 3).tolist()


@pytest.mark.parametrize("relu", [True, False])
def test_add(relu: bool) -> None:
    left, right = drawn(6, 2, 3), drawn(6, 2, 3)[::-1]
    constants = {"PIXELS": 6, "GROUPS": 2, "CHANNELS": 3, "LEFT_BITS": BITS, "RIGHT_BITS": BITS, "LEFT_SHIFT": 2}
    constants |= {
        "RIGHT_SHIFT": 0,
        "SUM_BITS": BITS + 3,
        "OUT_BITS": BITS,
        "SHIFT": 1,
        "RELU": relu,
        "LARGEST": 11,
        "HALVES_TO_EVEN": False,
    }
    sums = ((left << 2) + right + 1) >> 1
    expected = sums.clip(0 if relu else -16, 11).reshape(-1, 3)
    made = run_header("add", configuration(constants), np.concatenate([left.ravel(), right.ravel()]))
    assert made == expected.tolist()


@pytest.mark.parametrize(
    ("To", "rotations", "steps"),
    [(1, 1, 6), (1, 1, 4), (2, 1, 4), (1, 1, 3), (1, 2, 3), (1, 2, 1), (2, 2, 4), (1, 4, 3), (3, 4, 2)],
)
@pytest.mark.parametrize("at_once", [1, 2])
def test_output(To: int, rotations: int, steps: int, at_once: int) -> None:
    """Step s has `rotations` neighbouring channels of each of To slices of its group; a last group may be shorter."""
    period, pixels = 4, 2
    feeder = Feeder(1, pixels * at_once, channels=period, kernel=1, padding=0, at_once=at_once)
    sums = drawn(pixels, steps, at_once, rotations, To, bits=9)
    constants = feeder.config | {
        "PERIOD": period,
        "NONZEROS": 1,
        "TO": To,
        "ROTATIONS": rotations,
        "TB": 1,
        "ROUNDS": 1,
        "CHANNELWISE": False,
        "FOLDS": 1,
        "LANES_PER_OUTPUT": 1,
        "STEPS": steps,
        "WEIGHT_BITS": 4,
        "INDEX_BITS": 0,
        "ACC_BITS": 9,
        "BIAS_BITS": 8,
        "OUT_BITS": BITS,
        "LARGEST": 15,
        "HALVES_TO_EVEN": False,
        "SCALE_BITS": 0,
        "SHIFT": 3,
        "RELU": False,
    }
    values = ((sums + 4) >> 3).clip(-16, 15)
    slots = period // rotations
    by_pixel = np.pad(values, ((0, 0), (0, -steps % slots), *[(0, 0)] * 3)).swapaxes(
        1, 2
    )  # [pixels, at_once, steps, ..]
    groups = by_pixel.reshape(pixels, at_once, -1, period, To).transpose(0, 2, 1, 4, 3)
    expected = groups.reshape(-1, at_once * To * period)
    assert run_header("output", configuration(constants), sums) == expected.tolist()


@pytest.mark.parametrize(("rotations", "To", "steps"), [(3, 1, 1), (2, 2, 1), (2, 1, 3), (1, 2, 2)])
@pytest.mark.parametrize("at_once", [1, 2])
def test_output_channelwise(rotations: int, To: int, steps: int, at_once: int) -> None:
    """The outputs of an input channel are neighbours, whatever steps they come in; a word has all rotations."""
    pixels, rounds = 2, 2
    feeder = Feeder(1, pixels * at_once, channels=rotations, kernel=1, padding=0, at_once=at_once, sets=rounds)
    sums = drawn(pixels, rounds, steps, at_once, rotations, To, bits=9)
    constants = feeder.config | {
        "PERIOD": rotations,
        "NONZEROS": 1,
        "TO": To,
        "ROTATIONS": rotations,
        "TB": 1,
        "ROUNDS": rounds,
        "CHANNELWISE": True,
        "FOLDS": 1,
        "LANES_PER_OUTPUT": 1,
        "STEPS": rounds * steps,
        "WEIGHT_BITS": 4,
        "INDEX_BITS": 0,
        "ACC_BITS": 9,
        "BIAS_BITS": 8,
        "OUT_BITS": BITS,
        "LARGEST": 15,
        "HALVES_TO_EVEN": False,
        "SCALE_BITS": 0,
        "SHIFT": 3,
        "RELU": False,
    }
    values = ((sums + 4) >> 3).clip(-16, 15)
    expected = values.transpose(0, 1, 3, 4, 2, 5).reshape(pixels * rounds, -1)  # rotation, step, output of a step
    assert run_header("output", configuration(constants), sums) == expected.tolist()
