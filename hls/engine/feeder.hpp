// SPDX-License-Identifier: Apache-2.0
//
// Beats -> windows: columns and windows, or pixels where a window is what a beat has of a pixel.
//
// Depths: as small as the interval of what reads the windows allows, these being the widest words (computed with
// the configuration, see pymodel/engine/cycles.py).
#ifndef PSCONV_FEEDER_HPP
#define PSCONV_FEEDER_HPP

#include "columns.hpp"
#include "pixels.hpp"
#include "windows.hpp"

namespace psconv {

// \tparam C            configuration (WindowGeometry), with WINDOW_DEPTH, and COLUMN_DEPTH where there are columns
// \tparam HAS_COLUMNS  whether windows are made of columns, else pixels are windows as they come
template <class C, bool HAS_COLUMNS = WindowGeometry<C>::HAS_COLUMNS> struct Feeder {
  // INVERTS: as that of columns.
  template <bool INVERTS = false, class X>
  static void run(hls::stream<X>& x, typename WindowGeometry<C>::WindowStream& window_words) {
#pragma HLS INLINE
    typename WindowGeometry<C>::ColumnStream column_words;
#pragma HLS STREAM variable = column_words depth = C::COLUMN_DEPTH
    columns<C, INVERTS>(x, column_words);
    windows<C>(column_words, window_words);
  }
};

template <class C> struct Feeder<C, false> {
  template <bool INVERTS = false, class X>
  static void run(hls::stream<X>& x, typename WindowGeometry<C>::WindowStream& window_words) {
#pragma HLS INLINE
    pixels<C>(x, window_words);
  }
};

}  // namespace psconv

#endif
