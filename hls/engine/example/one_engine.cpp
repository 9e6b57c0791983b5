// SPDX-License-Identifier: Apache-2.0
#include "tops.hpp"

#include "engine.hpp"

void one_engine(hls::stream<ImageBeat>& x, hls::stream<FeatureBeat>& y) {
#pragma HLS INTERFACE axis port = x
#pragma HLS INTERFACE axis port = y
#pragma HLS INTERFACE ap_ctrl_none port = return
#pragma HLS DATAFLOW
  psconv::engine<FirstLayer>(x, y);
}
