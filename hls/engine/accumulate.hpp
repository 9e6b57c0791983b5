// SPDX-License-Identifier: Apache-2.0
//
// The sums of a step's output channels: begun with biases or with the sums of the block sets before, added to, and
// put together to one word, in which they are kept and passed on.
//
// \tparam C  configuration of an engine (geometry.hpp)
#ifndef PSCONV_ACCUMULATE_HPP
#define PSCONV_ACCUMULATE_HPP

#include "products.hpp"

namespace psconv {

template <class C> void begin_with_biases(Accumulators<C>& sums, const typename Geometry<C>::Biases& biases) {
#pragma HLS INLINE
  for (int n = 0; n < C::TX * Geometry<C>::OUTPUTS; ++n) {
#pragma HLS UNROLL
    sums[n] = field<C::BIAS_BITS>(biases, n % Geometry<C>::OUTPUTS);
  }
}

template <class C> void begin_with_sums(Accumulators<C>& sums, const typename Geometry<C>::Sums& word) {
#pragma HLS INLINE
  for (int k = 0; k < C::TX * Geometry<C>::OUTPUTS; ++k) {
#pragma HLS UNROLL
    sums[k] = field<C::ACC_BITS>(word, k);
  }
}

// Adds the products of a weight word and the ring in fold `fold`; the new sums as a word.
template <class C>
typename Geometry<C>::Sums accumulate(Accumulators<C>& sums, const typename Geometry<C>::Weights& weights,
                                      const Ring<C>& ring, int fold) {
#pragma HLS INLINE
  Accumulators<C> dot;
#pragma HLS ARRAY_PARTITION variable = dot complete dim = 0
  DotProducts<C>::of(weights, ring, fold, dot);

  typename Geometry<C>::Sums word = 0;
outputs:
  for (int k = 0; k < C::TX * Geometry<C>::OUTPUTS; ++k) {
#pragma HLS UNROLL
    sums[k] += dot[k];
    word.range((k + 1) * C::ACC_BITS - 1, k * C::ACC_BITS) = sums[k];
  }
  return word;
}

}  // namespace psconv

#endif
