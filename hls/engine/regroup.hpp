// SPDX-License-Identifier: Apache-2.0
//
// The same tensor in other words. Words of IN_GROUP channels -> words of OUT_GROUP channels, where one of the two
// divides the other: the last word of a pixel has zeros for the channels that are missing. Words of some pixels ->
// words of RATIO times as many, or of as many fewer.
#ifndef PSCONV_REGROUP_HPP
#define PSCONV_REGROUP_HPP

#include "words.hpp"

// \tparam X  AXI4-Stream beat, or ap_uint, that carries a word of the input
// \tparam Y  likewise of the output
namespace psconv {

// Wide words -> narrow ones: PIECES a set of TX pixels.
//
// \tparam C  configuration: SETS of TX pixels; channels of a word IN_GROUP, OUT_GROUP, of BITS bits; PIECES, narrow
//            words of a set
template <class C, class X, class Y> void split(hls::stream<X>& x, hls::stream<Y>& y) {
  static_assert(C::IN_GROUP % C::OUT_GROUP == 0, "a word is whole pieces");
  const int pixel_bits = C::IN_GROUP * C::BITS, piece_bits = C::OUT_GROUP * C::BITS;
  const int ratio = C::IN_GROUP / C::OUT_GROUP;
  ap_uint<C::TX * pixel_bits> word = 0;
  int slot = 0;  // piece % ratio

sets:
  for (int set = 0; set < C::SETS; ++set) {
  pieces:
    for (int piece = 0; piece < C::PIECES; ++piece) {
#pragma HLS PIPELINE II = 1
      const bool last_piece = piece == C::PIECES - 1;
      if (slot == 0) {
        word = payload<C::TX * pixel_bits>(x.read());
      } else {
        word = word >> piece_bits;  // what comes from the pixel above is not looked at
      }
      ap_uint<C::TX * piece_bits> pieces = 0;
      for (int t = 0; t < C::TX; ++t) {
#pragma HLS UNROLL
        pieces.range((t + 1) * piece_bits - 1, t * piece_bits) = ap_uint<piece_bits>(word >> (t * pixel_bits));
      }
      send(y, pieces, last_piece && set == C::SETS - 1);
      slot = last_piece || slot == ratio - 1 ? 0 : slot + 1;
    }
  }
}

// Narrow words, PIECES a set of TX pixels -> wide ones.
//
// \tparam C  configuration: as that of split
template <class C, class X, class Y> void gather(hls::stream<X>& x, hls::stream<Y>& y) {
  static_assert(C::OUT_GROUP % C::IN_GROUP == 0, "a word is whole pieces");
  const int piece_bits = C::IN_GROUP * C::BITS, pixel_bits = C::OUT_GROUP * C::BITS;
  const int ratio = C::OUT_GROUP / C::IN_GROUP;
  const int idle_bits = (ratio - C::PIECES % ratio) % ratio * piece_bits;  // of the last word of a pixel
  ap_uint<C::TX * pixel_bits> word = 0;
  int slot = 0;  // piece % ratio

sets:
  for (int set = 0; set < C::SETS; ++set) {
  pieces:
    for (int piece = 0; piece < C::PIECES; ++piece) {
#pragma HLS PIPELINE II = 1
      const bool last_piece = piece == C::PIECES - 1;
      // Each piece comes in at the top of its pixel and moves down; a last word of fewer pieces the rest of the way
      // at once.
      const ap_uint<C::TX * piece_bits> pieces = payload<C::TX * piece_bits>(x.read());
      ap_uint<C::TX * pixel_bits> placed = 0;
      for (int t = 0; t < C::TX; ++t) {
#pragma HLS UNROLL
        const ap_uint<pixel_bits> before = word >> (t * pixel_bits);
        const ap_uint<pixel_bits> pixel = shift_in(before, ap_int<piece_bits>(pieces >> (t * piece_bits)));
        word.range((t + 1) * pixel_bits - 1, t * pixel_bits) = pixel;
        placed.range((t + 1) * pixel_bits - 1, t * pixel_bits) =
            last_piece ? ap_uint<pixel_bits>(pixel >> idle_bits) : pixel;
      }
      if (last_piece || slot == ratio - 1) send(y, placed, last_piece && set == C::SETS - 1);
      slot = last_piece || slot == ratio - 1 ? 0 : slot + 1;
    }
  }
}

// Words of RATIO times TX pixels -> words of TX pixels.
//
// \tparam C  configuration: WIDE_SETS of RATIO * TX pixels, RATIO, GROUPS words of a set; WORD_BITS of a narrow word
template <class C, class X, class Y> void split_pixels(hls::stream<X>& x, hls::stream<Y>& y) {
  const int rest_bits = (C::RATIO - 1) * C::WORD_BITS;
  ap_uint<rest_bits> kept[C::GROUPS];  // what has not been sent, by group

sets:
  for (int set = 0; set < C::WIDE_SETS; ++set) {
  pixels:
    for (int part = 0; part < C::RATIO; ++part) {
    groups:
      for (int g = 0; g < C::GROUPS; ++g) {
#pragma HLS PIPELINE II = 1
// A group's word is stored one part before it is loaded again.
#pragma HLS DEPENDENCE variable = kept inter RAW distance = C::GROUPS true
        ap_uint<C::RATIO * C::WORD_BITS> word = kept[g];
        if (part == 0) word = payload<C::RATIO * C::WORD_BITS>(x.read());
        send(y, ap_uint<C::WORD_BITS>(word), set == C::WIDE_SETS - 1 && part == C::RATIO - 1 && g == C::GROUPS - 1);
        kept[g] = upper<rest_bits>(word);
      }
    }
  }
}

// Words of TX pixels -> words of RATIO times as many.
//
// \tparam C  configuration: as that of split_pixels
template <class C, class X, class Y> void gather_pixels(hls::stream<X>& x, hls::stream<Y>& y) {
  const int rest_bits = (C::RATIO - 1) * C::WORD_BITS;
  ap_uint<rest_bits> kept[C::GROUPS];  // what has come, by group

sets:
  for (int set = 0; set < C::WIDE_SETS; ++set) {
  pixels:
    for (int part = 0; part < C::RATIO; ++part) {
    groups:
      for (int g = 0; g < C::GROUPS; ++g) {
#pragma HLS PIPELINE II = 1
// A group's word is stored one part before it is loaded again.
#pragma HLS DEPENDENCE variable = kept inter RAW distance = C::GROUPS true
        const ap_uint<C::RATIO * C::WORD_BITS> word =
            concat(payload<C::WORD_BITS>(x.read()), ap_uint<rest_bits>(kept[g]));
        if (part == C::RATIO - 1) send(y, word, set == C::WIDE_SETS - 1 && g == C::GROUPS - 1);
        kept[g] = upper<rest_bits>(word);
      }
    }
  }
}

}  // namespace psconv

#endif
