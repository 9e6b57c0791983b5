// SPDX-License-Identifier: Apache-2.0
#include "psconv_engine.hpp"

#include "engine.hpp"

void psconv_engine(hls::stream<InputBeat>& x, hls::stream<OutputBeat>& y) {
#pragma HLS INTERFACE mode=axis port=x
#pragma HLS INTERFACE mode=axis port=y
#pragma HLS INTERFACE mode=ap_ctrl_none port=return
#pragma HLS DATAFLOW
  typedef psconv::Geometry<EngineConfig> G;

  hls::stream<G::Window> window_words;
#pragma HLS STREAM variable=window_words depth=EngineConfig::WINDOW_DEPTH
  hls::stream<G::Sums> sum_words;

#if PSCONV_KERNEL == 1
  psconv::pixels<EngineConfig>(x, window_words);
#else
  hls::stream<G::Column> column_words;
#pragma HLS STREAM variable=column_words depth=EngineConfig::COLUMN_DEPTH
  psconv::columns<EngineConfig>(x, column_words);
  psconv::windows<EngineConfig>(column_words, window_words);
#endif
  psconv::pe<EngineConfig>(window_words, sum_words);
  psconv::output<EngineConfig>(sum_words, y);
}
