// SPDX-License-Identifier: Apache-2.0
//
// One tensor for two readers.
#ifndef PSCONV_FORK_HPP
#define PSCONV_FORK_HPP

#include "words.hpp"

namespace psconv {

// first, second: each gets all words of x.
//
// \tparam C       configuration: WORDS of an image, of WORD_BITS bits
// \tparam X       AXI4-Stream beat, or ap_uint, that carries a word
// \tparam First   likewise of the first copy
// \tparam Second  likewise of the second copy
template <class C, class X, class First, class Second>
void fork(hls::stream<X>& x, hls::stream<First>& first, hls::stream<Second>& second) {
words:
  for (int word = 0; word < C::WORDS; ++word) {
#pragma HLS PIPELINE II = 1
    const ap_uint<C::WORD_BITS> copy = payload<C::WORD_BITS>(x.read());
    send(first, copy, word == C::WORDS - 1);
    send(second, copy, word == C::WORDS - 1);
  }
}

}  // namespace psconv

#endif
