// SPDX-License-Identifier: Apache-2.0
//
// Words of whole pixels -> the same with their channels shuffled.
#include "shuffle.hpp"
#include "config.hpp"
#include "words_io.hpp"

int main() {
  hls::stream<ap_uint<Config::TX * Config::CHANNELS * Config::BITS>> x, y;
  read_words<Config::BITS, Config::TX * Config::CHANNELS>(x);
  psconv::shuffle<Config>(x, y);
  print_words<Config::BITS>(y);
  return !x.empty();
}
