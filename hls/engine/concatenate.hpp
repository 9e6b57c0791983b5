// SPDX-License-Identifier: Apache-2.0
//
// Concatenation: of each pixel the channels of one tensor, then those of another.
#ifndef PSCONV_CONCATENATE_HPP
#define PSCONV_CONCATENATE_HPP

#include "words.hpp"

namespace psconv {

// first, second, y: of each of SETS sets of pixels FIRST_GROUPS words, the rest of GROUPS, and GROUPS. The words of
// `first` are full: its channels are a multiple of theirs.
//
// \tparam C       configuration: SETS, FIRST_GROUPS, GROUPS; WORD_BITS of a word
// \tparam First   AXI4-Stream beat, or ap_uint, that carries a word of the first input
// \tparam Second  likewise of the second input
// \tparam Y       likewise of the output
template <class C, class First, class Second, class Y>
void concatenate(hls::stream<First>& first, hls::stream<Second>& second, hls::stream<Y>& y) {
sets:
  for (int set = 0; set < C::SETS; ++set) {
  groups:
    for (int g = 0; g < C::GROUPS; ++g) {
#pragma HLS PIPELINE II = 1
      ap_uint<C::WORD_BITS> word = 0;
      if (g < C::FIRST_GROUPS) {
        word = payload<C::WORD_BITS>(first.read());
      } else {
        word = payload<C::WORD_BITS>(second.read());
      }
      send(y, word, set == C::SETS - 1 && g == C::GROUPS - 1);
    }
  }
}

}  // namespace psconv

#endif
