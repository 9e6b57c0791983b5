"""Which products share a multiplier, against where the weights of an engine are."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymodel.common.errors import ConfigError
from pymodel.engine.packing import EngineShape

SUPPORTS = {"PSD1_P16": 16, "PSD4_P8": 8, "PSD2_P8": 8, "PS4_P4": 4, "PS1_P9": 9, "dense": 1}


def shape_of(support: str, To: int, R: int, Tb: int, fold: int, packing: int) -> EngineShape:
    period = SUPPORTS[support]
    sizes = {"cin": period * Tb, "cout": 2 * period * To, "kernel": 3, "padding": 1, "height": 2, "width": 2}
    bits = {"in_bits": 2, "weight_bits": 2, "acc_bits": 20}  # up to nine products in a multiplier
    return EngineShape(**sizes, **bits, support=support, To=To, R=R, Tb=Tb, fold=fold, packing=packing)


def activations(shape: EngineShape) -> np.ndarray:
    """int [steps, outputs, fold * M]: which activation each lane meets, by the definition of the support; -1: any."""
    step, output, place = np.indices((shape.steps, shape.outputs, shape.fold * shape.M))
    channel_out = shape.step_outputs[step, output]
    element = np.minimum(place, shape.elements - 1)
    variants, taps = np.array([pair for v, tap in enumerate(shape.support.taps) for pair in product([v], tap)]).T
    block, lane = element // shape.N, element % shape.N
    channel_in = block * shape.P + (variants[lane] - channel_out - 1) % shape.P
    return np.where(place < shape.elements, channel_in * 9 + taps[lane], -1)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_each_product_once_and_sharers_meet_one_activation(data: st.DataObject) -> None:
    support = data.draw(st.sampled_from(sorted(SUPPORTS)))
    period = SUPPORTS[support]
    R = data.draw(st.sampled_from([r for r in range(1, period + 1) if period % r == 0]))
    To, Tb, fold = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2)), data.draw(st.integers(1, 3))
    packing = data.draw(st.integers(2, 5))
    try:
        shape = shape_of(support, To, R, Tb, fold, packing)
    except ConfigError as error:
        assert "packing: must be 1" in str(error)
        shape = shape_of(support, To, R, Tb, fold, 1)
    found = [
        (output, lane)
        for one in shape.packed_sums
        for lanes in one.lanes
        for output, lane in zip(one.outputs, lanes, strict=True)
    ]
    assert sorted(found) == list(product(range(shape.outputs), range(shape.M)))
    met = activations(shape).reshape(shape.steps, shape.outputs, shape.fold, shape.M)
    for one in shape.packed_sums:
        assert len(one.lanes) <= shape.product_fields.group and len(one.outputs) <= shape.packing
        for lanes in one.lanes:
            own = met[:, list(one.outputs), :, list(lanes)]  # [users, steps, fold]
            assert (own == own[:1]).all()
    assert shape.multipliers == sum(len(one.lanes) for one in shape.packed_sums)


@pytest.mark.parametrize("support", ["PSD1_P16", "PSD4_P8", "PS4_P4"])
def test_as_few_multipliers_as_the_activations_allow(support: str) -> None:
    """With one fold: of each activation ceil(users / 2), counted by the activations alone."""
    period = SUPPORTS[support]
    for R in (r for r in range(2, period + 1) if period % r == 0):
        shape = shape_of(support, 1, R, 1, 1, 2)
        _, users = np.unique(activations(shape)[0], return_counts=True)
        assert shape.multipliers == sum(-(-users // 2))


def test_nothing_to_share_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"packing: must be 1 with To 1, R 1, fold 1, .* got 2"):
        shape_of("PSD1_P16", 1, 1, 1, 1, 2)
