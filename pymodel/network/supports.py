"""Supports: which taps of a kernel may be nonzero.

Terms as in the pSConv papers (Kundu et al., Allerton 2019; IEEE Trans. Computers 69(7), 2020): a *tap* is
K * row + column; a *support* of period P is a list of P tap sets (*variants*) of which kernel (o, i) uses
variant v(o, i) = (o + i + 1) mod P. i counts the input channels of the filter (of its group, in a grouped
convolution).
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pymodel.common.arrays import Bool, Int64, Integers
from pymodel.common.errors import ConfigError

MAX_PERIOD = 4096
NAMED_KERNEL = 3  # rows and columns of the kernels for which PSn_Pp, PSDn_Pp and pSCn are defined

# The tap sets of each kernel support size in a 3x3 kernel, in the order in which variants cycle through them.
_TAP_SETS: dict[int, tuple[tuple[int, ...], ...]] = {
    4: ((0, 1, 3, 4), (1, 2, 4, 5), (3, 4, 6, 7), (4, 5, 7, 8)),
    2: ((0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8)),
    1: tuple((tap,) for tap in range(9)),
}
_PERIODIC = re.compile(r"PS(?P<full>D?)(?P<size>[124])_P(?P<period>[1-9][0-9]*)")
_UNSTRUCTURED = re.compile(r"pSC(?P<size>[124])")

# The networks of the papers, densest first.
PAPER_VARIANTS = (
    "dense",
    "PSD4_P8",
    "PSD4_P16",
    "PSD2_P8",
    "PSD2_P16",
    "PSD1_P8",
    "PSD1_P16",
    "PS4_P4",
    "PS2_P6",
    "PS1_P9",
    "pSC4",
    "pSC2",
    "pSC1",
)


@dataclass(frozen=True)
class Support:
    """A periodic support: `taps[v]` are the taps of variant v, ascending. Dense is period 1, all taps.

    Raises ConfigError for an even kernel, no variants, a variant without taps, taps out of range,
    not ascending or repeated.
    """

    name: str
    kernel: int
    taps: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        _check_kernel(self.name, self.kernel)
        if not 1 <= len(self.taps) <= MAX_PERIOD:
            raise ConfigError(f"support {self.name}: period: must be 1 to {MAX_PERIOD}, got {len(self.taps)}")
        last = self.kernel**2 - 1
        for variant, taps in enumerate(self.taps):
            where = f"support {self.name}: taps {list(taps)} of variant {variant}"
            if not taps:
                raise ConfigError(f"{where}: must have at least one tap, got none")
            if any(isinstance(tap, bool) or not isinstance(tap, int) for tap in taps):
                raise ConfigError(f"{where}: must be integers")
            if not 0 <= min(taps) <= max(taps) <= last:
                raise ConfigError(f"{where}: must be 0 to {last} for a {self.kernel}x{self.kernel} kernel")
            if any(left >= right for left, right in itertools.pairwise(taps)):
                raise ConfigError(f"{where}: must ascend, each tap once")

    @classmethod
    def parse(cls, name: str, kernel: int) -> Support:
        """The support called `name`: "dense" (any kernel; "pSC9" is its name in the papers, 3x3 only),
        or "PSn_Pp", "PSDn_Pp" with n = 1, 2, 4 taps and period p (3x3 only).

        Variant 0 of a PSD support is the full kernel; all else cycles through the tap sets of its size.
        """
        if name == "dense" or (name == "pSC9" and kernel == 3):
            _check_kernel("dense", kernel)
            return cls("dense", kernel, (tuple(range(kernel**2)),))
        match = _PERIODIC.fullmatch(name)
        if not match:
            raise ConfigError(
                f"support: must be dense, PSn_Pp or PSDn_Pp with n = 1, 2 or 4 taps and a period p of 1 to "
                f"{MAX_PERIOD} (such as PSD1_P16), or a list of taps, got {name!r}"
            )
        if kernel != 3:
            raise ConfigError(
                f"support: must be dense {'or a list of taps ' if kernel > 1 else ''}for {kernel}x{kernel} kernels, "
                f"got {name!r}, which is defined for 3x3"
            )
        period = int(match["period"])
        if period > MAX_PERIOD:
            raise ConfigError(f"support {name!r}: period: must be 1 to {MAX_PERIOD}, got {period}")
        sets = _TAP_SETS[int(match["size"])]
        taps = [sets[(variant - 1) % len(sets)] for variant in range(1, period)]
        first = tuple(range(9)) if match["full"] else sets[(period - 1) % len(sets)]
        return cls(name, kernel, (first, *taps))

    @classmethod
    def custom(cls, taps: Sequence[Sequence[int]], kernel: int) -> Support:
        """A support from lists of taps, variant 0 first, for any kernel. 1x1 kernels are dense only."""
        if kernel == 1:
            raise ConfigError("support: must be dense for a 1x1 kernel, got a list of taps")
        rows = tuple(tuple(row) for row in taps)
        return cls(f"custom_P{len(rows)}_N{sum(map(len, rows))}", kernel, rows)

    @property
    def period(self) -> int:
        """P."""
        return len(self.taps)

    @cached_property
    def nonzeros(self) -> int:
        """N, the nonzero weights of P neighbouring kernels of a filter."""
        return sum(map(len, self.taps))

    @property
    def is_dense(self) -> bool:
        """All taps of all kernels."""
        return self.nonzeros == self.period * self.kernel**2

    @property
    def has_full_kernel(self) -> bool:
        """Whether some variant has all taps."""
        return any(len(taps) == self.kernel**2 for taps in self.taps)

    def elements(self) -> list[tuple[int, int]]:
        """The N elements of a block, pairs (variant, tap), sorted by variant, then by tap."""
        return [(variant, tap) for variant, taps in enumerate(self.taps) for tap in taps]

    def positions(self, cout: int, blocks: int) -> Int64:
        """int [cout, blocks, N]: where in its block each weight of a filter is, channel * K * K + tap, by element.

        An element of variant v meets, for output o, channel (v - o - 1) mod P of the block.
        """
        variant, tap = np.array(self.elements()).T
        channel = (variant - np.arange(cout)[:, None] - 1) % self.period
        one = channel * self.kernel**2 + tap
        return np.broadcast_to(one[:, None, :], (cout, blocks, self.nonzeros))

    def variant(self, output: int, channel: int) -> int:
        """v(o, i), the variant of the kernel for output channel o and input channel i."""
        return (output + channel + 1) % self.period

    def variants(self, cout: int, cin: int) -> Int64:
        """int [cout, cin]: the variant of each kernel of a layer."""
        index: Int64 = (np.arange(cout)[:, None] + np.arange(cin) + 1) % self.period
        return index

    def table(self) -> Bool:
        """bool [P, K * K]: which taps each variant has."""
        table = np.zeros((self.period, self.kernel**2), bool)
        table[tuple(np.array(self.elements()).T)] = True
        return table

    def mask(self, cout: int, cin: int) -> Bool:
        """bool [cout, cin, K, K]: True where a weight may be nonzero."""
        return self.table()[self.variants(cout, cin)].reshape(cout, cin, self.kernel, self.kernel)

    def weights(self, cout: int, cin: int) -> int:
        """The number of weights that may be nonzero."""
        sizes = np.array([len(taps) for taps in self.taps], np.int64)
        # The variant depends on (o + i) mod P only: count how many kernels fall on each residue.
        outputs = np.bincount(np.arange(cout) % self.period, minlength=self.period)
        channels = np.bincount(np.arange(cin) % self.period, minlength=self.period)
        per_output = np.array(
            [sizes[(o + 1 + np.arange(self.period)) % self.period] @ channels for o in np.flatnonzero(outputs)]
        )
        return int(per_output @ outputs[outputs > 0])

    def index_bits(self) -> int:
        """Bits that describe the support of a whole layer: one bit map of P * K * K, none when dense."""
        return 0 if self.is_dense else self.period * self.kernel**2

    def spec(self) -> str | dict[str, list[list[int]]]:
        """The form in which configuration files name this support; `make_support` reads it."""
        return {"taps": [list(taps) for taps in self.taps]} if self.name.startswith("custom") else self.name


@dataclass(frozen=True)
class BlockSupport:
    """A random support with the same number of weights in each block of `period` channels of each filter.

    `nonzeros` of the period * K * K positions of a block, drawn anew for each filter and block, fixed by `seed`: what
    an engine with an index beside each weight can run, and the periodic one cannot.
    """

    kernel: int
    period: int
    nonzeros: int
    seed: int = 0

    def __post_init__(self) -> None:
        _check_kernel(self.name, self.kernel)
        if not 1 <= self.nonzeros <= self.period * self.kernel**2:
            raise ConfigError(
                f"support {self.name}: weights of a block: must be 1 to {self.period * self.kernel**2}, "
                f"got {self.nonzeros}"
            )

    @property
    def name(self) -> str:
        return f"block_random_P{self.period}_N{self.nonzeros}"

    def positions(self, cout: int, blocks: int) -> Int64:
        """int [cout, blocks, N]: where in its block each weight of a filter is, channel * K * K + tap, ascending."""
        order = np.random.default_rng(self.seed).random((cout, blocks, self.period * self.kernel**2)).argsort(axis=-1)
        return np.sort(order[..., : self.nonzeros], axis=-1)

    def mask(self, cout: int, cin: int) -> Bool:
        """bool [cout, cin, K, K]: True where a weight may be nonzero."""
        blocks = -(-cin // self.period)
        mask = np.zeros((cout, blocks, self.period * self.kernel**2), bool)
        np.put_along_axis(mask, self.positions(cout, blocks), True, axis=-1)
        return mask.reshape(cout, -1, self.kernel, self.kernel)[:, :cin]

    def weights(self, cout: int, cin: int) -> int:
        """The number of weights that may be nonzero."""
        return int(self.mask(cout, cin).sum())

    def spec(self) -> BlockSupport:
        """Itself: no configuration file names it."""
        return self


@dataclass(frozen=True)
class UnstructuredSupport:
    """pSCn of the papers: each kernel has its own random support of `kss` taps, fixed by `seed`.

    No engine runs it; it is counted and trained for comparison, and needs an index per kernel.
    """

    kss: int
    kernel: int
    seed: int

    def __post_init__(self) -> None:
        _check_kernel(self.name, self.kernel)
        if not 1 <= self.kss <= self.kernel**2:
            raise ConfigError(f"support {self.name}: taps: must be 1 to {self.kernel**2}, got {self.kss}")

    @property
    def name(self) -> str:
        return f"pSC{self.kss}"

    @property
    def is_dense(self) -> bool:
        return self.kss == self.kernel**2

    def mask(self, cout: int, cin: int) -> Bool:
        """bool [cout, cin, K, K]: True where a weight may be nonzero; `kss` in each kernel."""
        taps = self.kernel**2
        order = np.random.default_rng(self.seed).random((cout, cin, taps)).argsort(axis=-1)
        return (order < self.kss).reshape(cout, cin, self.kernel, self.kernel)

    def weights(self, cout: int, cin: int) -> int:
        """The number of weights that may be nonzero."""
        return cout * cin * self.kss

    def index_bits(self, cout: int, cin: int) -> int:
        """Bits of one tap number, ceil(log2(K * K)) bits, for each weight."""
        return self.weights(cout, cin) * (self.kernel**2 - 1).bit_length()

    def spec(self) -> str:
        """The form in which configuration files name this support."""
        return self.name


@dataclass(frozen=True)
class MaskSupport:
    """A support given weight by weight, for one layer alone: what pruning leaves.

    `packed` is the base64 text of the zlib-compressed bits of the mask (8 to a byte, first bit highest, in the
    order of the weights). No engine runs it; a kernel, or a whole filter, may be empty.
    """

    packed: str
    kernel: int

    @classmethod
    def of(cls, mask: Bool) -> MaskSupport:
        """mask: bool [cout, cin, K, K], True where a weight may be nonzero."""
        bits = zlib.compress(np.packbits(mask).tobytes(), 9)
        return cls(base64.b64encode(bits).decode(), mask.shape[-1])

    @property
    def name(self) -> str:
        return "mask"

    @property
    def is_dense(self) -> bool:
        return False

    def mask(self, cout: int, cin: int) -> Bool:
        """bool [cout, cin, K, K]. Raises ConfigError unless the mask is one of exactly this shape."""
        shape = (cout, cin, self.kernel, self.kernel)
        count = cout * cin * self.kernel**2
        size = -(-count // 8)
        try:
            # Not one byte more than a right mask has is unpacked, whatever the file says.
            data = zlib.decompressobj().decompress(base64.b64decode(self.packed, validate=True), size + 1)
        except (binascii.Error, zlib.error) as error:
            raise ConfigError(f"support mask: must be the base64 text of zlib-compressed bits ({error})") from error
        bits = np.unpackbits(np.frombuffer(data, np.uint8))
        if len(data) != size or bits[count:].any():
            raise ConfigError(f"support mask: must be the bits of a mask {list(shape)}, got other ones")
        return bits[:count].astype(bool).reshape(shape)

    def weights(self, cout: int, cin: int) -> int:
        """The number of weights that may be nonzero."""
        return int(self.mask(cout, cin).sum())

    def spec(self) -> dict[str, str]:
        """The form in which files name this support."""
        return {"mask": self.packed}


FileSupport = Support | UnstructuredSupport | MaskSupport  # what files describe
AnySupport = FileSupport | BlockSupport
SupportSpec = str | dict[str, list[list[int]]] | dict[str, str]


def make_support(spec: SupportSpec, kernel: int, seed: int = 0) -> FileSupport:
    """A support from the form files use: a name, {"taps": [[...], ...]} or {"mask": text} (MaskSupport).

    `seed` serves the unstructured pSC4, pSC2, pSC1 alone. Raises ConfigError.
    """
    if isinstance(spec, dict):
        if set(spec) == {"mask"} and isinstance(spec["mask"], str):
            return MaskSupport(spec["mask"], kernel)
        if set(spec) != {"taps"}:
            raise ConfigError(f"support: must be a name or {{taps: [[...], ...]}}, got {spec!r}")
        rows = spec["taps"]
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            raise ConfigError(f"support taps: must be a list of lists of taps, got {rows!r}")
        return Support.custom(rows, kernel)
    if not isinstance(spec, str):
        raise ConfigError(f"support: must be a name or {{taps: [[...], ...]}}, got {spec!r}")
    if match := _UNSTRUCTURED.fullmatch(spec):
        if kernel != 3:
            raise ConfigError(f"support: kernel must be 3x3 for {spec!r}, got {kernel}x{kernel}")
        return UnstructuredSupport(int(match["size"]), kernel, seed)
    return Support.parse(spec, kernel)


def thinned(first: bool, kernel: Sequence[int], groups: int, size: int = NAMED_KERNEL) -> bool:
    """The papers' rule: whether a support of kernels of `size` x `size` taps goes into a convolution of a network.

    The network's first convolution, 1x1 and grouped ones, and kernels for which the support is not defined stay dense.
    """
    return not first and groups == 1 and tuple(kernel) == (size, size) != (1, 1)


def check_support(weights: Integers, support: AnySupport, what: str) -> None:
    """Raises ConfigError where a weight off the support is not zero. weights: [cout, cin, K, K]."""
    stray = np.argwhere((np.asarray(weights) != 0) & ~support.mask(*weights.shape[:2]))
    if len(stray):
        index = [int(i) for i in stray[0]]
        raise ConfigError(
            f"{what}: must be zero outside the support {support.name}, got {len(stray)} nonzero, the first at "
            f"[cout, cin, row, column] = {index}"
        )


def _check_kernel(name: str, kernel: int) -> None:
    if isinstance(kernel, bool) or not isinstance(kernel, int) or kernel < 1:
        raise ConfigError(f"support {name}: kernel size: must be 1 or more, got {kernel!r}")
