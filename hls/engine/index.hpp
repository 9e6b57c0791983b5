// SPDX-License-Identifier: Apache-2.0
//
// Counters as wide as what they count: where the data say how long a loop runs, no tool can find that out.
#ifndef PSCONV_INDEX_HPP
#define PSCONV_INDEX_HPP

#include "ap_int.h"

namespace psconv {

// Bits that tell `values` values apart.
constexpr int bits_for(int values) { return values <= 1 ? 0 : 1 + bits_for((values + 1) / 2); }

// A number from 0 to N - 1. Of two bits at least: an array that a single bit indexes is no memory to LLVM any more,
// but two variables to choose from.
template <int N> using Index = ap_uint<(N > 2 ? bits_for(N) : 2)>;

// The next number after `index`, if `counts`; after N - 1 comes 0.
template <int N> void count(Index<N>& index, bool counts = true) {
#pragma HLS INLINE
  if (counts) index = index == N - 1 ? Index<N>(0) : Index<N>(index + 1);
}

}  // namespace psconv

#endif
