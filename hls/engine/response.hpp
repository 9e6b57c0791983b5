// SPDX-License-Identifier: Apache-2.0
//
// The exit of a network whose weights are loaded: the scores of an image, and the status of its packet as
// the last beat.
#ifndef PSCONV_RESPONSE_HPP
#define PSCONV_RESPONSE_HPP

#include "words.hpp"

namespace psconv {

// scores: WORDS words of each image. statuses: one for each image. y: the scores, and the status behind them.
//
// \tparam C  configuration: WORDS of an image, of WORD_BITS bits; BEATS, one more; bits of a status STATUS_BITS
// \tparam Y  AXI4-Stream beat
template <class C, class Y>
void response(hls::stream<ap_uint<C::WORD_BITS>>& scores, hls::stream<ap_uint<C::STATUS_BITS>>& statuses,
              hls::stream<Y>& y) {
words:
  for (int word = 0; word < C::BEATS; ++word) {
#pragma HLS PIPELINE II = 1
    ap_uint<C::WORD_BITS> score = 0;
    ap_uint<C::STATUS_BITS> status = 0;
    if (word < C::WORDS) score = scores.read();
    if (word == C::WORDS) status = statuses.read();
    const ap_uint<whole_bytes(C::WORD_BITS)> beat = ap_uint<whole_bytes(C::WORD_BITS)>(score) | status;
    send(y, beat, word == C::WORDS);
  }
}

}  // namespace psconv

#endif
