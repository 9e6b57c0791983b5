// SPDX-License-Identifier: Apache-2.0
//
// Sums -> means, to the nearest integer, halves upwards. Defined in docs/reference/interfaces.md, "Numbers".
#ifndef PSCONV_MEAN_HPP
#define PSCONV_MEAN_HPP

#include "requantise.hpp"

namespace psconv {

// Of a power of two of elements: a shift.
//
// \tparam C  configuration: OUT_BITS; MULTIPLIER of MULTIPLIER_BITS, 1 for a power of two; SHIFT; DOUBLED, whether the
//            multiplier is for twice a sum and one; RELU, false; LARGEST, HALVES_TO_EVEN
template <class C, bool MULTIPLIED = (C::MULTIPLIER > 1)> struct Mean {
  template <int W> static ap_int<C::OUT_BITS> of(const ap_int<W>& sum) {
#pragma HLS INLINE
    return requantise<C>(sum);
  }
};

// Of any other number. A mean never saturates: its elements have OUT_BITS. (2 * sum + 1) * MULTIPLIER is made of the
// sum alone, the narrowest operand that there is. The mean of an odd number is never a half; a half of an even one goes
// up.
template <class C> struct Mean<C, true> {
  static_assert(!C::HALVES_TO_EVEN || !C::DOUBLED, "no halves, or halves that go up");

  template <int W> static ap_int<C::OUT_BITS> of(const ap_int<W>& sum) {
#pragma HLS INLINE
    using Product = ap_int<W + C::MULTIPLIER_BITS + 2>;
    const Product half = Product(1) << (C::SHIFT - 1);
    const Product product = sum * ap_uint<C::MULTIPLIER_BITS + 1>(C::DOUBLED ? 2 * C::MULTIPLIER : C::MULTIPLIER);
    const Product offset = half + Product(C::DOUBLED ? C::MULTIPLIER : 0);
    return ap_int<C::OUT_BITS>(Product(product + offset) >> C::SHIFT);
  }
};

}  // namespace psconv

#endif
