// SPDX-License-Identifier: Apache-2.0
// Whole arrays copied, cleared, initialised.
#include "ap_int.h"
#include "hls_stream.h"
#include <cstring>

typedef ap_uint<8> Word;

namespace cleared_every_run {
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  int d[8] = {};
  for (int i = 0; i < 20; ++i) { ap_uint<3> k = x.read(); d[k] += 1; }
  for (int i = 0; i < 8; ++i) y.write(d[i]);
}
}  // cleared_every_run

namespace cleared_in_a_loop {
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  static unsigned short d[6];
  for (int r = 0; r < 3; ++r) {
    memset(d, r == 1 ? 0 : 0, sizeof d);
    for (int i = 0; i < 9; ++i) { Word v = x.read(); d[v % 6] += v; }
    for (int i = 0; i < 6; ++i) y.write(d[i]);
  }
}
}  // cleared_in_a_loop

namespace set_to_ones {
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  int d[7];
  memset(d, -1, sizeof d);
  for (int i = 0; i < 3; ++i) { Word v = x.read(); d[v % 7] = v; }
  for (int i = 0; i < 7; ++i) y.write(d[i]);
}
}  // set_to_ones

namespace copied_structures {
struct Point { ap_uint<5> a; ap_int<17> b; };
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  Point p[6], q[6];
  for (int i = 0; i < 6; ++i) { Word v = x.read(); p[i].a = v; p[i].b = -(int)v * 7; }
  memcpy(q, p, sizeof p);
  for (int i = 5; i >= 0; --i) y.write(q[i].a + q[i].b);
}
}  // copied_structures

namespace copied_part {
void top(hls::stream<int>& x, hls::stream<int>& y) {
  static int a[10], b[10];
  for (int i = 0; i < 10; ++i) a[i] = x.read();
  memcpy(b + 2, a + 5, 5 * sizeof(int));
  for (int i = 0; i < 10; ++i) y.write(b[i]);
}
}  // copied_part

namespace copied_array_of_a_structure {
struct Line { short w[6]; };
void top(hls::stream<int>& x, hls::stream<int>& y) {
  Line now, before;
  for (int r = 0; r < 2; ++r) {
    for (int i = 0; i < 6; ++i) now.w[i] = x.read();
    before = now;
    for (int i = 0; i < 6; ++i) y.write(before.w[5 - i]);
  }
}
}  // copied_array_of_a_structure

namespace one_structure {
struct Point { int a; short b; unsigned char c; };
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  static Point m[4];
  for (int i = 0; i < 9; ++i) {
    Word v = x.read();
    Point p = m[v & 3];
    y.write(p.a * 3 + p.b - p.c);
    m[v & 3] = Point{(int)v, (short)(v + i), (unsigned char)i};
  }
}
}  // one_structure

namespace from_a_table {
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  int d[8] = {3, 1, 4, 1, 5, 9, 2, 6};
  for (int i = 0; i < 9; ++i) { ap_uint<3> k = x.read(); d[k] += i; }
  for (int i = 0; i < 8; ++i) y.write(d[i]);
}
}  // from_a_table

namespace partly_initialised {
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  int d[16] = {7, 5};
  for (int i = 0; i < 9; ++i) { ap_uint<4> k = x.read(); d[k] += i; }
  for (int i = 0; i < 16; ++i) y.write(d[i]);
}
}  // partly_initialised

namespace wide_words {
void top(hls::stream<ap_uint<200>>& x, hls::stream<ap_uint<200>>& y) {
  ap_uint<200> a[5], b[5];
  for (int i = 0; i < 5; ++i) a[i] = x.read();
  memcpy(b, a, sizeof a);
  for (int i = 0; i < 5; ++i) y.write(b[4 - i] ^ a[i]);
}
}  // wide_words

namespace cleared_matrix {
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  int d[4][5] = {};
  for (int i = 0; i < 9; ++i) { Word v = x.read(); d[v & 3][v % 5] += v; }
  for (auto& row : d) for (int e : row) y.write(e);
}
}  // cleared_matrix

namespace bits_of_bool_array {
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  bool seen[16] = {false};
  for (int i = 0; i < 9; ++i) { ap_uint<4> k = x.read(); y.write(seen[k]); seen[k] = true; }
}
}  // bits_of_bool_array

namespace small_cleared {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  Word d[8] = {};
  for (int i = 0; i < 20; ++i) { ap_uint<3> k = x.read(); d[k] += 1; }
  for (int i = 0; i < 8; ++i) y.write(d[i]);
}
}  // small_cleared

namespace small_copied {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static Word a[4], b[4];
  for (int i = 0; i < 7; ++i) a[x.read() & 3] = i;
  memcpy(b, a, 4);
  for (int i = 0; i < 4; ++i) y.write(b[3 - i]);
}
}  // small_copied

namespace small_table {
void top(hls::stream<ap_uint<8>>& x, hls::stream<short>& y) {
  short d[4] = {5, -6, 7, 8};
  for (int i = 0; i < 5; ++i) { ap_uint<2> k = x.read(); d[k] += i; }
  for (int i = 0; i < 4; ++i) y.write(d[i]);
}
}  // small_table
