// SPDX-License-Identifier: Apache-2.0
//
// Words of packed fields, and how they travel: as plain words inside a network, as AXI4-Stream beats at the
// ports of a top. Processes are written once for both.
#ifndef PSCONV_WORDS_HPP
#define PSCONV_WORDS_HPP

#include "ap_axi_sdata.h"
#include "ap_int.h"
#include "hls_stream.h"

namespace psconv {

constexpr int whole_bytes(int bits) { return (bits + 7) / 8 * 8; }

// The AXI4-Stream beat that carries a word of BITS bits.
template <int BITS> using AxiBeat = ap_axiu<whole_bytes(BITS), 0, 0, 0>;

// `low` with `high` above it, as one word.
template <int H, int L> ap_uint<H + L> concat(const ap_uint<H>& high, const ap_uint<L>& low) {
#pragma HLS INLINE
  return (ap_uint<H + L>(high) << L) | ap_uint<H + L>(low);
}

// The upper BITS bits of a word.
template <int BITS, int W> ap_uint<BITS> upper(const ap_uint<W>& word) {
#pragma HLS INLINE
  return ap_uint<BITS>(word >> (W - BITS));
}

// Signed field `index` of a word of BITS-wide fields. A constant index makes it plain wires.
template <int BITS, int W> ap_int<BITS> field(const ap_uint<W>& word, int index) {
#pragma HLS INLINE
  return ap_int<BITS>(word.range((index + 1) * BITS - 1, index * BITS));
}

// The word moved down by one field, with `value` as its top field.
template <int W, int BITS> ap_uint<W> shift_in(const ap_uint<W>& word, const ap_int<BITS>& value) {
#pragma HLS INLINE
  ap_uint<W> shifted = word >> BITS;
  shifted.range(W - 1, W - BITS) = value;
  return shifted;
}

// The word of BITS bits that a plain word or an AXI4-Stream beat carries.
template <int BITS, int W> ap_uint<BITS> payload(const ap_uint<W>& word) {
#pragma HLS INLINE
  return ap_uint<BITS>(word);
}
template <int BITS, class Beat> ap_uint<BITS> payload(const Beat& beat) {
#pragma HLS INLINE
  return ap_uint<BITS>(beat.data);
}

// Writes a word; as a beat it has TLAST where `last` says so.
template <int V, int W> void send(hls::stream<ap_uint<V>>& words, const ap_uint<W>& word, bool) {
#pragma HLS INLINE
  words.write(ap_uint<V>(word));
}
template <class Beat, int W> void send(hls::stream<Beat>& beats, const ap_uint<W>& word, bool last) {
#pragma HLS INLINE
  Beat beat;
  beat.data = word;
  beat.keep = -1;
  beat.strb = -1;
  beat.last = last;
  beats.write(beat);
}

}  // namespace psconv

#endif
