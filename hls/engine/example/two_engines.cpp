// SPDX-License-Identifier: Apache-2.0
#include "tops.hpp"

#include "engine.hpp"

// Plain words go from one engine to the other: what the first gives at once is what the second takes at once.
using Features = psconv::Geometry<FirstLayer>::Group;
static_assert(int(Features::width) == int(psconv::Geometry<SecondLayer>::BEAT_BITS), "one is the other");

static void first(hls::stream<ImageBeat>& x, hls::stream<Features>& features) {
#pragma HLS DATAFLOW
  psconv::engine<FirstLayer>(x, features);
}

static void second(hls::stream<Features>& features, hls::stream<ScoreBeat>& y) {
#pragma HLS DATAFLOW
  psconv::engine<SecondLayer>(features, y);
}

void two_engines(hls::stream<ImageBeat>& x, hls::stream<ScoreBeat>& y) {
#pragma HLS INTERFACE axis port = x
#pragma HLS INTERFACE axis port = y
#pragma HLS INTERFACE ap_ctrl_none port = return
#pragma HLS DATAFLOW
  hls::stream<Features> features;
#pragma HLS STREAM variable = features depth = 2
  first(x, features);
  second(features, y);
}
