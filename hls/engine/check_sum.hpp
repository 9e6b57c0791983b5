// SPDX-License-Identifier: Apache-2.0
//
// The check sum of weights that are loaded: a Reed-Solomon code with two check symbols over GF(2^32) for each
// 32 bits of a beat. pymodel/top/check_sum.py has the definition, and what it promises.
//
// A beat costs a turn of two linear feedback shift registers: one level of XORs, however wide the beats are,
// where sums of integers would have carry chains as long as a beat.
#ifndef PSCONV_CHECK_SUM_HPP
#define PSCONV_CHECK_SUM_HPP

#include "words.hpp"

namespace psconv {

// Every 32 bits of `symbols` times x^POWER, as polynomials modulo x^32 + x^22 + x^2 + x + 1: what leaves at
// the top comes in again at the bottom, and is added in the places of x, x^2 and x^22 above there.
//
// \tparam POWER  1 or 2
// \tparam W      bits of the symbols, a multiple of 32
template <int POWER, int W> ap_uint<W> times_x(const ap_uint<W>& symbols) {
#pragma HLS INLINE
  const int COUNT = W / 32;
  ap_uint<W> product = 0;
every_symbol:
  for (int at = 0; at < COUNT; ++at) {
#pragma HLS UNROLL
    const ap_uint<32> symbol = symbols.range(32 * at + 31, 32 * at);
    const ap_uint<32> top = symbol >> (32 - POWER);
    product.range(32 * at + 31, 32 * at) =
        ((ap_uint<32>(symbol << POWER) | top) ^ (top << 1)) ^ ((top << 2) ^ (top << 22));
  }
  return product;
}

// The sums over the beats that were added.
//
// \tparam BEAT_BITS  bits of a beat
template <int BEAT_BITS> struct CheckSum {
  static const int BITS = (BEAT_BITS + 31) / 32 * 32;  // of each of the sums
  ap_uint<BITS> first, second;                         // with x and x^2

  CheckSum() : first(-1), second(-1) {
#pragma HLS INLINE
  }
  void add(const ap_uint<BEAT_BITS>& beat) {
#pragma HLS INLINE
    first = times_x<1>(first) ^ ap_uint<BITS>(beat);
    second = times_x<2>(second) ^ ap_uint<BITS>(beat);
  }
  // The next beat of the check sum itself, lowest bits first.
  ap_uint<BEAT_BITS> take() {
#pragma HLS INLINE
    const ap_uint<2 * BITS> both = concat(second, first);
    first = both >> BEAT_BITS;
    second = both >> (BEAT_BITS + BITS);
    return both;
  }
};

}  // namespace psconv

#endif
