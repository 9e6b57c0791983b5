// SPDX-License-Identifier: Apache-2.0
//
// Sums -> output words: requantises, and packs the channels of a group, which arrive in SLOTS steps.
#ifndef PSCONV_OUTPUT_HPP
#define PSCONV_OUTPUT_HPP

#include "requantise.hpp"

namespace psconv {

// A slice of a word is neighbouring channels that one output gives, of its rotations and steps, or CHANNELWISE those
// of an input channel: they come in at the top one after the other and move down by as many as a step has.
template <class C> using Channels = ap_uint<Geometry<C>::SLICE_BITS>[C::TX * Geometry<C>::SLICES];

// Takes in the sums of step s.
template <class C> void shift_in_outputs(Channels<C>& channels, const typename Geometry<C>::Sums& sums, int s) {
#pragma HLS INLINE
  const Scales<C> scales(s);
outputs:
  for (int n = 0; n < C::TX * Geometry<C>::OUTPUTS; ++n) {
#pragma HLS UNROLL
    const int k = n % Geometry<C>::OUTPUTS;
    const int slice = n / Geometry<C>::OUTPUTS * Geometry<C>::SLICES + (C::CHANNELWISE ? k / C::TO : k % C::TO);
    channels[slice] = shift_in(channels[slice], requantise<C>(scales.times(field<C::ACC_BITS>(sums, n), k)));
  }
}

// The word of a group. A last group of fewer steps is moved down the rest of the way at once.
template <class C> typename Geometry<C>::Group pack_group(const Channels<C>& channels, bool last_step) {
#pragma HLS INLINE
  using G = Geometry<C>;
  using One = ap_uint<G::SLICE_BITS>;
  const int idle_bits = (G::SLOTS - C::STEPS % G::SLOTS) % G::SLOTS * C::ROTATIONS * C::OUT_BITS;
  typename Geometry<C>::Group group = 0;
  for (int k = 0; k < C::TX * G::SLICES; ++k) {
#pragma HLS UNROLL
    const One placed = last_step ? One(channels[k] >> idle_bits) : channels[k];
    group.range((k + 1) * G::SLICE_BITS - 1, k * G::SLICE_BITS) = placed;
  }
  return group;
}

// The channels of a word, the inverse of `pack_group` before the last step.
template <class C> void unpack_group(Channels<C>& channels, const typename Geometry<C>::Group& group) {
#pragma HLS INLINE
  using G = Geometry<C>;
  for (int k = 0; k < C::TX * G::SLICES; ++k) {
#pragma HLS UNROLL
    channels[k] = group.range((k + 1) * G::SLICE_BITS - 1, k * G::SLICE_BITS);
  }
}

// sum_words: of each pixel those of its steps. y: the output image, as that of engine.hpp.
//
// \tparam C  configuration of an engine (geometry.hpp)
// \tparam Y  AXI4-Stream beat, or ap_uint, that carries a Group
template <class C, class Y> void output(typename Geometry<C>::SumsStream& sum_words, hls::stream<Y>& y) {
  using G = Geometry<C>;

  Channels<C> channels;  // registers: every iteration moves all of them
#pragma HLS ARRAY_PARTITION variable = channels complete dim = 0
  int slot = 0;  // s % SLOTS

pixels:
  for (int pixel = 0; pixel < G::PIXEL_SETS; ++pixel) {
  steps:
    for (int s = 0; s < C::STEPS; ++s) {
#pragma HLS PIPELINE II = 1
      const bool last_step = s == C::STEPS - 1;
      shift_in_outputs<C>(channels, sum_words.read(), s);
      const typename G::Group group = pack_group<C>(channels, last_step);

      if (last_step || slot == G::SLOTS - 1) {
        send(y, group, last_step && pixel == G::PIXEL_SETS - 1);
      }
      slot = last_step || slot == G::SLOTS - 1 ? 0 : slot + 1;
    }
  }
}

}  // namespace psconv

#endif
