// SPDX-License-Identifier: Apache-2.0
//
// Words of the left operand and, as many, of the right one -> their sums.
#include "add.hpp"
#include "config.hpp"
#include "words_io.hpp"

int main() {
  static_assert(Config::LEFT_BITS == Config::RIGHT_BITS, "both come by one input");
  using Word = ap_uint<Config::CHANNELS * Config::LEFT_BITS>;
  hls::stream<Word> both, left, right;
  hls::stream<ap_uint<Config::CHANNELS * Config::OUT_BITS>> y;
  read_words<Config::LEFT_BITS, Config::CHANNELS>(both);
  for (int word = 0; word < Config::PIXELS * Config::GROUPS; ++word) left.write(both.read());
  while (!both.empty()) right.write(both.read());
  psconv::add<Config>(left, right, y);
  print_words<Config::OUT_BITS>(y);
  return !left.empty() || !right.empty();
}
