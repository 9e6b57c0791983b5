// SPDX-License-Identifier: Apache-2.0
//
// Channel shuffle (ShuffleNet): the channels of each pixel in another order. A word has all of them: wires, no logic.
#ifndef PSCONV_SHUFFLE_HPP
#define PSCONV_SHUFFLE_HPP

#include "words.hpp"

namespace psconv {

// x, y: SETS words of all CHANNELS channels of TX pixels. Channel g * (CHANNELS / GROUPS) + j of x is channel
// j * GROUPS + g of y.
//
// \tparam C  configuration: SETS of TX pixels; CHANNELS of a pixel, of BITS bits; GROUPS
// \tparam X  AXI4-Stream beat, or ap_uint, that carries a word of the input
// \tparam Y  likewise of the output
template <class C, class X, class Y> void shuffle(hls::stream<X>& x, hls::stream<Y>& y) {
  static_assert(C::CHANNELS % C::GROUPS == 0, "groups are of one size");
  const int word_bits = C::TX * C::CHANNELS * C::BITS;

sets:
  for (int set = 0; set < C::SETS; ++set) {
#pragma HLS PIPELINE II = 1
    const ap_uint<word_bits> word = payload<word_bits>(x.read());
    ap_uint<word_bits> shuffled = 0;
  channels:
    for (int n = 0; n < C::TX * C::CHANNELS; ++n) {
#pragma HLS UNROLL
      const int t = n / C::CHANNELS, c = n % C::CHANNELS;
      const int from = t * C::CHANNELS + c % C::GROUPS * (C::CHANNELS / C::GROUPS) + c / C::GROUPS;
      shuffled.range((n + 1) * C::BITS - 1, n * C::BITS) = field<C::BITS>(word, from);
    }
    send(y, shuffled, set == C::SETS - 1);
  }
}

}  // namespace psconv

#endif
