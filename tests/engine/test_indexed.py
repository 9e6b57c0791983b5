"""The engine with an index beside each weight: its ROM and supports. Its outputs: test_engine_csim."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymodel.common.errors import ConfigError
from pymodel.engine.packing import EngineShape, pack_indices, pack_rom, pack_weights, unpack_indices, unpack_weights
from pymodel.network.supports import BlockSupport, make_support


@st.composite
def shapes(draw: st.DrawFn) -> EngineShape:
    """Small indexed engines, periodic supports and random ones."""
    period = draw(st.sampled_from([4, 8]))
    blocks = draw(st.integers(1, 3))
    support = draw(
        st.sampled_from(
            [
                make_support(f"PSD4_P{period}" if period == 8 else "PS4_P4", 3),
                BlockSupport(3, period, draw(st.integers(1, period * 9)), draw(st.integers(0, 9))),
            ]
        )
    )
    return EngineShape(
        cin=blocks * period - draw(st.integers(0, period - 1)),
        cout=draw(st.integers(1, 9)),
        kernel=3,
        padding=1,
        height=3,
        width=4,
        support=support,
        engine="indexed",
        R=draw(st.sampled_from([1, 1, 2, period])),
        Tb=draw(st.sampled_from([1, blocks])),
        fold=draw(st.integers(1, support.nonzeros)),
        acc_bits=32,
        weight_bits=draw(st.integers(2, 8)),
    )


@given(shapes(), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_an_index_names_the_place_of_its_weight(shape, seed):
    """Weights put where the indices say are the weights that were packed."""
    reach = 1 << (shape.weight_bits - 1)
    mask = shape.support.mask(shape.cout, shape.cin)
    weights = np.random.default_rng(seed).integers(-reach, reach, mask.shape) * mask
    words = pack_rom(weights, shape)
    above = shape.lanes * shape.weight_bits
    low, high = [w % (1 << above) for w in words], [w >> above for w in words]
    assert low == pack_weights(weights, shape) and high == pack_indices(shape)
    np.testing.assert_array_equal(unpack_weights(low, shape), weights)

    index = unpack_indices(high, shape)
    assert index.shape == (shape.NB, shape.steps, shape.R, shape.elements)
    place = index.min(initial=0), index.max(initial=0)
    assert 0 <= place[0] and place[1] < shape.positions
    found = np.zeros((shape.steps * shape.R, shape.NB * shape.Tb * shape.P, 9), bool)
    for block_set in range(shape.NB):
        for output in range(shape.steps * shape.R):
            chosen = index[block_set, output // shape.R, output % shape.R]
            channels = block_set * shape.Tb * shape.P + chosen // 9
            found[output, channels, chosen % 9] = True
    np.testing.assert_array_equal(found[: shape.cout, : shape.cin].reshape(mask.shape), mask)


@given(st.integers(1, 9), st.integers(1, 20), st.integers(1, 12), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_block_supports_are_balanced(cout, cin, nonzeros, seed):
    support = BlockSupport(3, 4, nonzeros, seed)
    padded = support.mask(cout, -(-cin // 4) * 4).reshape(cout, -1, 4 * 9)
    assert (padded.sum(axis=2) == nonzeros).all()
    np.testing.assert_array_equal(support.mask(cout, cin), BlockSupport(3, 4, nonzeros, seed).mask(cout, cin))


def test_the_periodic_engine_refuses_a_random_support():
    with pytest.raises(ConfigError, match="engine: must be indexed .* got periodic"):
        EngineShape(cin=4, cout=4, kernel=3, height=3, width=3, support=BlockSupport(3, 4, 5), acc_bits=32)
    with pytest.raises(ConfigError, match="weights of a block: must be 1 to 36, got 37"):
        BlockSupport(3, 4, 37)
