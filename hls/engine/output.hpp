// SPDX-License-Identifier: Apache-2.0
//
// Sums -> output beats: requantises, and packs the PERIOD * TO channels of a group, which arrive in PERIOD
// steps.
#ifndef PSCONV_OUTPUT_HPP
#define PSCONV_OUTPUT_HPP

#include "geometry.hpp"

namespace psconv {

// Add half, shift right, saturate; ReLU is saturation at zero. Defined in pymodel/formats.py (requantise).
template <class C> ap_int<C::OUT_BITS> requantise(const typename Geometry<C>::Accumulator& sum) {
#pragma HLS INLINE
  const int largest = (1 << (C::OUT_BITS - 1)) - 1;
  const int smallest = C::RELU ? 0 : -largest - 1;
  const int shift = C::SHIFT;
  const int half = int((1LL << C::SHIFT) >> 1);
  typedef ap_int<larger(C::ACC_BITS, C::SHIFT) + 1> Rounded;  // holds sum + half

  const Rounded rounded = Rounded(sum + half) >> shift;
  if (rounded > largest) return largest;
  if (rounded < smallest) return smallest;
  return ap_int<C::OUT_BITS>(rounded);
}

// The word moved down by one field, with `value` as its top field.
template <int W, int BITS> ap_uint<W> shift_in(const ap_uint<W>& word, const ap_int<BITS>& value) {
#pragma HLS INLINE
  ap_uint<W> shifted = word >> BITS;
  shifted.range(W - 1, W - BITS) = value;
  return shifted;
}

template <class C>
void output(hls::stream<typename Geometry<C>::Sums>& sum_words,
            hls::stream<typename Geometry<C>::OutputBeat>& y) {
  typedef Geometry<C> G;
  typedef ap_uint<C::PERIOD * C::OUT_BITS> Channels;

  // Output k of TO gives channels k * PERIOD .. (k + 1) * PERIOD - 1 of a beat, one a step: each comes in
  // at the top and moves down by one channel a step. A last group of fewer steps is moved down the rest of
  // the way at once.
  const int idle_bits = (C::PERIOD - C::STEPS % C::PERIOD) % C::PERIOD * C::OUT_BITS;
  Channels channels[C::TO];
#pragma HLS ARRAY_PARTITION variable=channels complete dim=0
  int slot = 0;  // s % PERIOD

pixels:
  for (int pixel = 0; pixel < G::PIXELS; ++pixel) {
  steps:
    for (int s = 0; s < C::STEPS; ++s) {
#pragma HLS PIPELINE II=1
      const typename G::Sums sums = sum_words.read();
      const bool last_step = s == C::STEPS - 1;

      ap_uint<G::GROUP_BITS> group = 0;
    outputs:
      for (int k = 0; k < C::TO; ++k) {
#pragma HLS UNROLL
        channels[k] = shift_in(channels[k], requantise<C>(field<C::ACC_BITS>(sums, k)));
        const Channels placed = last_step ? Channels(channels[k] >> idle_bits) : channels[k];
        group.range((k + 1) * C::PERIOD * C::OUT_BITS - 1, k * C::PERIOD * C::OUT_BITS) = placed;
      }

      if (last_step || slot == C::PERIOD - 1) {
        typename G::OutputBeat beat;
        beat.data = group;
        beat.keep = -1;
        beat.strb = -1;
        beat.last = last_step && pixel == G::PIXELS - 1;
        y.write(beat);
      }
      slot = last_step || slot == C::PERIOD - 1 ? 0 : slot + 1;
    }
  }
}

}  // namespace psconv

#endif
