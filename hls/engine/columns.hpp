// SPDX-License-Identifier: Apache-2.0
//
// Beats -> columns: KERNEL rows of one image column at a time, for KERNEL > 1.
//
// One line memory holds, for each piece of an image row, the KERNEL - 1 pieces above it. Row r of the image
// completes the columns that end with it; they are passed on only if some output row ends there (stride).
// Rows outside the image are zeros: those below are not read, those above are cleared on the way out, so
// that what the line memory held before the image (the image before, or nothing at all) never gets through.
// Without a row of the image above the last one of any window there is no line memory.
#ifndef PSCONV_COLUMNS_HPP
#define PSCONV_COLUMNS_HPP

#include "geometry.hpp"

namespace psconv {

// Piece p of a beat: every PIECES-th of its channels, from channel p on.
//
// \tparam C  configuration (WindowGeometry)
template <class C> typename WindowGeometry<C>::Piece piece_of(const typename WindowGeometry<C>::Beat& beat, int p) {
#pragma HLS INLINE
  typename WindowGeometry<C>::Piece piece = 0;
blocks:
  for (int n = 0; n < WindowGeometry<C>::PIECE_CHANNELS; ++n) {
#pragma HLS UNROLL
    const ap_uint<C::PIECES * C::IN_BITS> block = beat >> (n * C::PIECES * C::IN_BITS);
    piece.range((n + 1) * C::IN_BITS - 1, n * C::IN_BITS) = field<C::IN_BITS>(block, p);
  }
  return piece;
}

// x: an image, as that of engine.hpp.
// column_words: of each row that ends a window its columns from the left, of each the pieces of its block sets.
//
// \tparam C  configuration (WindowGeometry)
// \tparam X  AXI4-Stream beat, or ap_uint, that carries a Beat
template <class C, class X> void columns(hls::stream<X>& x, typename WindowGeometry<C>::ColumnStream& column_words) {
  using G = WindowGeometry<C>;

  ap_uint<stored_bits(G::LINES_BITS)> lines[G::ROW_PIECES];
  // A load and a store in every iteration: II = 1 needs a port for each.
#pragma HLS BIND_STORAGE variable = lines type = ram_s2p
  typename G::Beat beat = 0;  // the one that is at work
  int p = 0;                  // at % PIECES
rows:
  for (int r = 0; r < G::ROWS; ++r) {
  pieces:
    for (int at = 0; at < G::ROW_PIECES; ++at) {
#pragma HLS PIPELINE II = 1
// A piece's neighbours are stored one row before they are loaded again.
#pragma HLS DEPENDENCE variable = lines inter RAW distance = G::ROW_PIECES true
      typename G::Piece piece = 0;
      if (r < C::HEIGHT) {
        if (p == 0) {
          beat = payload<G::BEAT_BITS>(x.read());
          piece = piece_of<C>(beat, 0);  // straight from the stream: the register has no multiplexer in front
        } else {
          piece = piece_of<C>(beat, p);
        }
      }
      p = p == C::PIECES - 1 ? 0 : p + 1;

      ap_uint<G::LINES_BITS> rows_above = 0;
      if (G::ABOVE) rows_above = lines[at];
      typename G::Column column = concat(piece, rows_above);
      if (G::ABOVE) lines[at] = upper<G::LINES_BITS>(column);

    above:
      for (int k = 0; k < C::PADDING; ++k) {
#pragma HLS UNROLL
        if (r + k < C::KERNEL - 1) column.range((k + 1) * G::PIECE_BITS - 1, k * G::PIECE_BITS) = 0;
      }
      if (ends_window<C>(r + C::PADDING, C::OUT_HEIGHT)) column_words.write(column);
    }
  }
}

}  // namespace psconv

#endif
