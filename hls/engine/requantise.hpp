// SPDX-License-Identifier: Apache-2.0
//
// Sums -> output activations. Defined in docs/reference/interfaces.md, "Numbers".
//
// \tparam C           configuration: SHIFT, RELU, LARGEST, OUT_BITS, HALVES_TO_EVEN; of an engine (geometry.hpp) for
//                     Scales
// \tparam SCALE_BITS  of a factor; 0: there are none
// \tparam W           bits of a sum
#ifndef PSCONV_REQUANTISE_HPP
#define PSCONV_REQUANTISE_HPP

#include "geometry.hpp"

namespace psconv {

// Sums times the scales of their output channels, in step `step`. Without scales (SCALE_BITS is 0) the sums
// as they are: no ROM and no multiplier.
template <class C, int SCALE_BITS = C::SCALE_BITS> class Scales {
 public:
  explicit Scales(int step) : word(C::scales(step)) {
#pragma HLS INLINE
  }

  ap_int<C::ACC_BITS + SCALE_BITS> times(const typename Geometry<C>::Accumulator& sum, int k) const {
#pragma HLS INLINE
    return sum * ap_uint<SCALE_BITS>(word.range((k + 1) * SCALE_BITS - 1, k * SCALE_BITS));
  }

 private:
  const ap_uint<Geometry<C>::OUTPUTS * SCALE_BITS> word;
};

template <class C> class Scales<C, 0> {
 public:
  explicit Scales(int) {
#pragma HLS INLINE
  }

  typename Geometry<C>::Accumulator times(const typename Geometry<C>::Accumulator& sum, int) const {
#pragma HLS INLINE
    return sum;
  }
};

// What is added to a sum before the shift: half of an output, for which halves go up; where they go to the even one of
// their neighbours, as much less as keeps a half that is an even number's from reaching the next one.
template <class C, int W> int half_of(const ap_int<W>& sum) {
#pragma HLS INLINE
  const int half = int((1LL << C::SHIFT) >> 1);
  return C::HALVES_TO_EVEN && C::SHIFT > 0 ? half - 1 + int(ap_uint<1>(sum >> C::SHIFT)) : half;
}

// Add half, shift right, saturate; ReLU is saturation at zero, and at LARGEST where it has an upper bound.
template <class C, int W> ap_int<C::OUT_BITS> requantise(const ap_int<W>& sum) {
#pragma HLS INLINE
  const int largest = C::LARGEST;
  const int smallest = C::RELU ? 0 : -(1 << (C::OUT_BITS - 1));
  const int shift = C::SHIFT;
  using Rounded = ap_int<larger(W, C::SHIFT) + 1>;  // holds sum + half

  const Rounded rounded = Rounded(sum + half_of<C>(sum)) >> shift;
  if (rounded > largest) return largest;
  if (rounded < smallest) return smallest;
  return ap_int<C::OUT_BITS>(rounded);
}

}  // namespace psconv

#endif
