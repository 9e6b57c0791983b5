// SPDX-License-Identifier: Apache-2.0
//
// ReLU as a layer of its own: negative activations become zero, those above LARGEST become that.
#ifndef PSCONV_RELU_HPP
#define PSCONV_RELU_HPP

#include "words.hpp"

namespace psconv {

// x, y: WORDS words of CHANNELS activations.
//
// \tparam C  configuration: WORDS of an image, CHANNELS of a word, of all its pixels, BITS of an activation; LARGEST
// \tparam X  AXI4-Stream beat, or ap_uint, that carries a word of the input
// \tparam Y  likewise of the output
template <class C, class X, class Y> void relu(hls::stream<X>& x, hls::stream<Y>& y) {
words:
  for (int n = 0; n < C::WORDS; ++n) {
#pragma HLS PIPELINE II = 1
    const ap_uint<C::CHANNELS * C::BITS> word = payload<C::CHANNELS * C::BITS>(x.read());
    ap_uint<C::CHANNELS * C::BITS> positive = 0;
  channels:
    for (int c = 0; c < C::CHANNELS; ++c) {
#pragma HLS UNROLL
      ap_int<C::BITS> value = field<C::BITS>(word, c);
      if (value < 0) value = 0;
      if (value > C::LARGEST) value = C::LARGEST;
      positive.range((c + 1) * C::BITS - 1, c * C::BITS) = value;
    }
    send(y, positive, n == C::WORDS - 1);
  }
}

}  // namespace psconv

#endif
