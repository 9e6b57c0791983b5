// SPDX-License-Identifier: Apache-2.0
//
// An image -> its pooled image.
#include "pool.hpp"
#include "config.hpp"
#include "words_io.hpp"

int main() {
  hls::stream<psconv::WindowGeometry<Config>::Beat> x;
  hls::stream<ap_uint<Config::TX * Config::CHANNELS * Config::OUT_BITS>> y;
  read_words<Config::IN_BITS, Config::TX * Config::CHANNELS>(x);
  psconv::pool<Config>(x, y);
  print_words<Config::OUT_BITS>(y);
  return !x.empty();
}
