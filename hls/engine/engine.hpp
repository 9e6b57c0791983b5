// SPDX-License-Identifier: Apache-2.0
//
// The convolution engine of one layer: a chain of free-running processes. Each is one loop nest of II = 1
// whose control depends on its loop counters alone, and reads are blocking: the outputs cannot depend on
// timing or on the depths of the streams.
#ifndef PSCONV_ENGINE_HPP
#define PSCONV_ENGINE_HPP

#include "feeder.hpp"
#include "output.hpp"
#include "pe.hpp"

namespace psconv {

// x: AXI4-Stream beats, or words of type Beat. y: AXI4-Stream beats, or words of type Group.
template <class C, class X, class Y> void engine(hls::stream<X>& x, hls::stream<Y>& y) {
#pragma HLS INLINE
  typename Geometry<C>::WindowStream window_words;
#pragma HLS STREAM variable=window_words depth=C::WINDOW_DEPTH
  typename Geometry<C>::SumsStream sum_words;

  Feeder<C>::run(x, window_words);
  pe<C>(window_words, sum_words);
  output<C>(sum_words, y);
}

// The same with weights that are loaded.
template <class C, class X, class Y>
void engine(hls::stream<X>& x, hls::stream<ap_uint<1>>& orders,
            hls::stream<typename Geometry<C>::Load>& load_words, hls::stream<Y>& y) {
#pragma HLS INLINE
  typename Geometry<C>::WindowStream window_words;
#pragma HLS STREAM variable=window_words depth=C::WINDOW_DEPTH
  typename Geometry<C>::SumsStream sum_words;

  Feeder<C>::run(x, window_words);
  pe<C>(orders, load_words, window_words, sum_words);
  output<C>(sum_words, y);
}

}  // namespace psconv

#endif
