// SPDX-License-Identifier: Apache-2.0
//
// Columns of an image -> windows.
#include "windows.hpp"
#include "config.hpp"
#include "words_io.hpp"

using G = psconv::WindowGeometry<Config>;

int main() {
  G::ColumnStream columns;
  G::WindowStream windows;
  read_words<Config::IN_BITS, G::COLUMNS_BITS / Config::IN_BITS>(columns);
  psconv::windows<Config>(columns, windows);
  print_words<Config::IN_BITS>(windows);
  return !columns.empty();
}
