"""The check sum of loaded weights: against its definition, and what it promises."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pymodel.top.check_sum import START, SYMBOL_BITS, TAPS, check_beats, check_sum

MODULUS = 1 << SYMBOL_BITS | TAPS


def times(a: int, b: int) -> int:
    """The product of two polynomials over GF(2), as integers, modulo MODULUS: by hand."""
    product = 0
    for at in range(b.bit_length()):
        if b >> at & 1:
            product ^= a << at
    while product.bit_length() > SYMBOL_BITS:
        product ^= MODULUS << (product.bit_length() - MODULUS.bit_length())
    return product


def power(base: int, exponent: int) -> int:
    result = 1
    for bit in f"{exponent:b}":
        result = times(result, result)
        if bit == "1":
            result = times(result, base)
    return result


def defined(beats: np.ndarray) -> bytes:
    """The sums, beat by beat and codeword by codeword."""
    count, size = beats.shape
    places = -(-size // 4)
    sums = []
    for base in (2, 4):
        for place in range(places):
            total = times(START, power(base, count))
            for at, beat in enumerate(beats):
                symbol = int.from_bytes(beat[4 * place : 4 * place + 4].tobytes(), "little")
                total ^= times(symbol, power(base, count - 1 - at))
            sums.append(total.to_bytes(4, "little"))
    return b"".join(sums).ljust(check_beats(8 * size) * size, b"\0")


beats = st.builds(
    lambda seed, count, size, zeros: (
        np.random.default_rng(seed).integers(0, 256, (count, size), np.uint8) * np.uint8(not zeros)
    ),
    st.integers(0, 9999),
    st.integers(1, 70),
    st.sampled_from([1, 2, 3, 4, 5, 8, 9, 16]),
    st.booleans(),
)


@given(beats)
@settings(max_examples=40, deadline=None)
def test_by_definition(given_beats):
    assert check_sum(given_beats).tobytes() == defined(given_beats)


def test_x_is_primitive():
    """Its order is 2**32 - 1 = 3 * 5 * 17 * 257 * 65537, so all beats of a packet have factors of their own."""
    order = (1 << SYMBOL_BITS) - 1
    assert order == 3 * 5 * 17 * 257 * 65537
    assert power(2, order) == 1 and all(power(2, order // prime) != 1 for prime in (3, 5, 17, 257, 65537))


@given(beats, st.data())
@settings(max_examples=200, deadline=None)
def test_any_two_damaged_beats_are_seen(given_beats, data):
    """Whatever becomes of them; check beats are beats as well."""
    whole = np.concatenate([given_beats, check_sum(given_beats)])
    damaged = whole.copy()
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=2)):
        other = st.sampled_from([whole[k].tobytes() for k in range(len(whole))])
        damaged[at] = np.frombuffer(
            data.draw(other | st.binary(min_size=whole.shape[1], max_size=whole.shape[1])), np.uint8
        )
    if not np.array_equal(damaged, whole):
        count = len(given_beats)
        assert not np.array_equal(check_sum(damaged[:count]), damaged[count:])


@given(beats, st.data())
@settings(max_examples=200, deadline=None)
def test_two_beats_that_changed_places_are_seen(given_beats, data):
    one, other = (data.draw(st.integers(0, len(given_beats) - 1)) for _ in range(2))
    swapped = given_beats.copy()
    swapped[[one, other]] = swapped[[other, one]]
    assert np.array_equal(swapped, given_beats) or not np.array_equal(check_sum(swapped), check_sum(given_beats))


def test_zeros_alone_are_no_weights():
    for size in (1, 4, 16):
        assert check_sum(np.zeros((100, size), np.uint8)).any()
