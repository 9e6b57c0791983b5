// SPDX-License-Identifier: Apache-2.0
// Pointers that walk, ranges, strings.
#include "ap_int.h"
#include "hls_stream.h"
#include <initializer_list>

typedef ap_uint<8> Word;

namespace backwards {
void top(hls::stream<int>& x, hls::stream<int>& y) {
  int m[5];
  for (int* p = m + 5; p != m;) *--p = x.read();
  for (int i = 0; i < 5; ++i) y.write(m[i]);
}
}  // backwards

namespace two_at_once {
void top(hls::stream<int>& x, hls::stream<int>& y) {
  static int m[6];
  int *low = m, *high = m + 5;
  for (; low < high; ++low, --high) { y.write(*high); *low = x.read(); }
  for (const int& e : m) y.write(e);
}
}  // two_at_once

namespace range_of_structures {
struct Odd { ap_uint<5> a; ap_int<17> b; ap_uint<3> c; };
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  Odd m[7];
  for (Odd& e : m) { Word v = x.read(); e.a = v; e.b = -(int)v; e.c = v >> 5; }
  for (const Odd& e : m) y.write(e.a + e.b * e.c);
}
}  // range_of_structures

namespace range_of_rows {
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  short m[3][5];
  for (auto& row : m) for (short& e : row) e = x.read();
  for (int k = 4; k >= 0; --k) for (auto& row : m) y.write(row[k]);
}
}  // range_of_rows

namespace by_three_bytes {
struct Pixel { unsigned char r, g, b; };
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<24>>& y) {
  Pixel line[6];
  for (Pixel* p = line; p != line + 6; ++p) { Word v = x.read(); p->r = v; p->g = v + 1; p->b = v * 3; }
  for (Pixel* p = line; p != line + 6; ++p) y.write(p->r << 16 | p->g << 8 | p->b);
}
}  // by_three_bytes

namespace stride_of_two {
void top(hls::stream<int>& x, hls::stream<int>& y) {
  int m[8];
  for (int i = 0; i < 8; ++i) m[i] = x.read();
  for (int* p = m; p < m + 8; p += 2) y.write(*p);
}
}  // stride_of_two

namespace until_found {
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  static const Word table[9] = {3, 40, 80, 120, 140, 160, 200, 230, 255};
  const Word* p = table;
  for (int i = 0; i < 8; ++i)
    if (x.read() > 100) ++p;
  y.write(p - table);
}
}  // until_found

namespace letters {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  const char* s = "a string";
  for (int i = 0; i < 8; ++i) y.write(x.read() ^ *s++);
}
}  // letters

namespace wide_letters {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<32>>& y) {
  const char32_t* s = U"w\x12345ide";
  for (int i = 0; i < 5; ++i) y.write(s[i] + x.read());
  for (wchar_t c : L"abc") y.write(c + x.read());
}
}  // wide_letters

namespace two_strings {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  Word v = x.read();
  const char* s = v > 99 ? "large" : "low";
  for (int i = 0; i < 4; ++i) y.write(*s++);
}
}  // two_strings

namespace narrow_index {
// An index that wraps in its own width must wrap in the hardware
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  static const int m[64] = {7, 6, 5, 4, 3, 2, 1, 9, 11, 13, 15, 17};
  for (int i = 0; i < 9; ++i) {
    ap_uint<6> k = ap_uint<6>(x.read() * 4);
    y.write(m[k]);
  }
}
}  // narrow_index

namespace running_index {
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  static int ring[5];
  static unsigned char at = 0;
  int* p = ring + at;
  for (int i = 0; i < 8; ++i) {
    y.write(*p);
    *p = x.read();
    if (++p == ring + 5) p = ring;
  }
  at = p - ring;
}
}  // running_index

words_of_a_tablepace flat_view {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  Word m[3][4];
  for (int i = 0; i < 3; ++i) for (int j = 0; j < 4; ++j) m[i][j] = x.read();
  Word* p = &m[0][0];
  for (int k = 0; k < 12; ++k) y.write(p[11 - k]);
}
}  // flat_view

words_of_a_tablepace flat_view_alone {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static Word m[3][4];
  Word* p = &m[0][0];
  for (int k = 0; k < 12; ++k) p[k] = x.read();
  for (int k = 0; k < 12; ++k) y.write(p[11 - k]);
}
}  // flat_view_alone

words_of_a_tablepace words_of_a_table {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static const char* const words_of_a_table[3] = {"ab", "cd", "ef"};
  for (int i = 0; i < 6; ++i) y.write(words_of_a_table[x.read() % 3][i & 1]);
}
}  // words_of_a_table

words_of_a_tablepace initializer_list {
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  for (int k : {3, 1, 4, 1, 5}) y.write(x.read() * k);
}
}  // initializer_list
