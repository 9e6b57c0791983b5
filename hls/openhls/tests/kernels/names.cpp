#include "ap_int.h"
#include "hls_stream.h"
// Names that join to the same, that are reserved elsewhere, that this compiler gives to its own: all of them are legal.
#undef EOF
#undef NULL
typedef hls::stream<ap_uint<8>> words;
void a(words& in, words& out) {
  static const ap_uint<8> b_c[4] = {1, 2, 3, 4};
#pragma HLS BIND_STORAGE variable=b_c type=rom_1p impl=lutram
  ap_uint<8> v = in.read();
  out.write(v + b_c[v & 3]);
}
void a_b(words& in, words& out) {
  static const ap_uint<8> c[4] = {50, 60, 70, 80}, c_[4] = {9, 8, 7, 6}, _c[4] = {11, 12, 13, 14};
  ap_uint<8> v = in.read();
  out.write(v ^ c[v & 3] ^ c_[v >> 6] ^ _c[v >> 3 & 3]);
}
void fifo_8x4(words& in, words& out) {
  static ap_uint<8> begin = 3, rst = 5, ap_clk = 7, hold0 = 9, valid1 = 11, fire0 = 13;
  begin += in.read();
  rst = rst ^ begin;
  ap_clk = ap_clk - rst;
  hold0 = hold0 + ap_clk;
  valid1 ^= hold0;
  fire0 += valid1;
  out.write(fire0);
}
void mul_8x8_8(words& begin, words& always) {
  ap_uint<8> v = begin.read();
  ap_uint<8> w = v * v;
  always.write(w * v + (v * 3));
}
void EOF(words& NULL, words& rst_n) { rst_n.write(NULL.read() + 1); }
void module(words& in, words& out) { out.write(in.read() * 5); }
void gr\u00f6\u00dfe(words& in, words& out) {
  static ap_uint<8> \u00e4nderung = 2;
  ap_uint<8> l\u00e4nge = in.read();
  \u00e4nderung += l\u00e4nge;
  out.write(\u00e4nderung);
}
void a$b(words& in, words& out) {
  static ap_uint<8> t$[256];
#pragma HLS BIND_STORAGE variable=t$ type=ram_s2p impl=lutram
  ap_uint<8> v = in.read();
  out.write(t$[v]);
  t$[v] = v + 1;
}
void taken(words& reg, words& wire) {
#pragma HLS DATAFLOW
  words a_push, push, push_data, fifo, top, S, ap_rst, \u00fcber, x$;
#pragma HLS STREAM variable=fifo depth=4
  a(reg, a_push);
  a_b(a_push, push);
  fifo_8x4(push, push_data);
  mul_8x8_8(push_data, fifo);
  EOF(fifo, top);
  module(top, S);
  gr\u00f6\u00dfe(S, \u00fcber);
  a$b(\u00fcber, x$);
  a(x$, wire);
}
