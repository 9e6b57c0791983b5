// SPDX-License-Identifier: Apache-2.0
//
// Columns -> windows: the KERNEL x KERNEL neighbourhood of one output pixel and block set at a time, for
// KERNEL > 1.
//
// For each block set the last KERNEL - 1 columns are kept: in registers if there is one set, else in a
// memory. Columns outside the image are zeros and are not read.
#ifndef PSCONV_WINDOWS_HPP
#define PSCONV_WINDOWS_HPP

#include "geometry.hpp"

namespace psconv {

template <class C>
void windows(hls::stream<typename WindowGeometry<C>::Column>& column_words,
             hls::stream<typename WindowGeometry<C>::Window>& window_words) {
  typedef WindowGeometry<C> G;

  ap_uint<G::HISTORY_BITS> history[C::BLOCK_SETS];
rows:
  for (int y = 0; y < C::OUT_HEIGHT; ++y) {
  positions:
    for (int x = 0; x < G::PADDED_WIDTH; ++x) {
    block_sets:
      for (int b = 0; b < C::BLOCK_SETS; ++b) {
#pragma HLS PIPELINE II=1
// The columns of a block set are stored one position before they are loaded again.
#pragma HLS DEPENDENCE variable=history inter RAW distance=C::BLOCK_SETS true
        typename G::Column column = 0;
        if (x >= C::PADDING && x < C::PADDING + C::WIDTH) column = column_words.read();

        const typename G::Window window = concat(column, history[b]);
        history[b] = upper<G::HISTORY_BITS>(window);
        if (ends_window<C>(x, C::OUT_WIDTH)) window_words.write(window);
      }
    }
  }
}

}  // namespace psconv

#endif
