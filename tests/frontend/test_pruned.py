"""Zeros of pruned weights as supports."""

from __future__ import annotations

import numpy as np
import pytest

from pymodel.frontend.graph import INPUT, Graph, Node
from pymodel.frontend.pruned import candidates, with_supports
from pymodel.network.supports import MaskSupport, Support, make_support


def graph(weight: np.ndarray) -> Graph:
    keys = {"stride": (1, 1), "pads": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1, "support": None}
    shape = (len(weight), 4, 4)
    conv = Node("conv", "conv2d", (INPUT,), shape, "conv (Conv)", "conv", keys, {"weight": weight})
    return Graph("pruned", (weight.shape[1], 4, 4), (conv,), ("conv",))


def weights(support: Support, cout: int, cin: int) -> np.ndarray:
    return (np.random.default_rng(0).normal(size=(cout, cin, 3, 3)) + 10) * support.mask(cout, cin)


@pytest.mark.parametrize("name", ["PSD1_P16", "PSD4_P8", "PS4_P4", "PS1_P9", "PSD2_P12"])
def test_the_support_that_weights_were_trained_with_is_found(name: str) -> None:
    found, told = with_supports(graph(weights(Support.parse(name, 3), 20, 32)), masks=False)
    assert found.nodes[0].attributes["support"] == name
    assert (told[0].support, told[0].nearest, told[0].stray) == (name, name, 0)


def test_some_more_zeros_on_it_change_nothing() -> None:
    weight = weights(Support.parse("PSD2_P8", 3), 24, 24)
    rng = np.random.default_rng(1)
    weight[rng.random(weight.shape) < 0.05] = 0
    found, _ = with_supports(graph(weight), masks=False)
    assert found.nodes[0].attributes["support"] == "PSD2_P8"


def test_what_misses_a_support_by_a_few_taps_is_told() -> None:
    support = Support.parse("PSD1_P16", 3)
    weight = weights(support, 16, 32)
    stray = np.argwhere(~support.mask(16, 32))[[3, 500, 2000]]
    weight[tuple(stray.T)] = 1.0
    found, told = with_supports(graph(weight), masks=False)
    assert found.nodes[0].attributes["support"] is None
    assert (told[0].support, told[0].nearest, told[0].stray) == ("dense", "PSD1_P16", 3)
    assert told[0].nonzero == support.weights(16, 32) + 3
    assert "nearest is PSD1_P16, off which 3 of" in str(told[0])


def test_a_mask_stays_where_that_is_asked_for() -> None:
    weight = np.random.default_rng(0).normal(size=(8, 16, 3, 3))
    weight[np.random.default_rng(1).random(weight.shape) < 0.8] = 0
    found, told = with_supports(graph(weight), masks=True)
    support = make_support(found.nodes[0].attributes["support"], 3)
    assert isinstance(support, MaskSupport) and told[0].support == "mask"
    assert (support.mask(8, 16) == (weight != 0)).all()


def test_distances_are_those_of_whole_masks() -> None:
    """The nearest support, by the masks themselves."""
    weight = np.random.default_rng(2).normal(size=(10, 12, 3, 3))
    weight[np.random.default_rng(3).random(weight.shape) < 0.6] = 0
    mask = weight != 0
    _, told = with_supports(graph(weight), masks=False)
    distances = {support.name: int((mask != support.mask(10, 12)).sum()) for support in candidates(12)}
    assert distances[told[0].nearest] == min(distances.values())
    assert told[0].stray == int((mask & ~Support.parse(told[0].nearest, 3).mask(10, 12)).sum())


def test_a_dense_layer_is_none_of_its_business() -> None:
    found, told = with_supports(graph(np.ones((4, 4, 3, 3))), masks=True)
    assert found.nodes[0].attributes["support"] is None
    assert told == []
