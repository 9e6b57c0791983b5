// SPDX-License-Identifier: Apache-2.0
//
// Beats of an image -> windows of one pixel.
#include "pixels.hpp"
#include "config.hpp"
#include "words_io.hpp"

using G = psconv::WindowGeometry<Config>;

int main() {
  hls::stream<G::Beat> beats;
  G::WindowStream windows;
  read_words<Config::IN_BITS, Config::TX * Config::CHANNELS>(beats);
  psconv::pixels<Config>(beats, windows);
  print_words<Config::IN_BITS>(windows);
  return !beats.empty();
}
