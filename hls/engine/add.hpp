// SPDX-License-Identifier: Apache-2.0
//
// Residual addition: both inputs are shifted to the finer of their scales, added, requantised.
#ifndef PSCONV_ADD_HPP
#define PSCONV_ADD_HPP

#include "requantise.hpp"

namespace psconv {

// left, right, y: PIXELS pixels of GROUPS words of CHANNELS channels.
//
// \tparam C      configuration: PIXELS, GROUPS, CHANNELS; LEFT_BITS and RIGHT_BITS of an operand, LEFT_SHIFT and
//                RIGHT_SHIFT to the common scale, SUM_BITS there; OUT_BITS, SHIFT, RELU, LARGEST, HALVES_TO_EVEN of an
//                output
// \tparam Left   AXI4-Stream beat, or ap_uint, that carries a word of the left operand
// \tparam Right  likewise of the right operand
// \tparam Y      likewise of the output
template <class C, class Left, class Right, class Y>
void add(hls::stream<Left>& left, hls::stream<Right>& right, hls::stream<Y>& y) {
pixels:
  for (int pixel = 0; pixel < C::PIXELS; ++pixel) {
  groups:
    for (int g = 0; g < C::GROUPS; ++g) {
#pragma HLS PIPELINE II = 1
      const ap_uint<C::CHANNELS * C::LEFT_BITS> lefts = payload<C::CHANNELS * C::LEFT_BITS>(left.read());
      const ap_uint<C::CHANNELS * C::RIGHT_BITS> rights = payload<C::CHANNELS * C::RIGHT_BITS>(right.read());
      ap_uint<C::CHANNELS * C::OUT_BITS> word = 0;
    channels:
      for (int c = 0; c < C::CHANNELS; ++c) {
#pragma HLS UNROLL
        const ap_int<C::SUM_BITS> l = field<C::LEFT_BITS>(lefts, c);
        const ap_int<C::SUM_BITS> r = field<C::RIGHT_BITS>(rights, c);
        const ap_int<C::SUM_BITS> sum = (l << C::LEFT_SHIFT) + (r << C::RIGHT_SHIFT);
        word.range((c + 1) * C::OUT_BITS - 1, c * C::OUT_BITS) = requantise<C>(sum);
      }
      send(y, word, pixel == C::PIXELS - 1 && g == C::GROUPS - 1);
    }
  }
}

}  // namespace psconv

#endif
