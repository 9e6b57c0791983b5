// SPDX-License-Identifier: Apache-2.0
//
// Pooling: the largest element, or the mean, of each channel of a window. The windows come from the feeder of
// the convolution engine. Its zeros outside the image count in a mean, as they should; the largest element
// needs PADDING = 0.
#ifndef PSCONV_POOL_HPP
#define PSCONV_POOL_HPP

#include "feeder.hpp"
#include "requantise.hpp"

namespace psconv {

// Channel `channel` of a window: its largest element.
template <class C> ap_int<C::IN_BITS> window_maximum(const typename WindowGeometry<C>::Window& window, int channel) {
#pragma HLS INLINE
  ap_int<C::IN_BITS> best = field<C::IN_BITS>(window, channel);
taps:
  for (int tap = 1; tap < WindowGeometry<C>::TAPS; ++tap) {
#pragma HLS UNROLL
    const ap_int<C::IN_BITS> element = field<C::IN_BITS>(window, tap * C::CHANNELS + channel);
    if (element > best) best = element;
  }
  return best;
}

// Channel `channel` of a window: the sum of its elements.
template <class C> ap_int<C::SUM_BITS> window_sum(const typename WindowGeometry<C>::Window& window, int channel) {
#pragma HLS INLINE
  ap_int<C::SUM_BITS> sum = 0;
taps:
  for (int tap = 0; tap < WindowGeometry<C>::TAPS; ++tap) {
#pragma HLS UNROLL
    sum += field<C::IN_BITS>(window, tap * C::CHANNELS + channel);
  }
  return sum;
}

// window_words: as a feeder writes them. y: the pooled image.
//
// \tparam C  configuration: that of a feeder (WindowGeometry), and SUM_BITS of a window's sum, OUT_BITS, SHIFT, RELU
//            and MAXIMUM, whether an output is the largest element or the mean
// \tparam Y  AXI4-Stream beat, or ap_uint, that carries a word of the output
template <class C, class Y> void reduce(typename WindowGeometry<C>::WindowStream& window_words, hls::stream<Y>& y) {
  using G = WindowGeometry<C>;
  static_assert(!C::MAXIMUM || C::PADDING == 0, "a zero outside the image could be the largest element");

pixels:
  for (int pixel = 0; pixel < G::PIXELS; ++pixel) {
  block_sets:
    for (int b = 0; b < C::BLOCK_SETS; ++b) {
#pragma HLS PIPELINE II = 1
      const typename G::Window window = window_words.read();
      ap_uint<C::CHANNELS * C::OUT_BITS> word = 0;
    channels:
      for (int c = 0; c < C::CHANNELS; ++c) {
#pragma HLS UNROLL
        const ap_int<C::OUT_BITS> value =
            C::MAXIMUM ? ap_int<C::OUT_BITS>(window_maximum<C>(window, c)) : requantise<C>(window_sum<C>(window, c));
        word.range((c + 1) * C::OUT_BITS - 1, c * C::OUT_BITS) = value;
      }
      send(y, word, pixel == G::PIXELS - 1 && b == C::BLOCK_SETS - 1);
    }
  }
}

// x: an image, as that of engine.hpp. y: the pooled image.
//
// \tparam C, Y  as those of reduce, and WINDOW_DEPTH and COLUMN_DEPTH of a feeder
// \tparam X     AXI4-Stream beat, or ap_uint, that carries a Beat
template <class C, class X, class Y> void pool(hls::stream<X>& x, hls::stream<Y>& y) {
#pragma HLS INLINE
  typename WindowGeometry<C>::WindowStream window_words;
#pragma HLS STREAM variable = window_words depth = C::WINDOW_DEPTH
  Feeder<C>::run(x, window_words);
  reduce<C>(window_words, y);
}

}  // namespace psconv

#endif
