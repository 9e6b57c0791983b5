// SPDX-License-Identifier: Apache-2.0
// Streams in arrays and structures.
#include "ap_int.h"
#include "hls_stream.h"

typedef ap_uint<8> Word;
typedef hls::stream<Word> Words;

namespace by_round {
void top(hls::stream<ap_uint<8>> x[3], hls::stream<ap_uint<8>>& y) {
  for (int i = 0; i < 10; ++i) y.write(x[i % 3].read() + i);
}
}  // by_round

namespace by_data {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>> y[5]) {
  for (int i = 0; i < 20; ++i) {
    Word v = x.read();
    if (v % 7 < 5) y[v % 7].write(v);
  }
}
}  // by_data

namespace unrolled {
void top(hls::stream<ap_uint<8>> x[4], hls::stream<ap_uint<10>>& y) {
  for (int i = 0; i < 6; ++i) {
    ap_uint<10> sum = 0;
    for (int k = 0; k < 4; ++k) {
#pragma HLS UNROLL
      sum += x[k].read();
    }
    y.write(sum);
  }
}
}  // unrolled

namespace of_reference {
void top(hls::stream<ap_uint<8>> (&x)[2], hls::stream<ap_uint<8>> (&y)[2]) {
  for (int i = 0; i < 6; ++i) y[1 - (i & 1)].write(x[i & 1].read());
}
}  // of_reference

namespace two_dimensions {
void top(hls::stream<ap_int<70>> x[2][3], hls::stream<ap_int<70>>& y) {
  for (int j = 0; j < 3; ++j)
    for (int i = 0; i < 2; ++i) y.write(x[i][j].read() - j);
}
}  // two_dimensions

namespace handed_on {
template <int N> void sort_out(Words from[N], Words& to, int seed) {
  for (int i = 0; i < 8; ++i) to.write(from[(seed + i) % N].read());
}
void top(hls::stream<ap_uint<8>> x[3], hls::stream<ap_uint<8>>& y) { sort_out<2>(x + 1, y, x[0].read()); }
}  // handed_on

namespace by_pointer {
void top(hls::stream<ap_uint<8>> x[2], hls::stream<ap_uint<8>>& y) {
  Words* p = x;
  for (int i = 0; i < 2; ++i, ++p) y.write(p->read());
}
}  // by_pointer

namespace by_two_indices {
void top(hls::stream<ap_uint<8>> x[2][2], hls::stream<ap_uint<8>>& y) {
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 2; ++j) y.write(x[j][i].read());
}
}  // by_two_indices

namespace merged_arrays {
void top(hls::stream<ap_uint<8>> a[2], hls::stream<ap_uint<8>> b[2], hls::stream<ap_uint<8>>& y) {
  for (int i = 0; i < 8; ++i) {
    Words* from = i & 4 ? a : b;
    y.write(from[i & 1].read());
  }
}
}  // merged_arrays
