// SPDX-License-Identifier: Apache-2.0
//
// Global average pooling: the mean of each channel over the image.
#ifndef PSCONV_GLOBAL_AVERAGE_HPP
#define PSCONV_GLOBAL_AVERAGE_HPP

#include "requantise.hpp"

namespace psconv {

// x: PIXELS pixels of GROUPS words of CHANNELS channels. y: one pixel of them.
//
// \tparam C  configuration: PIXELS, a power of two, GROUPS, CHANNELS; IN_BITS, SUM_BITS, OUT_BITS; SHIFT, the
//            logarithm of PIXELS; RELU, false
// \tparam X  AXI4-Stream beat, or ap_uint, that carries a word of the input
// \tparam Y  likewise of the output
template <class C, class X, class Y> void global_average(hls::stream<X>& x, hls::stream<Y>& y) {
  ap_uint<C::CHANNELS * C::SUM_BITS> carried[C::GROUPS];  // the sums so far, by group

pixels:
  for (int pixel = 0; pixel < C::PIXELS; ++pixel) {
  groups:
    for (int g = 0; g < C::GROUPS; ++g) {
#pragma HLS PIPELINE II = 1
// A group's sums are stored one pixel before they are loaded again.
#pragma HLS DEPENDENCE variable = carried inter RAW distance = C::GROUPS true
      const ap_uint<C::CHANNELS * C::IN_BITS> word = payload<C::CHANNELS * C::IN_BITS>(x.read());
      ap_uint<C::CHANNELS * C::SUM_BITS> start = 0;
      if (pixel > 0) start = carried[g];

      ap_uint<C::CHANNELS * C::SUM_BITS> sums = 0;
      ap_uint<C::CHANNELS * C::OUT_BITS> means = 0;
    channels:
      for (int c = 0; c < C::CHANNELS; ++c) {
#pragma HLS UNROLL
        const ap_int<C::SUM_BITS> sum = field<C::SUM_BITS>(start, c) + field<C::IN_BITS>(word, c);
        sums.range((c + 1) * C::SUM_BITS - 1, c * C::SUM_BITS) = sum;
        means.range((c + 1) * C::OUT_BITS - 1, c * C::OUT_BITS) = requantise<C>(sum);
      }

      if (pixel == C::PIXELS - 1) {
        send(y, means, g == C::GROUPS - 1);
      } else {
        carried[g] = sums;
      }
    }
  }
}

}  // namespace psconv

#endif
