// SPDX-License-Identifier: Apache-2.0
//
// Words of IN_GROUP channels -> words of OUT_GROUP channels, where one of the two divides the other. The last
// word of a pixel has zeros for the channels that are missing.
#ifndef PSCONV_REGROUP_HPP
#define PSCONV_REGROUP_HPP

#include "words.hpp"

// \tparam C  configuration: PIXELS; channels of a word IN_GROUP, OUT_GROUP, of BITS bits; PIECES, narrow words of
//            a pixel
// \tparam X  AXI4-Stream beat, or ap_uint, that carries a word of the input
// \tparam Y  likewise of the output
namespace psconv {

// Wide words -> narrow ones: PIECES a pixel.
template <class C, class X, class Y> void split(hls::stream<X>& x, hls::stream<Y>& y) {
  static_assert(C::IN_GROUP % C::OUT_GROUP == 0, "a word is whole pieces");
  const int ratio = C::IN_GROUP / C::OUT_GROUP;
  ap_uint<C::IN_GROUP * C::BITS> word = 0;
  int slot = 0;  // piece % ratio

pixels:
  for (int pixel = 0; pixel < C::PIXELS; ++pixel) {
  pieces:
    for (int piece = 0; piece < C::PIECES; ++piece) {
#pragma HLS PIPELINE II = 1
      const bool last_piece = piece == C::PIECES - 1;
      if (slot == 0) {
        word = payload<C::IN_GROUP * C::BITS>(x.read());
      } else {
        word = word >> (C::OUT_GROUP * C::BITS);
      }
      send(y, ap_uint<C::OUT_GROUP * C::BITS>(word), last_piece && pixel == C::PIXELS - 1);
      slot = last_piece || slot == ratio - 1 ? 0 : slot + 1;
    }
  }
}

// Narrow words, PIECES a pixel -> wide ones.
template <class C, class X, class Y> void gather(hls::stream<X>& x, hls::stream<Y>& y) {
  static_assert(C::OUT_GROUP % C::IN_GROUP == 0, "a word is whole pieces");
  const int piece_bits = C::IN_GROUP * C::BITS, word_bits = C::OUT_GROUP * C::BITS;
  const int ratio = C::OUT_GROUP / C::IN_GROUP;
  const int idle_bits = (ratio - C::PIECES % ratio) % ratio * piece_bits;  // of the last word of a pixel
  ap_uint<word_bits> word = 0;
  int slot = 0;  // piece % ratio

pixels:
  for (int pixel = 0; pixel < C::PIXELS; ++pixel) {
  pieces:
    for (int piece = 0; piece < C::PIECES; ++piece) {
#pragma HLS PIPELINE II = 1
      const bool last_piece = piece == C::PIECES - 1;
      // Each piece comes in at the top and moves down; a last word of fewer pieces the rest of the way at
      // once.
      word = shift_in(word, ap_int<piece_bits>(payload<piece_bits>(x.read())));
      if (last_piece || slot == ratio - 1) {
        const ap_uint<word_bits> placed = last_piece ? ap_uint<word_bits>(word >> idle_bits) : word;
        send(y, placed, last_piece && pixel == C::PIXELS - 1);
      }
      slot = last_piece || slot == ratio - 1 ? 0 : slot + 1;
    }
  }
}

}  // namespace psconv

#endif
