"""Supports against the papers' definitions, written out here a second time, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymodel.common.errors import ConfigError
from pymodel.network.supports import PAPER_VARIANTS, Support, UnstructuredSupport, check_support, make_support

FULL = tuple(range(9))
CORNERS = [(0, 1, 3, 4), (1, 2, 4, 5), (3, 4, 6, 7), (4, 5, 7, 8)]
PAIRS = [(0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8)]


def test_small_supports_written_out() -> None:
    assert Support.parse("PS4_P4", 3).taps == (CORNERS[3], CORNERS[0], CORNERS[1], CORNERS[2])
    assert Support.parse("PS2_P6", 3).taps == (PAIRS[5], *PAIRS[:5])
    assert Support.parse("PS1_P9", 3).taps == ((8,), (0,), (1,), (2,), (3,), (4,), (5,), (6,), (7,))
    assert Support.parse("PSD4_P8", 3).taps == (FULL, *CORNERS, *CORNERS[:3])
    assert Support.parse("PSD2_P8", 3).taps == (FULL, *PAIRS, PAIRS[0])
    assert Support.parse("PSD1_P16", 3).taps == (FULL, *((t % 9,) for t in range(15)))
    assert Support.parse("dense", 3).taps == (FULL,)
    assert Support.parse("dense", 1).taps == ((0,),)
    assert Support.parse("dense", 5).nonzeros == 25


@pytest.mark.parametrize(
    ("name", "nonzeros"),
    [
        ("dense", 9),
        ("PS4_P4", 16),
        ("PS2_P6", 12),
        ("PS1_P9", 9),
        ("PSD4_P8", 37),
        ("PSD4_P16", 69),
        ("PSD2_P8", 23),
        ("PSD2_P16", 39),
        ("PSD1_P8", 16),
        ("PSD1_P16", 24),
    ],
)
def test_nonzeros_of_the_papers_networks(name: str, nonzeros: int) -> None:
    support = Support.parse(name, 3)
    assert support.nonzeros == nonzeros == len(support.elements())
    assert support.has_full_kernel == (name == "dense" or name.startswith("PSD"))
    assert support.index_bits() == (0 if name == "dense" else 9 * support.period)


def test_names_of_dense() -> None:
    assert Support.parse("pSC9", 3) == Support.parse("dense", 3)
    assert all(make_support(name, 3).kernel == 3 for name in PAPER_VARIANTS)


@given(st.sampled_from([1, 2, 4]), st.integers(1, 40), st.booleans())
def test_every_size_and_period(size: int, period: int, full: bool) -> None:
    name = f"PS{'D' * full}{size}_P{period}"
    support = Support.parse(name, 3)
    assert support.name == support.spec() == name
    assert support.period == period
    assert support.nonzeros == (period - 1) * size + (9 if full else size)
    assert [len(taps) for taps in support.taps[1:]] == [size] * (period - 1)
    # One cycle through the tap sets covers all nine taps.
    if period > 9:
        assert {tap for taps in support.taps[1:] for tap in taps} == set(FULL)
    assert support.elements() == sorted(support.elements())


@given(
    st.lists(st.sets(st.integers(0, 8), min_size=1), min_size=1, max_size=7),
    st.integers(1, 9),
    st.integers(1, 20),
)
def test_mask_kernel_by_kernel(taps: list[set[int]], cout: int, cin: int) -> None:
    support = Support.custom([sorted(row) for row in taps], 3)
    mask = support.mask(cout, cin)
    assert mask.shape == (cout, cin, 3, 3)
    assert mask.dtype == bool
    for o in range(cout):
        for i in range(cin):
            variant = (o + i + 1) % len(taps)
            assert support.variant(o, i) == variant
            assert set(np.flatnonzero(mask[o, i])) == taps[variant]
    assert support.weights(cout, cin) == mask.sum()
    assert make_support(support.spec(), 3) == support


@given(st.sampled_from(["PSD1_P16", "PS4_P4", "PSD4_P8", "PS1_P9"]), st.integers(1, 5), st.integers(0, 40))
def test_each_block_of_each_filter_has_n_nonzeros(name: str, blocks: int, output: int) -> None:
    support = Support.parse(name, 3)
    mask = support.mask(output + 1, blocks * support.period)[output]
    assert (mask.reshape(blocks, -1).sum(axis=1) == support.nonzeros).all()


def test_other_odd_kernels() -> None:
    support = Support.custom([[0, 24], [12]], 5)
    assert support.mask(1, 2)[0, 0].nonzero()[0].tolist() == [2]
    assert support.mask(1, 2)[0, 1].sum() == 2


@pytest.mark.parametrize("kss", [1, 2, 4])
def test_unstructured(kss: int) -> None:
    support = make_support(f"pSC{kss}", 3, seed=5)
    assert isinstance(support, UnstructuredSupport)
    mask = support.mask(40, 30)
    assert (mask.sum(axis=(2, 3)) == kss).all()
    assert mask.sum() == support.weights(40, 30)
    assert (mask == support.mask(40, 30)).all()
    assert (mask != UnstructuredSupport(kss, 3, 6).mask(40, 30)).any()
    # Every tap is used about equally often: 1200 * kss / 9 times.
    uses = mask.sum(axis=(0, 1))
    assert abs(uses - 1200 * kss / 9).max() < 6 * (1200 * kss / 9) ** 0.5
    assert support.index_bits(40, 30) == 40 * 30 * kss * 4


@pytest.mark.parametrize(
    "name",
    [
        "PSD1_P0",
        "PSD1_P",
        "PS3_P4",
        "PSD1P16",
        "psd1_p16",
        "PSD1_P016",
        "PSD1_P-3",
        "PSD9_P4",
        "",
        "pSC3",
        "PSD1_P16 ",
        "PSD1_P16\n",
        "PS1_P4097",
        "PS1_P" + "9" * 30,
    ],
)
def test_unknown_names(name: str) -> None:
    with pytest.raises(ConfigError, match="support"):
        make_support(name, 3)


@pytest.mark.parametrize(
    ("name", "kernel"),
    [("PSD1_P16", 1), ("PSD1_P16", 5), ("pSC9", 1), ("pSC4", 5), ("PS4_P4", 2), ("dense", 0)],
)
def test_names_for_other_kernels(name: str, kernel: int) -> None:
    with pytest.raises(ConfigError):
        make_support(name, kernel)


@pytest.mark.parametrize(
    ("taps", "says"),
    [
        ([], "period: must be 1 to 4096, got 0"),
        ([[]], "at least one tap"),
        ([[9]], "0 to 8"),
        ([[-1]], "0 to 8"),
        ([[1, 1]], "ascend"),
        ([[2, 1]], "ascend"),
        ([[True]], "integers"),
        ([["a", 1]], "integers"),
        ([[1.0]], "integers"),
    ],
)
def test_bad_taps(taps: list, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make_support({"taps": taps}, 3)


@pytest.mark.parametrize("spec", [{"tap": [[0]]}, {"taps": 3}, {"taps": [3]}, {"taps": [[0]], "x": 1}, 7, None])
def test_bad_specs(spec: object) -> None:
    with pytest.raises(ConfigError):
        make_support(spec, 3)


def test_custom_1x1_is_refused() -> None:
    with pytest.raises(ConfigError, match="dense"):
        Support.custom([[0]], 1)


def test_check_support_names_the_weight() -> None:
    support = Support.parse("PS1_P9", 3)
    weights = support.mask(4, 5).astype(np.int8)
    check_support(weights, support, "w")
    weights[2, 3, 1, 1] = 1
    assert not support.mask(4, 5)[2, 3, 1, 1]
    with pytest.raises(ConfigError, match=r"w: must be zero outside .*, got 1 nonzero, .*\[2, 3, 1, 1\]"):
        check_support(weights, support, "w")
