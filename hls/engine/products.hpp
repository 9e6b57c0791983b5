// SPDX-License-Identifier: Apache-2.0
//
// Dot products of a step's outputs, PACKING of them in each multiplier: outputs that share a place of the ring.
//
// PACKING outputs meet the same activation, so their weights share one operand, SPACING bits apart:
//
//   (w[0] + w[1] * 2^SPACING + ...) * a  =  w[0] * a + w[1] * a * 2^SPACING + ...
//
// A field is wide enough for the sum of GROUP products, so packed products are added as they are and taken
// apart once for all of a group. docs/reference/engine.md proves that the fields stay apart.
//
// \tparam C  configuration of an engine (geometry.hpp)
#ifndef PSCONV_PRODUCTS_HPP
#define PSCONV_PRODUCTS_HPP

#include "operands.hpp"

namespace psconv {

template <class C> struct Packing {
  static constexpr int LEAST = C::WEIGHT_BITS + C::IN_BITS - 1;  // bits that tell all products apart
  static constexpr int GROUP = 1 << (C::SPACING - LEAST);
  static constexpr int OPERAND_BITS = (C::PACKING - 1) * C::SPACING + C::WEIGHT_BITS + (C::PACKING > 1);

  static_assert(C::SPACING >= LEAST, "SPACING keeps the products apart");
  static_assert(C::TO % C::PACKING == 0, "PACKING divides TO");

  using Operand = ap_int<OPERAND_BITS>;
  using Sum = ap_int<C::PACKING * C::SPACING + 1>;  // of the packed products of a group
  using Field = ap_int<C::SPACING + 1>;             // of one output, as a number of its own
};

// The weights of outputs first .. first + PACKING - 1 for multiplier j.
template <class C>
typename Packing<C>::Operand packed_weights(const typename Geometry<C>::Weights& word, int first, int j) {
#pragma HLS INLINE
  typename Packing<C>::Operand packed = 0;
  for (int i = 0; i < C::PACKING; ++i) {
#pragma HLS UNROLL
    const int output = first + C::PACKING - 1 - i;
    packed = (packed << C::SPACING) + field<C::WEIGHT_BITS>(word, output * C::LANES_PER_OUTPUT + j);
  }
  return packed;
}

// Adds the fields of `packed` to the sums of outputs first .. first + PACKING - 1.
template <class C>
void add_fields(const typename Packing<C>::Sum& packed, int first,
                typename Geometry<C>::Accumulator (&dot)[Geometry<C>::OUTPUTS]) {
#pragma HLS INLINE
  bool below = false;  // whether the fields below are negative together: then they have borrowed from here
  for (int i = 0; i < C::PACKING; ++i) {
#pragma HLS UNROLL
    typename Packing<C>::Field value = packed >> (i * C::SPACING);
    const bool borrowed = below;
    if (i < C::PACKING - 1) {
      // The least number of SPACING bits is no sum: where it stands the greatest is meant, half the range.
      const ap_uint<C::SPACING - 1> low = value;
      below = value[C::SPACING - 1] && low != 0;
      value[C::SPACING] = below;
    }
    dot[first + i] += value;
    dot[first + i] += borrowed;
  }
}

// The sums over the multipliers in a fold, output by output.
template <class C>
void dot_products(const typename Geometry<C>::Weights& word, const Ring<C>& ring, int fold,
                  typename Geometry<C>::Accumulator (&dot)[Geometry<C>::OUTPUTS]) {
#pragma HLS INLINE
  for (int k = 0; k < Geometry<C>::OUTPUTS; k += C::PACKING) {
#pragma HLS UNROLL
    for (int i = 0; i < C::PACKING; ++i) {
#pragma HLS UNROLL
      dot[k + i] = 0;
    }
    for (int start = 0; start < C::LANES_PER_OUTPUT; start += Packing<C>::GROUP) {
#pragma HLS UNROLL
      typename Packing<C>::Sum sum = 0;
      for (int i = 0; i < Packing<C>::GROUP; ++i) {
#pragma HLS UNROLL
        const int j = start + i;
        if (j < C::LANES_PER_OUTPUT) {
          sum += packed_weights<C>(word, k, j) * Operands<C>::at(ring, word, k, j, fold);
        }
      }
      add_fields<C>(sum, k, dot);
    }
  }
}

}  // namespace psconv

#endif
