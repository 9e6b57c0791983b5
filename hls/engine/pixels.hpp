// SPDX-License-Identifier: Apache-2.0
//
// Beats -> windows for KERNEL = 1, where a window is a pixel: drops those off the stride grid, one pixel at a time,
// or passes all on, TX at a time.
#ifndef PSCONV_PIXELS_HPP
#define PSCONV_PIXELS_HPP

#include "geometry.hpp"

namespace psconv {

// x: an image, as that of engine.hpp. window_words: of each output pixel its block sets.
//
// \tparam C  configuration (WindowGeometry)
// \tparam X  AXI4-Stream beat, or ap_uint, that carries a Beat
template <class C, class X> void pixels(hls::stream<X>& x, typename WindowGeometry<C>::WindowStream& window_words) {
  using G = WindowGeometry<C>;
  static_assert(!G::HAS_COLUMNS, "other windows need columns and windows");

rows:
  for (int row = 0; row < C::HEIGHT; ++row) {
  positions:
    for (int column = 0; column < G::ROW_SETS; ++column) {
    block_sets:
      for (int b = 0; b < C::BLOCK_SETS; ++b) {
#pragma HLS PIPELINE II = 1
        const typename G::Window window = payload<G::WINDOW_BITS>(x.read());
        const bool on_grid = row % C::STRIDE == 0 && column % C::STRIDE == 0;
        if (on_grid) window_words.write(window);
      }
    }
  }
}

}  // namespace psconv

#endif
