// SPDX-License-Identifier: Apache-2.0
//
// Words of the first input and then those of the second -> both, pixel by pixel.
#include "concatenate.hpp"
#include "config.hpp"
#include "words_io.hpp"

int main() {
  hls::stream<ap_uint<Config::WORD_BITS>> both, first, second, y;
  read_words<Config::BITS, Config::WORD_BITS / Config::BITS>(both);
  for (int word = 0; word < Config::SETS * Config::FIRST_GROUPS; ++word) first.write(both.read());
  while (!both.empty()) second.write(both.read());
  psconv::concatenate<Config>(first, second, y);
  print_words<Config::BITS>(y);
  return !first.empty() || !second.empty();
}
