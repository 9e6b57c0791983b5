// SPDX-License-Identifier: Apache-2.0
//
// Beats of an image -> columns.
#include "columns.hpp"
#include "config.hpp"
#include "words_io.hpp"

using G = psconv::WindowGeometry<Config>;

int main() {
  hls::stream<G::Beat> beats;
  G::ColumnStream columns;
  read_words<Config::IN_BITS, Config::TX * Config::CHANNELS>(beats);
  psconv::columns<Config>(beats, columns);
  print_words<Config::IN_BITS>(columns);
  return !beats.empty();
}
