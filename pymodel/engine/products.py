"""Several products in one hardware multiplier: how many fit, and where each of them stands.

Weights w[0] .. w[q-1] of different outputs share an activation a. Packed into one operand they are multiplied at once:

    (sum of w[i] * 2**(i * spacing)) * a  =  sum of (w[i] * a) * 2**(i * spacing)

Activations of different pixels that share a weight change places with them: they are then the weights of what is below.

docs/reference/engine.md proves which spacing keeps the fields apart and how they are read;
hls/engine/products.hpp does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pymodel.common.errors import ConfigError


@dataclass(frozen=True)
class Fields:
    """Where the products of a multiplier stand. spacing: bits from one to the next, the same for weights and products.

    group: products that a field holds the sum of, a power of two.
    """

    spacing: int
    group: int


def operand_bits(products: int, spacing: int, weight_bits: int) -> int:
    """Bits of `products` packed weights: one more than they span, as all of them may be at their least."""
    return (products - 1) * spacing + weight_bits + (products > 1)


def most_products(weight_bits: int, activation_bits: int, multiplier_bits: int) -> int:
    """Products that a multiplier can make at once, whose wide operand has `multiplier_bits` bits.

    Every multiplier has another operand for the activation: 18 bits and more where an activation has 8 at most.
    """
    least = weight_bits + activation_bits - 1
    return 1 + max(0, multiplier_bits - weight_bits - 1) // least


@cache
def fields(products: int, weight_bits: int, activation_bits: int, lanes: int, multiplier_bits: int) -> Fields:
    """The fields that hold sums of as many products as possible, up to the `lanes` products that there are to add.

    Raises ConfigError where so many products do not fit the multiplier.
    """
    spacing, group = weight_bits + activation_bits - 1, 1
    if products == 1:
        return Fields(spacing, group)
    if products > (most := most_products(weight_bits, activation_bits, multiplier_bits)):
        raise ConfigError(
            f"packing: must be {'1' if most == 1 else f'1 to {most}'} for {weight_bits}-bit weights and "
            f"{activation_bits}-bit activations, got {products}: its operand has "
            f"{operand_bits(products, spacing, weight_bits)} bits, the device's multiplier {multiplier_bits}"
        )
    while group < lanes and operand_bits(products, spacing + 1, weight_bits) <= multiplier_bits:
        spacing, group = spacing + 1, 2 * group
    return Fields(spacing, group)
