// SPDX-License-Identifier: Apache-2.0
//
// The engine of a layer whose weights come from outside memory, each once an image, by a port of their own.
#ifndef PSCONV_STREAMED_HPP
#define PSCONV_STREAMED_HPP

#include "feeder.hpp"
#include "streamed_output.hpp"
#include "streamed_pe.hpp"

namespace psconv {

// x, y: as those of engine.hpp.
// weight_words: of each image ROM_WORDS words of type Weights, in the order of streamed_pe.hpp.
//
// \tparam C           configuration of the layer (geometry.hpp), without weights
// \tparam X           AXI4-Stream beat, or ap_uint, that carries a Beat
// \tparam WeightBeat  AXI4-Stream beat, or ap_uint, that carries a word of weights
// \tparam Y           AXI4-Stream beat, or ap_uint, that carries a Group
template <class C, class X, class WeightBeat, class Y>
void streamed_engine(hls::stream<X>& x, hls::stream<WeightBeat>& weight_words, hls::stream<Y>& y) {
#pragma HLS INLINE
  typename Geometry<C>::WindowStream window_words;
#pragma HLS STREAM variable = window_words depth = C::WINDOW_DEPTH
  typename Geometry<C>::SumsStream sum_words;
#pragma HLS STREAM variable = sum_words depth = C::SUMS_DEPTH

  Feeder<C>::run(x, window_words);
  streamed_pe<C>(weight_words, window_words, sum_words);
  streamed_output<C>(sum_words, y);
}

}  // namespace psconv

#endif
