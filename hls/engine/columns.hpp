// SPDX-License-Identifier: Apache-2.0
//
// Beats -> columns: KERNEL rows of TX image columns at a time.
//
// One line memory holds, for each piece of TX pixels of an image row, the KERNEL - 1 pieces above it. Row r of the
// image completes the columns that end with it; they are passed on only if some output row ends there (stride).
// Rows outside the image are zeros: those below are not read, those above are cleared on the way out, so
// that what the line memory held before the image (the image before, or nothing at all) never gets through.
// Without a row of the image above the last one of any window there is no line memory.
#ifndef PSCONV_COLUMNS_HPP
#define PSCONV_COLUMNS_HPP

#include "geometry.hpp"

namespace psconv {

// The pieces of TX pixels, pixel t at bits t * PIECE_BITS.
template <class C> using Pieces = ap_uint<C::TX * WindowGeometry<C>::PIECE_BITS>;

// Piece p of each pixel of a beat: every PIECES-th of its channels, from channel p on.
//
// \tparam C  configuration (WindowGeometry)
template <class C> Pieces<C> pieces_of(const typename WindowGeometry<C>::Beat& beat, int p) {
#pragma HLS INLINE
  Pieces<C> pieces = 0;
blocks:
  for (int n = 0; n < C::TX * WindowGeometry<C>::PIECE_CHANNELS; ++n) {
#pragma HLS UNROLL
    const ap_uint<C::PIECES * C::IN_BITS> block = beat >> (n * C::PIECES * C::IN_BITS);
    pieces.range((n + 1) * C::IN_BITS - 1, n * C::IN_BITS) = field<C::IN_BITS>(block, p);
  }
  return pieces;
}

// A beat with the sign bits of its activations inverted, where INVERTS says so.
template <class C, bool INVERTS> typename WindowGeometry<C>::Beat taken(typename WindowGeometry<C>::Beat beat) {
#pragma HLS INLINE
  if (INVERTS) {
  signs:
    for (int n = 0; n < C::TX * C::CHANNELS; ++n) {
#pragma HLS UNROLL
      const int sign = (n + 1) * C::IN_BITS - 1;
      beat.range(sign, sign) = ap_uint<1>(beat >> sign) ^ ap_uint<1>(1);
    }
  }
  return beat;
}

// x: an image, as that of engine.hpp.
// column_words: of each row that ends a window its columns from the left, of each the pieces of its block sets.
//
// \tparam C  configuration (WindowGeometry)
// \tparam INVERTS  whether the sign bits of activations are inverted on the way, so that a zero outside the image
//                  stands for the smallest number
// \tparam X  AXI4-Stream beat, or ap_uint, that carries a Beat
template <class C, bool INVERTS = false, class X>
void columns(hls::stream<X>& x, typename WindowGeometry<C>::ColumnStream& column_words) {
  using G = WindowGeometry<C>;

  ap_uint<stored_bits(larger(G::LINES_BITS, 1))> lines[G::ROW_PIECES];
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
      Pieces<C> pieces = 0;
      if (r < C::HEIGHT) {
        if (p == 0) {
          beat = taken<C, INVERTS>(payload<G::BEAT_BITS>(x.read()));
          pieces = pieces_of<C>(beat, 0);  // straight from the stream: the register has no multiplexer in front
        } else {
          pieces = pieces_of<C>(beat, p);
        }
      }
      p = p == C::PIECES - 1 ? 0 : p + 1;

      ap_uint<larger(G::LINES_BITS, 1)> rows_above = 0, rows_kept = 0;
      if (G::ABOVE) rows_above = lines[at];
      typename G::Columns columns = 0;
    pixels:
      for (int t = 0; t < C::TX; ++t) {
#pragma HLS UNROLL
        ap_uint<G::COLUMN_BITS> column = typename G::Piece(pieces >> (t * G::PIECE_BITS));
        column = (column << G::ABOVE_BITS) | ap_uint<larger(G::ABOVE_BITS, 1)>(rows_above >> (t * G::ABOVE_BITS));
        rows_kept |= ap_uint<larger(G::LINES_BITS, 1)>(column >> G::PIECE_BITS) << (t * G::ABOVE_BITS);
      above:
        for (int k = 0; k < C::TOP; ++k) {
#pragma HLS UNROLL
          if (r + k < C::KERNEL - 1) column.range((k + 1) * G::PIECE_BITS - 1, k * G::PIECE_BITS) = 0;
        }
        columns.range((t + 1) * G::COLUMN_BITS - 1, t * G::COLUMN_BITS) = column;
      }
      if (G::ABOVE) lines[at] = rows_kept;
      if (ends_window<C>(r + C::TOP, C::KERNEL - 1, C::OUT_HEIGHT)) column_words.write(columns);
    }
  }
}

}  // namespace psconv

#endif
