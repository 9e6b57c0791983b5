// SPDX-License-Identifier: Apache-2.0
//
// The entrance of a network whose weights are loaded: packets -> what the engines are to load, the image, and
// a verdict for the answer. docs/weights.md has the format of packets and verdicts.
//
// A packet ends with TLAST, wherever that comes. What is missing is made up with zeros, so that whatever
// came in, each packet gives the rest of the network exactly one image and, if its header says so, exactly
// one set of weights: nothing behind the gate can lose its step.
#ifndef PSCONV_GATE_HPP
#define PSCONV_GATE_HPP

#include "words.hpp"

namespace psconv {

template <class C, class X>
void gate(hls::stream<X>& x, hls::stream<ap_uint<C::BEAT_BITS>>& loads,
          hls::stream<ap_uint<C::WORD_BITS>>& image, hls::stream<ap_uint<8>>& verdicts) {
  // Where the parts of a packet begin, if weights are in it; the header is beat 0.
  const int check = 1 + C::LOAD_BEATS, first = check + C::CHECK_BEATS;

  static bool loaded = false;  // the engines hold weights that came whole, since reset
  ap_uint<C::COUNT_BITS> at = 0;
  bool header = true, tail = false;  // before and after all of them
  bool ended = false;                // TLAST was there
  bool reloading = false, malformed = false, truncated = false, overlong = false, more = true;
  // Fletcher's check sum: the sum of the beats, and of the sums before each; they come lowest beat first.
  const int sum_bits = C::BEAT_BITS < 32 ? 32 : C::BEAT_BITS;
  ap_uint<sum_bits> sum = 0, sums = 0;

beats:
  do {
#pragma HLS PIPELINE II=1
    const bool missing = ended;
    ap_uint<C::BEAT_BITS> beat = 0;
    if (!missing) {
      const X taken = x.read();
      beat = payload<C::BEAT_BITS>(taken);
      ended = taken.last;
    }

    const bool last = reloading ? at == first + C::IMAGE_WORDS - 1 : at == C::IMAGE_WORDS;
    if (header) {
      reloading = beat[0];
      malformed = beat > 1;
      loaded = loaded || reloading;
      loads.write(ap_uint<C::BEAT_BITS>(reloading));
    } else if (tail) {
      if (!missing) overlong = true;
    } else if (reloading && at < check) {
      loads.write(beat);
      sums += sum;
      sum += beat;
      if (missing) loaded = false;
    } else if (reloading && at < first) {
      const ap_uint<2 * sum_bits> both = concat(sums, sum);
      if (missing || beat != ap_uint<C::BEAT_BITS>(both)) loaded = false;
      sum = both >> C::BEAT_BITS;
      sums = both >> (C::BEAT_BITS + sum_bits);
    } else {
      image.write(ap_uint<C::WORD_BITS>(beat));
      if (missing) truncated = true;
    }

    if (tail && missing) {
      ap_uint<8> verdict = 0;
      verdict[0] = loaded && !malformed && !truncated && !overlong;
      verdict[1] = !loaded;
      verdict[2] = reloading;
      verdict[3] = malformed;
      verdict[4] = truncated;
      verdict[5] = overlong;
      verdicts.write(verdict);
      more = false;
    }

    tail = tail || last;
    ++at;
    header = false;
  } while (more);
}

}  // namespace psconv

#endif
