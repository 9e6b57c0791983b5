// SPDX-License-Identifier: Apache-2.0
//
// Sums, step by step -> words of output channels.
#include "output.hpp"
#include "config.hpp"
#include "words_io.hpp"

using G = psconv::Geometry<Config>;

int main() {
  G::SumsStream sums;
  hls::stream<G::Group> y;
  read_words<Config::ACC_BITS, Config::TX * G::OUTPUTS>(sums);
  psconv::output<Config>(sums, y);
  print_words<Config::OUT_BITS>(y);
  return !sums.empty();
}
