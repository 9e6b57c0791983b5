// SPDX-License-Identifier: Apache-2.0
//
// The exit of a network whose weights are loaded: the scores of an image, and the verdict on its packet as
// the last beat.
#ifndef PSCONV_RESPONSE_HPP
#define PSCONV_RESPONSE_HPP

#include "words.hpp"

namespace psconv {

// scores: WORDS words of each image. verdicts: one for each image. y: the scores, and the verdict behind them.
//
// \tparam C  configuration: WORDS of an image, of WORD_BITS bits; BEATS, one more; bits of a verdict VERDICT_BITS
// \tparam Y  AXI4-Stream beat
template <class C, class Y>
void response(hls::stream<ap_uint<C::WORD_BITS>>& scores, hls::stream<ap_uint<C::VERDICT_BITS>>& verdicts,
              hls::stream<Y>& y) {
words:
  for (int word = 0; word < C::BEATS; ++word) {
#pragma HLS PIPELINE II = 1
    ap_uint<C::WORD_BITS> score = 0;
    ap_uint<C::VERDICT_BITS> verdict = 0;
    if (word < C::WORDS) score = scores.read();
    if (word == C::WORDS) verdict = verdicts.read();
    const ap_uint<whole_bytes(C::WORD_BITS)> beat = ap_uint<whole_bytes(C::WORD_BITS)>(score) | verdict;
    send(y, beat, word == C::WORDS);
  }
}

}  // namespace psconv

#endif
