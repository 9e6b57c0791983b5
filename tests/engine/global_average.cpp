// SPDX-License-Identifier: Apache-2.0
//
// An image -> the means of its channels.
#include "global_average.hpp"
#include "config.hpp"
#include "words_io.hpp"

int main() {
  hls::stream<ap_uint<Config::TX * Config::CHANNELS * Config::IN_BITS>> x;
  hls::stream<ap_uint<Config::CHANNELS * Config::OUT_BITS>> y;
  read_words<Config::IN_BITS, Config::TX * Config::CHANNELS>(x);
  psconv::global_average<Config>(x, y);
  print_words<Config::OUT_BITS>(y);
  return !x.empty();
}
