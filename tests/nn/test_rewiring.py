"""Rewiring: what moves where, computed a second time by sorting lists; supports keep their form and their number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from pymodel.common.arrays import all_but_smallest  # noqa: E402
from pymodel.common.errors import ConfigError  # noqa: E402
from pymodel.counts.complexity import complexity  # noqa: E402
from pymodel.engine.cycles import sequences, stream_depths  # noqa: E402
from pymodel.engine.packing import EngineShape  # noqa: E402
from pymodel.network.supports import MaskSupport, Support, make_support  # noqa: E402
from pymodel.network.topology import Conv  # noqa: E402
from pymodel.network.zoo import apply_variant, digits, resnet8, sparse_convs  # noqa: E402
from pymodel.nn.build import NetworkModule, nonzero_weights  # noqa: E402
from pymodel.nn.psconv2d import PSConv2d  # noqa: E402
from pymodel.nn.rewiring import (  # noqa: E402
    Rewiring,
    Units,
    by_element,
    first_network,
    moved,
    moved_taps,
    parts,
    prune_share,
)

torch.set_num_threads(1)
LAYERS = ("conv2", "conv3", "conv4")


def random_units(rng: np.random.Generator, ties: bool) -> Units:
    count = int(rng.integers(1, 40))
    present = rng.random(count) < rng.uniform(0.1, 1)
    present[rng.integers(count)] = True

    def scores() -> np.ndarray:
        return rng.integers(0, 3, count).astype(float) if ties else rng.random(count)

    return Units(present, scores(), scores(), float(rng.random() * (rng.random() < 0.8)))


def first_by(score: dict[int, float], count: int) -> list[int]:
    """The units of least score; of equal ones the first."""
    return sorted(score, key=lambda at: (score[at], at))[:count]


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**6), st.booleans(), st.floats(0, 0.9999))
def test_the_smallest_go_and_the_largest_momentum_comes(seed: int, ties: bool, share: float) -> None:
    rng = np.random.default_rng(seed)
    layers = [random_units(rng, ties) for _ in range(rng.integers(1, 5))]
    found = moved(layers, share)
    assert sum(map(np.count_nonzero, found)) == sum(np.count_nonzero(units.present) for units in layers)
    for units, now in zip(layers, found, strict=True):
        assert now.any()
        there = {at: units.magnitude[at] for at in np.flatnonzero(units.present)}
        pruned = first_by(there, math.floor(share * len(there)))
        stays = set(there) - set(pruned)
        absent = {at: -units.momentum[at] for at in range(len(now)) if at not in stays}
        grown = first_by(absent, np.count_nonzero(now) - len(stays))
        assert set(np.flatnonzero(now)) == stays | set(grown)


def test_layers_grow_by_their_part_of_the_mean_momentum() -> None:
    """On paper: 4 + 6 of 8 + 12 weights go; means 3 and 1 give the layers 3/4 and 1/4 of ten, 7.5 and 2.5."""
    rng = np.random.default_rng(0)
    here = np.arange(40) < np.array([[8], [12]])
    first, second = (
        Units(mask, rng.random(40), rng.random(40), pull) for mask, pull in zip(here, (3.0, 1.0), strict=True)
    )
    counts = [np.count_nonzero(now) for now in moved([first, second], 0.5)]
    assert counts == [4 + 8, 6 + 2]  # of equal remainders the first layer has the unit
    # Where the first layer has room for two only, the second takes the others.
    small = Units(np.ones(6, bool), rng.random(6), rng.random(6), 3.0)
    assert [np.count_nonzero(now) for now in moved([small, second], 0.5)] == [6, 12]
    assert [np.count_nonzero(now) for now in moved([first, second], 0.0)] == [8, 12]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.floats(0, 1e30), st.integers(0, 50)), min_size=1, max_size=8), st.data())
def test_parts_add_up_and_fit(layers: list[tuple[float, int]], data: st.DataObject) -> None:
    pulls, room = [pull for pull, _ in layers], [count for _, count in layers]
    total = data.draw(st.integers(0, sum(room)))
    found = parts(total, pulls, room)
    assert sum(found) == total and all(0 <= part <= most for part, most in zip(found, room, strict=True))
    whole = sum(pulls)
    # Who is not full has at least its quota, rounded down: what others have no room for adds to it.
    if whole > 0:
        for part, pull, most in zip(found, pulls, room, strict=True):
            assert part == most or part >= math.floor(total * pull / whole * (1 - 1e-9))
    if whole > 0 and all(total * pull / whole < most for pull, most in layers):
        for part, pull in zip(found, pulls, strict=True):
            assert abs(part - total * pull / whole) < 1 + 1e-9 * total


def test_the_share_falls_by_a_cosine_to_none() -> None:
    shares = [prune_share(0.5, epoch, 8) for epoch in range(1, 9)]
    assert shares == pytest.approx([0.25 * (1 + math.cos(math.pi * epoch / 8)) for epoch in range(1, 9)])
    assert shares[3] == pytest.approx(0.25) and shares[-1] == 0 and sorted(shares, reverse=True) == shares


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**6), st.booleans(), st.floats(0, 0.9999))
def test_taps_move_within_their_variant(seed: int, ties: bool, share: float) -> None:
    rng = np.random.default_rng(seed)
    period, taps = int(rng.integers(1, 10)), int(rng.choice([4, 9, 25]))
    table = rng.random((period, taps)) < rng.random()
    table[:, rng.integers(taps)] = True
    table[rng.integers(period)] |= rng.random() < 0.5  # a full kernel
    shape = (period, taps)
    magnitude, momentum = (rng.integers(0, 3, shape).astype(float) if ties else rng.random(shape) for _ in range(2))
    found = moved_taps(table, magnitude, momentum, share)
    assert (found.sum(axis=1) == table.sum(axis=1)).all()
    movable = {
        variant * taps + tap: magnitude[variant, tap]
        for variant, tap in np.argwhere(table).tolist()
        if not table[variant].all()
    }
    pruned = set(first_by(movable, math.floor(share * len(movable))))
    for variant in range(period):
        stays = {tap for tap in np.flatnonzero(table[variant]).tolist() if variant * taps + tap not in pruned}
        absent = {tap: -momentum[variant, tap] for tap in range(taps) if tap not in stays}
        grown = first_by(absent, int(table[variant].sum()) - len(stays))
        assert set(np.flatnonzero(found[variant]).tolist()) == stays | set(grown)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.integers(0, 100))
def test_scores_of_taps_are_sums_over_the_kernels_of_a_variant(cout: int, cin: int, period: int, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal((cout, cin, 3, 3))
    expected = np.zeros((period, 9))
    for o in range(cout):
        for i in range(cin):
            expected[(o + i + 1) % period] += np.abs(values[o, i]).ravel()
    found = by_element(values, Support.parse(f"PS2_P{period}", 3))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("count", [0, 1, 4, 7])
def test_of_equal_scores_the_first_go(count: int) -> None:
    stays = all_but_smallest(np.array([1.0, 0.0, 1.0, 1.0, 0.0, 2.0, 1.0]), count)
    assert np.flatnonzero(~stays).tolist() == sorted([1, 4, 0, 2, 3, 6, 5][:count])


# A network


def rewirable(granularity: str, variant: str = "dense", density: float | None = 0.1, seed: int = 0) -> NetworkModule:
    network, layers = first_network(digits(), granularity, variant, density, seed)
    assert layers == LAYERS == sparse_convs(digits())
    torch.manual_seed(seed)
    return NetworkModule(network)


@pytest.mark.parametrize("density", [1e-9, 0.0123, 0.05, 0.5, 1.0])
def test_the_first_masks_have_the_density(density: float) -> None:
    module = rewirable("irregular", density=density)
    for name in LAYERS:
        conv = module.conv(name)
        assert isinstance(conv, PSConv2d)
        assert int((~conv.pruned).sum()) == max(1, round(density * conv.weight.numel()))
    channels = rewirable("channel", density=density)
    for name in LAYERS:
        conv = channels.conv(name)
        present = (~conv.pruned).any(dim=(0, 2, 3))
        assert torch.equal(~conv.pruned, present[None, :, None, None].expand_as(conv.pruned))  # whole channels
        assert int(present.sum()) == max(1, round(density * conv.in_channels))


@pytest.mark.parametrize("variant", ["PSD1_P16", "PS1_P9", "pSC2"])
def test_as_many_weights_as_a_variant_leaves(variant: str) -> None:
    module = rewirable("irregular", variant, None)
    assert nonzero_weights(module) == complexity(apply_variant(digits(), variant)).total("weights")
    other = first_network(digits(), "irregular", variant, None, 1)[0]
    assert other != module.network == first_network(digits(), "irregular", variant, None, 0)[0]


def test_networks_that_cannot_be_rewired() -> None:
    with pytest.raises(ConfigError, match="network.variant: must be a periodic support .* got pSC2"):
        first_network(digits(), "taps", "pSC2", None, 0)
    with pytest.raises(ConfigError, match="support.*PS3_P4"):
        first_network(digits(), "irregular", "PS3_P4", None, 0)
    small = digits()
    one = type(small)(name="one", input=small.input, layers=[small.layers[0]], output="conv1")
    with pytest.raises(ConfigError, match="rewire: one has no convolution that a variant changes"):
        first_network(one, "irregular", "dense", 0.5, 0)


def test_the_gradient_is_that_of_all_weights() -> None:
    """As a dense convolution has it whose weights are zero where none is."""
    module = rewirable("irregular")
    Rewiring(module, LAYERS, "irregular")
    conv = module.conv("conv3")
    twin = torch.nn.Conv2d(32, 32, 3, padding=1, bias=False)
    with torch.no_grad():
        conv.weight.add_(torch.randn_like(conv.weight))  # what lies off the mask has no say
        twin.weight.copy_(conv.weight * ~conv.pruned)
    images = torch.randn(3, 32, 5, 4)
    for one in (conv, twin):
        one(images).square().sum().backward()
    assert torch.equal(conv(images), twin(images))
    torch.testing.assert_close(conv.weight.grad, twin.weight.grad)
    assert conv.weight.grad[conv.pruned].any()


@pytest.mark.parametrize("granularity", ["irregular", "channel", "taps"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_network_is_rewired(granularity: str, share: float) -> None:
    module = rewirable(granularity, *(("PS2_P6", None) if granularity == "taps" else ("dense", 0.3)))
    rewiring = Rewiring(module, LAYERS, granularity)
    generator = torch.Generator().manual_seed(1)
    momenta = {
        id(module.conv(name).weight): torch.randn(module.conv(name).weight.shape, generator=generator) * scale
        for name, scale in zip(LAYERS, (1, 2, 3), strict=True)
    }
    before = {name: module.conv(name).weight.detach().clone() for name in LAYERS}
    masks = {name: ~module.conv(name).pruned.clone() for name in LAYERS}
    expected = rewired_by_hand(granularity, module, momenta, share)
    first = rewiring.supports()
    count = rewiring.rewire(lambda weight: momenta[id(weight)], share)
    for name in LAYERS:
        conv = module.conv(name)
        assert np.array_equal(~conv.pruned.numpy(), expected[name])
        kept = ~conv.pruned & masks[name]
        assert torch.equal(conv.weight.detach(), torch.where(kept, before[name], 0))  # what is new begins at zero
    assert (count > 0) == (share > 0) and (first == rewiring.supports()) == (count == 0)
    topology = rewiring.moved_network()
    for name in LAYERS:
        layer = topology.layer(name)
        assert isinstance(layer, Conv)
        support = layer.make_support()
        assert np.array_equal(support.mask(*before[name].shape[:2]), expected[name])
        if granularity == "taps":
            assert isinstance(support, Support) and support.period == 6
            assert [len(taps) for taps in support.taps] == [2] * 6
        else:
            assert isinstance(support, MaskSupport)
    fresh = rewirable(granularity, *(("PS2_P6", None) if granularity == "taps" else ("dense", 0.3)))
    again = Rewiring(fresh, LAYERS, granularity)
    again.move(rewiring.supports())
    assert again.supports() == rewiring.supports()
    assert again.moved_network() == topology
    with pytest.raises(ConfigError, match="supports: must be of conv2, conv3, conv4"):
        again.move({"conv2": "dense"})


def rewired_by_hand(
    granularity: str, module: NetworkModule, momenta: dict[int, torch.Tensor], share: float
) -> dict[str, np.ndarray]:
    """Masks after rewiring, in loops over weights: how many units each layer regrows, then which."""
    weights = {name: module.conv(name).weight.detach().double().numpy() for name in LAYERS}
    pulls = {name: np.abs(momenta[id(module.conv(name).weight)].double().numpy()) for name in LAYERS}
    masks = {name: ~module.conv(name).pruned.numpy() for name in LAYERS}

    def unit(o: int, i: int, tap: int) -> tuple[int, ...]:
        return {"irregular": (o, i, tap), "channel": (i,), "taps": ((o + i + 1) % 6, tap)}[granularity]

    magnitude: dict[str, dict[tuple[int, ...], float]] = {name: {} for name in LAYERS}
    momentum: dict[str, dict[tuple[int, ...], float]] = {name: {} for name in LAYERS}
    present: dict[str, set[tuple[int, ...]]] = {name: set() for name in LAYERS}
    power = 2 if granularity == "channel" else 1  # Frobenius norms go by sums of squares
    for name in LAYERS:
        for o, i, row, column in np.ndindex(*weights[name].shape):
            key = unit(o, i, 3 * row + column)
            at = (o, i, row, column)
            magnitude[name][key] = magnitude[name].get(key, 0.0) + abs(weights[name][at]) ** power
            momentum[name][key] = momentum[name].get(key, 0.0) + pulls[name][at] ** power
            if masks[name][at]:
                present[name].add(key)
    stays = {}
    for name in LAYERS:
        order = sorted(present[name], key=lambda key: magnitude[name][key])
        stays[name] = set(order[math.floor(share * len(order)) :])
    lost = {name: len(present[name]) - len(stays[name]) for name in LAYERS}
    if granularity == "taps":
        for name in LAYERS:
            for variant in range(6):
                gone = 2 - len([key for key in stays[name] if key[0] == variant])
                free = [(variant, tap) for tap in range(9) if (variant, tap) not in stays[name]]
                stays[name] |= set(sorted(free, key=lambda key: -momentum[name][key])[:gone])
    else:
        means = {name: pulls[name][masks[name]].mean() for name in LAYERS}
        quotas = {name: sum(lost.values()) * means[name] / sum(means.values()) for name in LAYERS}
        room = {name: len(magnitude[name]) - len(stays[name]) for name in LAYERS}
        assert all(quotas[name] < room[name] for name in LAYERS), "no layer is full in this test"
        grown = {name: math.floor(quotas[name]) for name in LAYERS}
        for name in sorted(LAYERS, key=lambda name: grown[name] - quotas[name])[
            : sum(lost.values()) - sum(grown.values())
        ]:
            grown[name] += 1
        for name in LAYERS:
            free = [key for key in magnitude[name] if key not in stays[name]]
            stays[name] |= set(sorted(free, key=lambda key: -momentum[name][key])[: grown[name]])
    found = {}
    for name in LAYERS:
        found[name] = np.zeros(weights[name].shape, bool)
        for o, i, row, column in np.ndindex(*weights[name].shape):
            found[name][o, i, row, column] = unit(o, i, 3 * row + column) in stays[name]
    return found


def test_a_support_moves_and_its_new_weights_are_zero() -> None:
    conv = PSConv2d(4, 3, 3, support="PS1_P9", bias=False)
    with torch.no_grad():
        conv.weight.fill_(7)
    to = make_support("PS2_P6", 3)
    both = conv.support.mask(3, 4) & to.mask(3, 4)
    conv.move(to)
    assert np.array_equal(conv.weight.detach().numpy(), np.where(both, 7, 0))
    assert conv.support is to and np.array_equal(conv.pruned.numpy(), ~to.mask(3, 4))


def test_residual_networks_are_rewired_in_the_layers_of_a_variant() -> None:
    network, layers = first_network(resnet8(), "taps", "PSD2_P8", None, 0)
    assert layers == sparse_convs(resnet8()) and network == apply_variant(resnet8(), "PSD2_P8")


@pytest.mark.parametrize("parallelism", [{}, {"To": 2}, {"R": 4}, {"Tx": 2}, {"fold": 2}], ids=str)
def test_taps_that_moved_cost_what_they_did(parallelism: dict[str, int]) -> None:
    """Weights, lanes, cycles and stream depths of an engine go by how many taps its variants have, not by which."""
    before, rng = Support.parse("PSD2_P8", 3), np.random.default_rng(0)
    after = moved_taps(before.table(), rng.random((8, 9)), rng.random((8, 9)), 0.8)
    moved_support = Support.custom([np.flatnonzero(taps).tolist() for taps in after], 3)
    assert moved_support.taps != before.taps
    shapes = [
        EngineShape(
            cin=12, cout=16, height=8, width=8, kernel=3, support=support, in_bits=8, weight_bits=8, out_bits=8,
            relu=True, shift=4, acc_bits=20, **parallelism,
        )
        for support in (before, moved_support)
    ]  # fmt: skip
    timing = [
        [(process.iterations, process.reads.tolist(), process.writes.tolist()) for process in sequences(shape)]
        for shape in shapes
    ]
    assert timing[0] == timing[1] and len(timing[0]) > 2
    assert shapes[0].lanes == shapes[1].lanes and stream_depths(shapes[0]) == stream_depths(shapes[1])
    assert before.weights(16, 12) == moved_support.weights(16, 12)
