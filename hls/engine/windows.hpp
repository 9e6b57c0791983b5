// SPDX-License-Identifier: Apache-2.0
//
// Columns -> windows: the KERNEL x KERNEL neighbourhoods of TX output pixels at a time, of one block set or of
// a piece of it.
//
// For each of them the last columns are kept: in registers if there is only one, else in a memory.
// Columns outside the image are zeros and are not read.
#ifndef PSCONV_WINDOWS_HPP
#define PSCONV_WINDOWS_HPP

#include "geometry.hpp"

namespace psconv {

// column_words: as `columns` writes them. window_words: of each TX output pixels those of their block sets and
// pieces.
//
// \tparam C  configuration (WindowGeometry)
template <class C>
void windows(typename WindowGeometry<C>::ColumnStream& column_words,
             typename WindowGeometry<C>::WindowStream& window_words) {
  using G = WindowGeometry<C>;

  ap_uint<stored_bits(G::HISTORY_BITS)> history[G::PIXEL_PIECES];
rows:
  for (int y = 0; y < C::OUT_HEIGHT; ++y) {
  positions:
    for (int x = 0; x < G::POSITIONS; ++x) {
    pieces:
      for (int n = 0; n < G::PIXEL_PIECES; ++n) {
#pragma HLS PIPELINE II = 1
// The columns of a piece are stored one position before they are loaded again.
#pragma HLS DEPENDENCE variable = history inter RAW distance = G::PIXEL_PIECES true
        typename G::Columns columns = 0;
        if (x >= G::LEAD && x < G::LEAD + G::ROW_SETS) columns = column_words.read();

        const ap_uint<G::COLUMNS_BITS + G::HISTORY_BITS> all = concat(columns, ap_uint<G::HISTORY_BITS>(history[n]));
        history[n] = upper<G::HISTORY_BITS>(all);
        if (ends_window<C>(x, G::LEAD + G::LAST / C::TX, G::OUT_ROW_SETS)) window_words.write(typename G::Window(all));
      }
    }
  }
}

}  // namespace psconv

#endif
