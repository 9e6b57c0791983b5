// SPDX-License-Identifier: Apache-2.0
// Dataflow: processes, streams, AXI4-Stream ports.
#include "ap_axi_sdata.h"

typedef ap_axiu<16, 0, 0, 0> Beat;
struct Config { static constexpr int N = 12, DEPTH = 3; };

template <class C>
void unpack(hls::stream<Beat>& x, hls::stream<ap_int<8>>& low, hls::stream<ap_int<8>>& high) {
  for (int i = 0; i < C::N; ++i) {
#pragma HLS PIPELINE II=1
    Beat beat = x.read();
    low.write(beat.data(7, 0));
    high.write(beat.data(15, 8));
  }
}

template <class C, int GAIN> void scale(hls::stream<ap_int<8>>& x, hls::stream<ap_int<12>>& y) {
  for (int i = 0; i < C::N; ++i) y.write(x.read() * GAIN);
}

template <class C> void join(hls::stream<ap_int<12>>& a, hls::stream<ap_int<12>>& b, hls::stream<Beat>& y) {
  for (int i = 0; i < C::N; ++i) {
    Beat beat;
    beat.data = a.read() - b.read();
    beat.keep = -1;
    beat.strb = i & 3;
    beat.last = i == C::N - 1;
    y.write(beat);
  }
}

void narrow_down(hls::stream<ap_int<12>>& x, hls::stream<ap_int<8>>& y) {
  for (int i = 0; i < Config::N; ++i) y.write(x.read() >> 4);
}

// A diamond; one process function used twice with one set of parameters and once with another.
void diamond(hls::stream<Beat>& x, hls::stream<Beat>& y) {
#pragma HLS INTERFACE axis port=x
#pragma HLS INTERFACE mode=axis port=y
#pragma HLS INTERFACE mode=ap_ctrl_none port=return
#pragma HLS DATAFLOW
  hls::stream<ap_int<8>> low("low"), high("high");
#pragma HLS STREAM variable=low depth=Config::DEPTH + 1
  hls::stream<ap_int<12>> left, middle, right;
#pragma HLS STREAM variable=right depth=2
  hls::stream<ap_int<8>> narrow;
  unpack<Config>(x, low, high);
  scale<Config, 3>(low, left);
  scale<Config, 3>(high, middle);
  narrow_down(middle, narrow);
  scale<Config, -1>(narrow, right);
  join<Config>(left, right, y);
}
