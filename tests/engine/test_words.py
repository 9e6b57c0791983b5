"""Words of a tensor against one bit after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymodel.common.errors import ConfigError
from pymodel.engine.words import Words

tensors = st.builds(
    Words,
    channels=st.integers(1, 20),
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    bits=st.integers(2, 8),
    group=st.integers(1, 17),
)


@given(words=tensors, images=st.integers(0, 2), seed=st.integers(0, 2**16))
@settings(max_examples=80, deadline=None)
def test_fields_lie_where_the_interface_says(words: Words, images: int, seed: int) -> None:
    reach = 1 << (words.bits - 1)
    shape = (images, words.channels, words.height, words.width)
    values = np.random.default_rng(seed).integers(-reach, reach, shape)
    expected = []
    for image in values:
        for row in range(words.height):
            for column in range(words.width):
                for first in range(0, words.channels, words.group):
                    word = 0
                    for k, value in enumerate(image[first : first + words.group, row, column].tolist()):
                        word |= (value % (1 << words.bits)) << (k * words.bits)
                    expected.append(word.to_bytes(words.word_bytes, "little"))
    packed = words.pack(values, "x")
    assert [bytes(word) for word in packed] == expected
    assert packed.shape == (images * words.count, words.word_bytes)
    np.testing.assert_array_equal(words.unpack(packed, "y"), values)


def test_refuses_what_is_no_tensor() -> None:
    words = Words(channels=3, height=2, width=2, bits=4, group=2)
    with pytest.raises(ConfigError, match="shape"):
        words.pack(np.zeros((1, 3, 2, 1), int), "x")
    with pytest.raises(ConfigError, match="4 bits"):
        words.pack(np.full((1, 3, 2, 2), 8), "x")
    packed = words.pack(np.zeros((1, 3, 2, 2), int), "x")
    with pytest.raises(ConfigError, match="whole images"):
        words.unpack(packed[:-1], "y")
    packed[1, 0] = 0x10  # the channel that the second group lacks
    with pytest.raises(ConfigError, match="padding"):
        words.unpack(packed, "y")
