// SPDX-License-Identifier: Apache-2.0
//
// Dot products of a step's outputs, up to PACKING products in each multiplier.
//
// Where outputs meet the same activation their weights share one operand, SPACING bits apart:
//
//   (w[0] + w[1] * 2^SPACING + ...) * a  =  w[0] * a + w[1] * a * 2^SPACING + ...
//
// Where pixels are at work at once their activations share an operand in the same way, times the weight that they
// have in common (PACKS_PIXELS). A field is wide enough for the sum of GROUP products, so packed products are added
// as they are and taken apart once for all of a group. docs/reference/engine.md proves that the fields stay apart.
//
// \tparam C  configuration of an engine (geometry.hpp)
#ifndef PSCONV_PRODUCTS_HPP
#define PSCONV_PRODUCTS_HPP

#include "operands.hpp"

namespace psconv {

template <class C> using Accumulators = typename Geometry<C>::Accumulator[C::TX * Geometry<C>::OUTPUTS];

template <class C> struct Packing {
  static constexpr int LEAST = C::WEIGHT_BITS + C::IN_BITS - 1;  // bits that tell all products apart
  static constexpr int GROUP = 1 << (C::SPACING - LEAST);
  static constexpr int OPERAND_BITS =
      (C::PACKING - 1) * C::SPACING + (C::PACKS_PIXELS ? C::IN_BITS : C::WEIGHT_BITS) + (C::PACKING > 1);

  static_assert(C::SPACING >= LEAST, "SPACING keeps the products apart");

  using Operand = ap_int<OPERAND_BITS>;
  using Sum = ap_int<C::PACKING * C::SPACING + 1>;  // of the packed products of a group
  using Field = ap_int<C::SPACING + 1>;             // of one output, as a number of its own
};

// The weights of multiplier m, whose products are of the outputs of `sum`.
template <class C>
typename Packing<C>::Operand packed_weights(const typename Geometry<C>::Weights& word, int sum, int m) {
#pragma HLS INLINE
  typename Packing<C>::Operand packed = 0;
  for (int i = C::PACKING - 1; i >= 0; --i) {
#pragma HLS UNROLL
    const int output = C::sum_output(sum, i);
    packed = packed << C::SPACING;
    if (output >= 0) packed += field<C::WEIGHT_BITS>(word, output * C::LANES_PER_OUTPUT + C::multiplier_lane(m, i));
  }
  return packed;
}

// The activations of pixels first .. first + PACKING - 1 for lane j of output k.
template <class C>
typename Packing<C>::Operand packed_activations(const typename Geometry<C>::Weights& word, const Ring<C>& ring,
                                                int first, int k, int j, int fold) {
#pragma HLS INLINE
  typename Packing<C>::Operand packed = 0;
  for (int i = C::PACKING - 1; i >= 0; --i) {
#pragma HLS UNROLL
    packed = (packed << C::SPACING) + Operands<C>::at(ring, word, first + i, k, j, fold);
  }
  return packed;
}

// Adds the fields of a sum of packed products, each to dot[sums[field]]; -1: to none.
template <class C>
void add_fields(const typename Packing<C>::Sum& packed, const int (&sums)[C::PACKING], Accumulators<C>& dot) {
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
    if (sums[i] >= 0) {
      dot[sums[i]] += value;
      dot[sums[i]] += borrowed;
    }
  }
}

// What the products of a multiplier share.
enum Sharing { NOTHING, ACTIVATION, WEIGHT };

template <class C> constexpr Sharing sharing() {
  return C::PACKING == 1 ? NOTHING : C::PACKS_PIXELS ? WEIGHT : ACTIVATION;
}

// The sums over the multipliers in a fold, output by output of all pixels.
//
// \tparam SHARED  what the products of a multiplier share
template <class C, Sharing SHARED = sharing<C>()> struct DotProducts {
  static void of(const typename Geometry<C>::Weights& word, const Ring<C>& ring, int fold, Accumulators<C>& dot) {
#pragma HLS INLINE
    for (int n = 0; n < C::TX * Geometry<C>::OUTPUTS; ++n) {
#pragma HLS UNROLL
      const int t = n / Geometry<C>::OUTPUTS, k = n % Geometry<C>::OUTPUTS;
      dot[n] = 0;
      for (int j = 0; j < C::LANES_PER_OUTPUT; ++j) {
#pragma HLS UNROLL
        dot[n] += field<C::WEIGHT_BITS>(word, k * C::LANES_PER_OUTPUT + j) * Operands<C>::at(ring, word, t, k, j, fold);
      }
    }
  }
};

// The weights of several outputs for the same activation.
template <class C> struct DotProducts<C, ACTIVATION> {
  static void of(const typename Geometry<C>::Weights& word, const Ring<C>& ring, int fold, Accumulators<C>& dot) {
#pragma HLS INLINE
    for (int n = 0; n < C::TX * Geometry<C>::OUTPUTS; ++n) {
#pragma HLS UNROLL
      dot[n] = 0;
    }
    for (int n = 0; n < C::TX * C::PACKED_SUMS; ++n) {
#pragma HLS UNROLL
      const int t = n / C::PACKED_SUMS, s = n % C::PACKED_SUMS;
      typename Packing<C>::Sum sum = 0;
      for (int i = 0; i < Packing<C>::GROUP; ++i) {
#pragma HLS UNROLL
        const int m = C::sum_begin(s) + i;
        if (m < C::sum_begin(s + 1)) {
          sum += packed_weights<C>(word, s, m) *
                 Operands<C>::at(ring, word, t, C::sum_output(s, 0), C::multiplier_lane(m, 0), fold);
        }
      }
      int sums[C::PACKING];
#pragma HLS ARRAY_PARTITION variable = sums complete dim = 0
      for (int i = 0; i < C::PACKING; ++i) {
#pragma HLS UNROLL
        sums[i] = C::sum_output(s, i) < 0 ? -1 : t * Geometry<C>::OUTPUTS + C::sum_output(s, i);
      }
      add_fields<C>(sum, sums, dot);
    }
  }
};

// The activations of several pixels for the same weight.
template <class C> struct DotProducts<C, WEIGHT> {
  static_assert(C::TX % C::PACKING == 0, "pixels share multipliers in whole sets");

  static void of(const typename Geometry<C>::Weights& word, const Ring<C>& ring, int fold, Accumulators<C>& dot) {
#pragma HLS INLINE
    for (int n = 0; n < C::TX * Geometry<C>::OUTPUTS; ++n) {
#pragma HLS UNROLL
      dot[n] = 0;
    }
    for (int n = 0; n < C::TX / C::PACKING * Geometry<C>::OUTPUTS; ++n) {
#pragma HLS UNROLL
      const int first = n / Geometry<C>::OUTPUTS * C::PACKING, k = n % Geometry<C>::OUTPUTS;
      int sums[C::PACKING];
#pragma HLS ARRAY_PARTITION variable = sums complete dim = 0
      for (int i = 0; i < C::PACKING; ++i) {
#pragma HLS UNROLL
        sums[i] = (first + i) * Geometry<C>::OUTPUTS + k;
      }
      for (int start = 0; start < C::LANES_PER_OUTPUT; start += Packing<C>::GROUP) {
#pragma HLS UNROLL
        typename Packing<C>::Sum sum = 0;
        for (int i = 0; i < Packing<C>::GROUP; ++i) {
#pragma HLS UNROLL
          const int j = start + i;
          if (j < C::LANES_PER_OUTPUT) {
            sum += packed_activations<C>(word, ring, first, k, j, fold) *
                   field<C::WEIGHT_BITS>(word, k * C::LANES_PER_OUTPUT + j);
          }
        }
        add_fields<C>(sum, sums, dot);
      }
    }
  }
};

}  // namespace psconv

#endif
