// SPDX-License-Identifier: Apache-2.0
#include "psconv_engine.hpp"

#include "engine.hpp"

void psconv_engine(hls::stream<InputBeat>& x, hls::stream<OutputBeat>& y) {
#pragma HLS INTERFACE axis port = x
#pragma HLS INTERFACE axis port = y
#pragma HLS INTERFACE ap_ctrl_none port = return
#pragma HLS DATAFLOW
  psconv::engine<EngineConfig>(x, y);
}
