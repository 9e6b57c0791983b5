// SPDX-License-Identifier: Apache-2.0
//
// Sums -> output words, where the sums of all pixels come step by step: the words of an image are put
// together in a RAM, a channel of each pixel a step, and then sent in the order of the stream.
#ifndef PSCONV_STREAMED_OUTPUT_HPP
#define PSCONV_STREAMED_OUTPUT_HPP

#include "index.hpp"
#include "output.hpp"

namespace psconv {

// sum_words: as streamed_pe writes them. y: the words of an image.
//
// \tparam C  configuration of an engine (geometry.hpp)
// \tparam Y  AXI4-Stream beat, or ap_uint, that carries an output word
template <class C, class Y>
void streamed_output(typename Geometry<C>::SumsStream& sum_words, hls::stream<Y>& y) {
  typedef Geometry<C> G;

  const int WORDS = G::PIXELS * G::GROUPS;

  typename G::Group groups[WORDS];  // group g of pixel p: p * GROUPS + g
#pragma HLS BIND_STORAGE variable=groups type=ram_s2p
  Index<WORDS> address = 0;
  Index<G::GROUPS> group = 0;
  Index<C::PERIOD> slot = 0;  // step % PERIOD
steps:
  for (int step = 0; step < C::STEPS; ++step) {
  pixels:
    for (int pixel = 0; pixel < G::PIXELS; ++pixel) {
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=groups inter RAW distance=G::PIXELS true
      const bool last_step = step == C::STEPS - 1;
      Channels<C> channels;
#pragma HLS ARRAY_PARTITION variable=channels complete dim=0
      apart<C>(channels, groups[address]);
      take<C>(channels, sum_words.read(), step);
      groups[address] = together<C>(channels, last_step);

      if (pixel != G::PIXELS - 1) {
        address += G::GROUPS;
      } else {
        count<G::GROUPS>(group, slot == C::PERIOD - 1);
        count<C::PERIOD>(slot);
        address = group;
      }
    }
  }
words:
  for (int word = 0; word < WORDS; ++word) {
#pragma HLS PIPELINE II=1
    send(y, typename G::Group(groups[word]), word == WORDS - 1);
  }
}

}  // namespace psconv

#endif
