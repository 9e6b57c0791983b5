// SPDX-License-Identifier: Apache-2.0
//
// Global average pooling: the mean of each channel over the image.
#ifndef PSCONV_GLOBAL_AVERAGE_HPP
#define PSCONV_GLOBAL_AVERAGE_HPP

#include "mean.hpp"

namespace psconv {

// x: SETS sets of TX pixels, each of GROUPS words of CHANNELS channels of each of its pixels. y: one pixel of them.
//
// \tparam C  configuration: SETS, TX, GROUPS, CHANNELS; IN_BITS, SUM_BITS; of a mean of SETS * TX elements (mean.hpp)
// \tparam X  AXI4-Stream beat, or ap_uint, that carries a word of the input
// \tparam Y  likewise of the output
template <class C, class X, class Y> void global_average(hls::stream<X>& x, hls::stream<Y>& y) {
  ap_uint<C::CHANNELS * C::SUM_BITS> carried[C::GROUPS];  // the sums so far, by group

sets:
  for (int set = 0; set < C::SETS; ++set) {
  groups:
    for (int g = 0; g < C::GROUPS; ++g) {
#pragma HLS PIPELINE II = 1
// A group's sums are stored one set before they are loaded again.
#pragma HLS DEPENDENCE variable = carried inter RAW distance = C::GROUPS true
      const ap_uint<C::TX * C::CHANNELS * C::IN_BITS> word = payload<C::TX * C::CHANNELS * C::IN_BITS>(x.read());
      ap_uint<C::CHANNELS * C::SUM_BITS> start = 0;
      if (set > 0) start = carried[g];

      ap_uint<C::CHANNELS * C::SUM_BITS> sums = 0;
      ap_uint<C::CHANNELS * C::OUT_BITS> means = 0;
    channels:
      for (int c = 0; c < C::CHANNELS; ++c) {
#pragma HLS UNROLL
        ap_int<C::SUM_BITS> sum = field<C::SUM_BITS>(start, c);
        for (int t = 0; t < C::TX; ++t) {
#pragma HLS UNROLL
          sum += field<C::IN_BITS>(word, t * C::CHANNELS + c);
        }
        sums.range((c + 1) * C::SUM_BITS - 1, c * C::SUM_BITS) = sum;
        means.range((c + 1) * C::OUT_BITS - 1, c * C::OUT_BITS) = Mean<C>::of(sum);
      }

      if (set == C::SETS - 1) {
        send(y, means, g == C::GROUPS - 1);
      } else {
        carried[g] = sums;
      }
    }
  }
}

}  // namespace psconv

#endif
