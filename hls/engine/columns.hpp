// SPDX-License-Identifier: Apache-2.0
//
// Beats -> columns: KERNEL rows of one image column at a time, for KERNEL > 1.
//
// One line memory holds, for each beat of an image row, the KERNEL - 1 beats above it. Row r of the image
// completes the columns that end with it; they are passed on only if some output row ends there (stride).
// Rows outside the image are zeros: those below are not read, those above are cleared on the way out, so
// that what the line memory held before the image (the image before, or nothing at all) never gets through.
#ifndef PSCONV_COLUMNS_HPP
#define PSCONV_COLUMNS_HPP

#include "geometry.hpp"

namespace psconv {

template <class C, class X>
void columns(hls::stream<X>& x, hls::stream<typename WindowGeometry<C>::Column>& column_words) {
  typedef WindowGeometry<C> G;

  ap_uint<G::LINES_BITS> lines[G::ROW_BEATS];
  // A load and a store in every iteration: II = 1 needs a port for each.
#pragma HLS BIND_STORAGE variable=lines type=ram_s2p
rows:
  for (int r = 0; r < G::ROWS; ++r) {
  beats:
    for (int at = 0; at < G::ROW_BEATS; ++at) {
#pragma HLS PIPELINE II=1
// A beat's neighbours are stored one row before they are loaded again.
#pragma HLS DEPENDENCE variable=lines inter RAW distance=G::ROW_BEATS true
      typename G::Beat beat = 0;
      if (r < C::HEIGHT) beat = payload<G::BEAT_BITS>(x.read());

      typename G::Column column = concat(beat, lines[at]);
      lines[at] = upper<G::LINES_BITS>(column);

    above:
      for (int k = 0; k < C::PADDING; ++k) {
#pragma HLS UNROLL
        if (r + k < C::KERNEL - 1) column.range((k + 1) * G::BEAT_BITS - 1, k * G::BEAT_BITS) = 0;
      }
      if (ends_window<C>(r + C::PADDING, C::OUT_HEIGHT)) column_words.write(column);
    }
  }
}

}  // namespace psconv

#endif
