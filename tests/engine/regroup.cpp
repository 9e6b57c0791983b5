// SPDX-License-Identifier: Apache-2.0
//
// Words of IN_GROUP channels -> words of OUT_GROUP channels.
#include "regroup.hpp"
#include "config.hpp"
#include "words_io.hpp"

#ifdef PIXELS
static const int NARROW = Config::WORD_BITS, WIDE = Config::RATIO * Config::WORD_BITS;
#elif defined(SPLIT)
static const int NARROW = Config::TX * Config::OUT_GROUP * Config::BITS;
static const int WIDE = Config::TX * Config::IN_GROUP * Config::BITS;
#else
static const int NARROW = Config::TX * Config::IN_GROUP * Config::BITS;
static const int WIDE = Config::TX * Config::OUT_GROUP * Config::BITS;
#endif

int main() {
#ifdef SPLIT
  hls::stream<ap_uint<WIDE>> x;
  hls::stream<ap_uint<NARROW>> y;
  read_words<Config::BITS, WIDE / Config::BITS>(x);
#else
  hls::stream<ap_uint<NARROW>> x;
  hls::stream<ap_uint<WIDE>> y;
  read_words<Config::BITS, NARROW / Config::BITS>(x);
#endif
#if defined(PIXELS) && defined(SPLIT)
  psconv::split_pixels<Config>(x, y);
#elif defined(PIXELS)
  psconv::gather_pixels<Config>(x, y);
#elif defined(SPLIT)
  psconv::split<Config>(x, y);
#else
  psconv::gather<Config>(x, y);
#endif
  print_words<Config::BITS>(y);
  return !x.empty();
}
