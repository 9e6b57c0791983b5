// SPDX-License-Identifier: Apache-2.0
//
// Words -> the same after a ReLU.
#include "relu.hpp"
#include "config.hpp"
#include "words_io.hpp"

int main() {
  hls::stream<ap_uint<Config::CHANNELS * Config::BITS>> x, y;
  read_words<Config::BITS, Config::CHANNELS>(x);
  psconv::relu<Config>(x, y);
  print_words<Config::BITS>(y);
  return !x.empty();
}
