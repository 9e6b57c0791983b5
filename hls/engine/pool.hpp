// SPDX-License-Identifier: Apache-2.0
//
// Pooling: the largest element, or the mean, of each channel of a window. The windows come from the feeder of
// the convolution engine. Its zeros outside the image count in a mean, as they should. For the largest element of
// padded windows the feeder moves activations with their sign bit inverted: then its zeros stand for the smallest
// number, and never win against an element of the image, of which every window has one.
#ifndef PSCONV_POOL_HPP
#define PSCONV_POOL_HPP

#include "feeder.hpp"
#include "mean.hpp"

namespace psconv {

// Element `tap` of channel `channel` of the window of pixel t, column by column.
template <class C>
ap_int<C::IN_BITS> element(const typename WindowGeometry<C>::Window& window, int t, int tap, int channel) {
#pragma HLS INLINE
  const ap_int<C::IN_BITS> value = field<C::IN_BITS>(window, (t * C::STRIDE * C::KERNEL + tap) * C::CHANNELS + channel);
  return C::INVERTS ? ap_int<C::IN_BITS>(value ^ ap_int<C::IN_BITS>(-(1 << (C::IN_BITS - 1)))) : value;
}

// Channel `channel` of the window of pixel t: its largest element.
template <class C>
ap_int<C::IN_BITS> window_maximum(const typename WindowGeometry<C>::Window& window, int t, int channel) {
#pragma HLS INLINE
  ap_int<C::IN_BITS> best = element<C>(window, t, 0, channel);
taps:
  for (int tap = 1; tap < C::KERNEL * C::KERNEL; ++tap) {
#pragma HLS UNROLL
    const ap_int<C::IN_BITS> value = element<C>(window, t, tap, channel);
    if (value > best) best = value;
  }
  return best;
}

// Channel `channel` of the window of pixel t: the sum of its elements.
template <class C>
ap_int<C::SUM_BITS> window_sum(const typename WindowGeometry<C>::Window& window, int t, int channel) {
#pragma HLS INLINE
  ap_int<C::SUM_BITS> sum = 0;
taps:
  for (int tap = 0; tap < C::KERNEL * C::KERNEL; ++tap) {
#pragma HLS UNROLL
    sum += element<C>(window, t, tap, channel);
  }
  return sum;
}

// window_words: as a feeder writes them. y: the pooled image.
//
// \tparam C  configuration: that of a feeder (WindowGeometry), and MAXIMUM, whether an output is the largest element or
//            the mean; SUM_BITS of a window's sum, and of a mean of KERNEL * KERNEL elements (mean.hpp)
// \tparam Y  AXI4-Stream beat, or ap_uint, that carries a word of the output
template <class C, class Y> void reduce(typename WindowGeometry<C>::WindowStream& window_words, hls::stream<Y>& y) {
  using G = WindowGeometry<C>;

pixels:
  for (int pixel = 0; pixel < G::PIXEL_SETS; ++pixel) {
  block_sets:
    for (int b = 0; b < C::BLOCK_SETS; ++b) {
#pragma HLS PIPELINE II = 1
      const typename G::Window window = window_words.read();
      ap_uint<C::TX * C::CHANNELS * C::OUT_BITS> word = 0;
    channels:
      for (int n = 0; n < C::TX * C::CHANNELS; ++n) {
#pragma HLS UNROLL
        const int t = n / C::CHANNELS, c = n % C::CHANNELS;
        const ap_int<C::OUT_BITS> value = C::MAXIMUM ? ap_int<C::OUT_BITS>(window_maximum<C>(window, t, c))
                                                     : Mean<C>::of(window_sum<C>(window, t, c));
        word.range((n + 1) * C::OUT_BITS - 1, n * C::OUT_BITS) = value;
      }
      send(y, word, pixel == G::PIXEL_SETS - 1 && b == C::BLOCK_SETS - 1);
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
  Feeder<C>::template run<C::INVERTS>(x, window_words);
  reduce<C>(window_words, y);
}

}  // namespace psconv

#endif
