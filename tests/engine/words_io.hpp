// SPDX-License-Identifier: Apache-2.0
//
// Words as numbers on standard input and output, field by field, the least significant first; a line a word.
#ifndef WORDS_IO_HPP
#define WORDS_IO_HPP

#include <cstdio>

#include "words.hpp"

// False at the end of the input.
inline bool read_number(long long& number) { return std::scanf("%lld", &number) == 1; }

// Reads words of FIELDS numbers of BITS bits until the input ends.
template <int BITS, int FIELDS> void read_words(hls::stream<ap_uint<BITS * FIELDS>>& words) {
  long long number;
  while (read_number(number)) {
    ap_uint<BITS * FIELDS> word = 0;
    for (int at = 0; at < FIELDS; ++at) {
      word.range((at + 1) * BITS - 1, at * BITS) = ap_int<BITS>(number);
      if (at < FIELDS - 1 && !read_number(number)) return;
    }
    words.write(word);
  }
}

// Prints the fields of a word as signed numbers of BITS bits.
template <int BITS, int W> void print_word(const ap_uint<W>& word) {
  for (int at = 0; at < W / BITS; ++at) std::printf("%d ", int(psconv::field<BITS>(word, at)));
  std::printf("\n");
}

template <int BITS, int W> void print_words(hls::stream<ap_uint<W>>& words) {
  while (!words.empty()) print_word<BITS>(words.read());
}

#endif
