"""The check sum of weights that are loaded; hls/engine/check_sum.hpp is the same in hardware.

A beat is cut into symbols of 32 bits, the last one filled up with zeros; the symbols at one place of all beats are a
codeword, which has check sums of its own. Symbols are elements of GF(2**32), polynomials modulo
x**32 + x**22 + x**2 + x + 1, which is primitive. The two sums of a codeword are

    START * a**n + b[0] * a**(n - 1) + ... + b[n - 1] * a**0        for a = x and a = x**2

over its n symbols b. That is a Reed-Solomon code with two check symbols (Reed, Solomon: Polynomial codes over certain
finite fields, 1960): its distance is 3, as long as there are fewer than 2**32 - 1 beats. So whatever happens to one
or two beats is seen, and that two different beats changed places. START is no zero, so that zeros alone are no good
weights. Damage of three beats or more passes with a probability of 2**-64, or less where a beat has more symbols.
"""

from __future__ import annotations

import numpy as np

from pymodel.common.arrays import UInt8, UInt32

SYMBOL_BITS = 32
TAPS = 1 << 22 | 1 << 2 | 1 << 1 | 1  # what x**32 is
START = 0xFFFFFFFF
POWERS = (1, 2)  # of x, for the two sums


def check_beats(beat_bits: int) -> int:
    """Beats of the check sum of beats of so many bits."""
    return -(-len(POWERS) * SYMBOL_BITS * -(-beat_bits // SYMBOL_BITS) // beat_bits)


def check_sum(beats: UInt8) -> UInt8:
    """uint8 [check beats, bytes] of beats uint8 [n, bytes]: both sums, lowest bits first, filled up with zeros."""
    count, size = beats.shape
    places = -(-8 * size // SYMBOL_BITS)
    octets = np.zeros((count, 4 * places), np.uint8)
    octets[:, :size] = beats
    symbols = octets.view("<u4")
    sums = np.concatenate([_sum(symbols, power) for power in POWERS]).astype("<u4").view(np.uint8)
    filled = np.zeros(check_beats(8 * size) * size, np.uint8)
    filled[: len(sums)] = sums
    return filled.reshape(-1, size)


def _sum(symbols: UInt32, power: int) -> UInt32:
    """The sum of each codeword, uint32 [places], for a = x**power; symbols: uint32 [n, places].

    Halves n in each turn.
    """
    terms = np.concatenate([np.full((1, symbols.shape[1]), START, np.uint32), symbols])
    factor = _shifted(power)  # a, as what it makes of 1, x, ..., x**31
    while len(terms) > 1:
        if len(terms) % 2:
            terms = np.concatenate([np.zeros_like(terms[:1]), terms])
        terms = _times(factor, terms[::2]) ^ terms[1::2]
        factor = _times(factor, factor)
    last: UInt32 = terms[0]
    return last


def _times(factor: UInt32, elements: UInt32) -> UInt32:
    """Products of elements, uint32, with one that is given by its products with 1, x, ..., x**31."""
    product = np.zeros_like(elements)
    for at, column in enumerate(factor):
        product ^= (elements >> np.uint32(at) & np.uint32(1)) * column
    return product


def _shifted(power: int) -> UInt32:
    """uint32 [32]: 1, x, ..., x**31, each times x**power."""
    elements = [1 << at for at in range(SYMBOL_BITS)]
    for _ in range(power):
        elements = [(e << 1 & START) ^ (TAPS if e >> SYMBOL_BITS - 1 else 0) for e in elements]
    return np.array(elements, np.uint32)
