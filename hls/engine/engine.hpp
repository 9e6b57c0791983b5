// SPDX-License-Identifier: Apache-2.0
//
// The convolution engine of one layer: a chain of free-running processes. Each is one loop nest of II = 1
// whose control depends on its loop counters alone, and reads are blocking: the outputs cannot depend on
// timing or on the depths of the streams.
//
// To be called in a function with DATAFLOW; example/ has two such tops. With more than one engine in a design
// each has a function of its own, so that their processes and streams have names of their own.
#ifndef PSCONV_ENGINE_HPP
#define PSCONV_ENGINE_HPP

#include "feeder.hpp"
#include "output.hpp"
#include "pe.hpp"

namespace psconv {

// With weights in ROMs.
//
// x: an image, TX pixels by TX pixels in rows, of these their BLOCK_SETS words of type Beat.
// y: the output image likewise, of TX pixels their words of type Group.
//
// \tparam C  configuration of the layer (geometry.hpp)
// \tparam X  AXI4-Stream beat, or ap_uint, that carries a Beat
// \tparam Y  AXI4-Stream beat, or ap_uint, that carries a Group
template <class C, class X, class Y> void engine(hls::stream<X>& x, hls::stream<Y>& y) {
#pragma HLS INLINE
  typename Geometry<C>::WindowStream window_words;
#pragma HLS STREAM variable = window_words depth = C::WINDOW_DEPTH
  typename Geometry<C>::SumsStream sum_words;

  Feeder<C>::run(x, window_words);
  pe<C>(window_words, sum_words);
  output<C>(sum_words, y);
}

// With weights that are loaded between images.
//
// x, y: as above.
// reload_requests: for each image, whether new weights come before it.
// load_words: those weights, ROM_WORDS words (weights.hpp).
//
// \tparam C, X, Y  as above; C has no weights and no biases
template <class C, class X, class Y>
void engine(hls::stream<X>& x, hls::stream<ap_uint<1>>& reload_requests,
            hls::stream<typename Geometry<C>::Load>& load_words, hls::stream<Y>& y) {
#pragma HLS INLINE
  typename Geometry<C>::WindowStream window_words;
#pragma HLS STREAM variable = window_words depth = C::WINDOW_DEPTH
  typename Geometry<C>::SumsStream sum_words;

  Feeder<C>::run(x, window_words);
  pe<C>(reload_requests, load_words, window_words, sum_words);
  output<C>(sum_words, y);
}

}  // namespace psconv

#endif
