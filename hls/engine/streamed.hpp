// SPDX-License-Identifier: Apache-2.0
//
// The engine of a layer whose weights come from outside memory, each once an image, by a port of their own.
#ifndef PSCONV_STREAMED_HPP
#define PSCONV_STREAMED_HPP

#include "feeder.hpp"
#include "streamed_output.hpp"
#include "streamed_pe.hpp"

namespace psconv {

// x: AXI4-Stream beats, or words of type Beat. weight_words: AXI4-Stream beats. y: AXI4-Stream beats, or
// words of type Group.
template <class C, class X, class W, class Y>
void streamed_engine(hls::stream<X>& x, hls::stream<W>& weight_words, hls::stream<Y>& y) {
#pragma HLS INLINE
  typename Geometry<C>::WindowStream window_words;
#pragma HLS STREAM variable=window_words depth=C::WINDOW_DEPTH
  typename Geometry<C>::SumsStream sum_words;
#pragma HLS STREAM variable=sum_words depth=C::SUMS_DEPTH

  Feeder<C>::run(x, window_words);
  streamed_pe<C>(weight_words, window_words, sum_words);
  streamed_output<C>(sum_words, y);
}

}  // namespace psconv

#endif
