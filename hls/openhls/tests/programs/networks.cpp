// SPDX-License-Identifier: Apache-2.0
// Networks with arrays and structures of streams.
#include "ap_int.h"
#include "hls_stream.h"

typedef ap_uint<8> Word;
typedef hls::stream<Word> Words;

namespace farm {
// one process deals out, three work, one collects
void deal(Words& x, Words out[3]) {
  for (int i = 0; i < 9; ++i) out[i % 3].write(x.read());
}
void work(Words& x, Words& y) { for (int i = 0; i < 3; ++i) y.write(x.read() * 3); }
void collect(Words in[3], Words& y) {
  for (int i = 0; i < 9; ++i) y.write(in[i % 3].read());
}
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
#pragma HLS DATAFLOW
  Words dealt[3], done[3];
#pragma HLS STREAM variable=dealt depth=5
  deal(x, dealt);
  for (int k = 0; k < 3; ++k) {
#pragma HLS UNROLL
    work(dealt[k], done[k]);
  }
  collect(done, y);
}
}  // farm

namespace chain {
void stage(Words& x, Words& y) { y.write(x.read() + 1); }
template <int N> void chained(Words& x, Words& y) {
#pragma HLS DATAFLOW
  Words between[N - 1];
  stage(x, between[0]);
  for (int k = 0; k + 2 < N; ++k) {
#pragma HLS UNROLL
    stage(between[k], between[k + 1]);
  }
  stage(between[N - 2], y);
}
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
#pragma HLS DATAFLOW
  chained<4>(x, y);
}
}  // chain

namespace rows_and_columns {
void turn(Words in[2], Words& out) { for (int i = 0; i < 4; ++i) out.write(in[1 - (i & 1)].read()); }
void top(hls::stream<ap_uint<8>> x[2][2], hls::stream<ap_uint<8>> y[2]) {
#pragma HLS DATAFLOW
  turn(x[0], y[0]);
  turn(x[1], y[1]);
}
}  // rows_and_columns

namespace pairs {
struct Pair { Words a, b; };
void apart(Words& x, Pair& p) {
  for (int i = 0; i < 6; ++i) { Word v = x.read(); p.a.write(v); p.b.write(~v); }
}
void together(Pair& p, Words& y) { for (int i = 0; i < 6; ++i) y.write(p.a.read() + (p.b.read() >> 1)); }
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
#pragma HLS DATAFLOW
  Pair p;
  apart(x, p);
  together(p, y);
}
}  // pairs

namespace part_of_an_array {
void two(Words& x, Words y[2]) { Word v = x.read(); y[0].write(v); y[1].write(v + 1); }
void four(Words x[4], Words& y) { for (int i = 0; i < 4; ++i) y.write(x[i].read()); }
void copy(Words& x, Words& a, Words& b) { Word v = x.read(); a.write(v); b.write(v * 2); }
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
#pragma HLS DATAFLOW
  Words fed[2], all[4];
  copy(x, fed[0], fed[1]);
  two(fed[0], all);
  two(fed[1], all + 2);
  four(all, y);
}
}  // part_of_an_array
