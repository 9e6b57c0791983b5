// SPDX-License-Identifier: Apache-2.0
//
// Words of IN_GROUP channels -> words of OUT_GROUP channels.
#include "regroup.hpp"
#include "config.hpp"
#include "words_io.hpp"

int main() {
  hls::stream<ap_uint<Config::IN_GROUP * Config::BITS>> x;
  hls::stream<ap_uint<Config::OUT_GROUP * Config::BITS>> y;
  read_words<Config::BITS, Config::IN_GROUP>(x);
#ifdef SPLIT
  psconv::split<Config>(x, y);
#else
  psconv::gather<Config>(x, y);
#endif
  print_words<Config::BITS>(y);
  return !x.empty();
}
