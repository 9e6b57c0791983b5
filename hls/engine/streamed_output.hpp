// SPDX-License-Identifier: Apache-2.0
//
// Sums -> output words, where the sums of all pixels come step by step: the words of an image are put
// together in a RAM, a channel of each pixel a step, and then sent in the order of the stream.
#ifndef PSCONV_STREAMED_OUTPUT_HPP
#define PSCONV_STREAMED_OUTPUT_HPP

#include "output.hpp"

namespace psconv {

// sum_words: as streamed_pe writes them. y: the words of an image.
//
// \tparam C  configuration of an engine (geometry.hpp)
// \tparam Y  AXI4-Stream beat, or ap_uint, that carries an output word
template <class C, class Y> void streamed_output(typename Geometry<C>::SumsStream& sum_words, hls::stream<Y>& y) {
  using G = Geometry<C>;

  const int words = G::PIXEL_SETS * G::GROUPS;

  typename G::Group groups[G::PIXEL_SETS * G::GROUPS];  // group g of pixel p: p * GROUPS + g
#pragma HLS BIND_STORAGE variable = groups type = ram_s2p
  int address = 0;
  int group = 0;
  int slot = 0;  // s % SLOTS

turns:
  for (int turn = 0; turn < G::OUTPUT_TURNS; ++turn) {
  pixels:
    for (int pixel = 0; pixel < G::PIXEL_SETS; ++pixel) {
#pragma HLS PIPELINE II = 1
#pragma HLS DEPENDENCE variable = groups inter RAW distance = G::PUT_BY true
      const bool taking = turn < C::STEPS, last_step = turn == C::STEPS - 1;
      typename G::Group word = groups[address];
      if (taking) {
        Channels<C> channels;
#pragma HLS ARRAY_PARTITION variable = channels complete dim = 0
        unpack_group<C>(channels, word);
        shift_in_outputs<C>(channels, sum_words.read(), turn);
        word = pack_group<C>(channels, last_step);
        groups[address] = word;
      } else {
        send(y, word, address == words - 1);
      }

      const bool step_ends = pixel == G::PIXEL_SETS - 1;
      const bool group_ends = slot == G::SLOTS - 1;
      if (!taking) {
        ++address;
      } else if (!step_ends) {
        address += G::GROUPS;
      } else {
        if (group_ends) ++group;
        slot = group_ends ? 0 : slot + 1;
        address = last_step ? 0 : group;
      }
    }
  }
}

}  // namespace psconv

#endif
