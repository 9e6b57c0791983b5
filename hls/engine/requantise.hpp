// SPDX-License-Identifier: Apache-2.0
//
// Sums -> output activations. Defined in words and formula in docs/maths.md.
#ifndef PSCONV_REQUANTISE_HPP
#define PSCONV_REQUANTISE_HPP

#include "geometry.hpp"

namespace psconv {

// Add half, shift right, saturate; ReLU is saturation at zero.
template <class C, int W> ap_int<C::OUT_BITS> requantise(const ap_int<W>& sum) {
#pragma HLS INLINE
  const int largest = (1 << (C::OUT_BITS - 1)) - 1;
  const int smallest = C::RELU ? 0 : -largest - 1;
  const int shift = C::SHIFT;
  const int half = int((1LL << C::SHIFT) >> 1);
  typedef ap_int<larger(W, C::SHIFT) + 1> Rounded;  // holds sum + half

  const Rounded rounded = Rounded(sum + half) >> shift;
  if (rounded > largest) return largest;
  if (rounded < smallest) return smallest;
  return ap_int<C::OUT_BITS>(rounded);
}

}  // namespace psconv

#endif
