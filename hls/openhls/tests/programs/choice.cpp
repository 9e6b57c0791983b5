// SPDX-License-Identifier: Apache-2.0
// Streams, arrays and tables chosen at run time.
#include "ap_int.h"
#include "hls_stream.h"

typedef ap_uint<8> Word;
typedef hls::stream<Word> Words;

namespace merge_three {
void top(hls::stream<ap_uint<8>>& a, hls::stream<ap_uint<8>>& b, hls::stream<ap_uint<8>>& c,
         hls::stream<ap_uint<8>>& y) {
  for (int i = 0; i < 9; ++i) {
    Word v;
    if (i % 3 == 0) v = a.read();
    else if (i % 3 == 1) v = b.read();
    else v = c.read();
    y.write(v + i);
  }
}
}  // merge_three

namespace merge_by_data {
void top(hls::stream<ap_uint<8>>& which, hls::stream<ap_uint<8>>& a, hls::stream<ap_uint<8>>& b,
         hls::stream<ap_uint<8>>& y) {
  for (int i = 0; i < 11; ++i) y.write(which.read() & 4 ? a.read() : b.read());
}
}  // merge_by_data

namespace split_by_data {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& a, hls::stream<ap_uint<8>>& b) {
  for (int i = 0; i < 11; ++i) {
    Word v = x.read();
    Words& out = v > 77 ? a : b;
    out.write(v + 1);
  }
}
}  // split_by_data

namespace again_where_not {
// one read through a chosen stream, and another of the same stream where the choice was the other
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& a, hls::stream<ap_uint<8>>& b,
         hls::stream<ap_uint<9>>& y) {
  for (int i = 0; i < 10; ++i) {
    bool odd = x.read()[0];
    ap_uint<9> v;
    if (odd) v = a.read(); else v = b.read();
    if (!odd) v += a.read();
    y.write(v);
  }
}
}  // again_where_not

namespace same_stream_twice {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& a, hls::stream<ap_uint<8>>& b,
         hls::stream<ap_uint<8>>& y) {
  for (int i = 0; i < 10; ++i) {
    Word k = x.read(), v;
    switch (k & 3) {
      case 0: v = a.read(); break;
      case 1: v = b.read(); break;
      case 2: v = a.read() + 1; break;
      default: v = 9;
    }
    y.write(v ^ k);
  }
}
}  // same_stream_twice

namespace pointer_or_none {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& a, hls::stream<ap_uint<8>>& b) {
  for (int i = 0; i < 12; ++i) {
    Word v = x.read();
    Words* out = nullptr;
    if (v[7]) out = &a;
    else if (v[6]) out = &b;
    if (out) out->write(v);
  }
}
}  // pointer_or_none

namespace alternate {
// the pointers are a state of the loop
void top(hls::stream<ap_uint<8>>& a, hls::stream<ap_uint<8>>& b, hls::stream<ap_uint<8>>& y) {
  Words *now = &a, *next = &b;
  for (int i = 0; i < 7; ++i) {
    Word v = now->read();
    y.write(v);
    if (v[0]) { Words* old = now; now = next; next = old; }
  }
}
}  // alternate

namespace pick {
Word take(Words& from, int add) { return from.read() + add; }
void top(hls::stream<ap_uint<8>>& a, hls::stream<ap_uint<8>>& b, hls::stream<ap_uint<8>>& y) {
  for (int i = 0; i < 8; ++i) y.write(take(i < 3 ? a : b, i));
}
}  // pick

namespace two_buffers {
// ping-pong: one is filled while the other is sent
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static Word even[6], odd[6];
  Word *fill = even, *send = odd;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 6; ++i) {
      y.write(send[i]);
      fill[5 - i] = x.read();
    }
    Word* old = fill; fill = send; send = old;
  }
}
}  // two_buffers

namespace tables_of_two_sizes {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<12>>& y) {
  static const ap_uint<12> p[4] = {1, 2, 3, 4}, q[8] = {50, 60, 70, 80, 90, 100, 110, 4000};
  for (int i = 0; i < 8; ++i) {
    Word v = x.read();
    const ap_uint<12>* t = v > 100 ? p : q + 4;
    y.write(t[v & 3]);
  }
}
}  // tables_of_two_sizes

namespace three_tables {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static const Word p[3] = {1, 2, 3}, q[3] = {50, 60, 70}, r[3] = {9, 8, 7};
  for (int i = 0; i < 9; ++i) {
    Word v = x.read(), w;
    int k = i % 3;
    if (v < 80) w = p[k];
    else if (v < 160) w = q[2 - k];
    else w = r[k];
    y.write(w);
  }
}
}  // three_tables

namespace chosen_registers {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static Word low = 0, high = 255;
  for (int i = 0; i < 9; ++i) {
    Word v = x.read();
    Word& kept = v < 128 ? low : high;
    y.write(kept);
    kept = v;
  }
}
}  // chosen_registers

namespace chosen_element {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static Word m[8];
  for (int i = 0; i < 9; ++i) {
    Word v = x.read();
    Word* p = v[7] ? &m[v & 7] : &m[7 - (v & 7)];
    Word old = *p;
    *p = v;
    y.write(old);
  }
}
}  // chosen_element

namespace chosen_store {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  Word a[4], b[4];
  for (int i = 0; i < 8; ++i) {
    Word v = x.read();
    if (i & 1) a[i >> 1] = v; else b[i >> 1] = v;
  }
  for (int i = 0; i < 4; ++i) y.write(a[i] - b[3 - i]);
}
}  // chosen_store

namespace chosen_structure {
struct Point { Word x, y; };
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static Point p[4], q[4];
  for (int i = 0; i < 12; ++i) {
    Word v = x.read();
    Point& at = v[0] ? p[i & 3] : q[v & 3];
    y.write(at.x ^ at.y);
    at.x = v;
    at.y = i;
  }
}
}  // chosen_structure

namespace table_of_streams {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& a, hls::stream<ap_uint<8>>& b, hls::stream<ap_uint<8>>& c) {
  Words* out[3] = {&a, &b, &c};
  for (int i = 0; i < 12; ++i) {
    Word v = x.read();
    out[v % 3]->write(v);
  }
}
}  // table_of_streams

namespace table_of_tables {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static const Word p[4] = {1, 2, 3, 4}, q[4] = {50, 60, 70, 80};
  static const Word* const both[2] = {p, q};
  for (int i = 0; i < 8; ++i) {
    Word v = x.read();
    y.write(both[i & 1][v & 3]);
  }
}
}  // table_of_tables

namespace table_of_arrays {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static Word p[4], q[4];
  for (int i = 0; i < 8; ++i) {
    Word* both[2] = {p, q};
    Word v = x.read();
    Word* at = both[v[7]];
    y.write(at[v & 3]);
    at[v & 3] = v;
  }
}
}  // table_of_arrays

namespace references_in_a_structure {
struct Pair { Words& a; Words& b; Words& pick(bool first) { return first ? a : b; } };
void top(hls::stream<ap_uint<8>>& a, hls::stream<ap_uint<8>>& b, hls::stream<ap_uint<8>>& y) {
  Pair p = {a, b};
  for (int i = 0; i < 8; ++i) y.write(p.pick(i % 3 == 0).read());
}
}  // references_in_a_structure

namespace nested_choice {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& a, hls::stream<ap_uint<8>>& b, hls::stream<ap_uint<8>>& c) {
  for (int i = 0; i < 9; ++i) { Word v = x.read(); (v < 60 ? a : v < 150 ? b : c).write(v); }
}
}  // nested_choice

namespace rows_swapped {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static Word buf[2][6];
  Word *fill = buf[0], *send = buf[1];
  for (int r = 0; r < 3; ++r) {
    for (int i = 0; i < 6; ++i) { y.write(send[i]); fill[5 - i] = x.read(); }
    Word* t = fill; fill = send; send = t;
  }
}
}  // rows_swapped

namespace write_both {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& a, hls::stream<ap_uint<8>>& b) {
  for (int i = 0; i < 8; ++i) {
    Word v = x.read();
    if (v & 1) { a.write(v); b.write(v + 1); } else if (v & 2) { b.write(v); } else a.write(7);
  }
}
}  // write_both

namespace early_exit {
void top(hls::stream<ap_uint<8>>& a, hls::stream<ap_uint<8>>& b, hls::stream<ap_uint<8>>& y) {
  for (int i = 0; i < 8; ++i) {
    Words& from = i < 4 ? a : b;
    Word v = from.read();
    if (v == 13) continue;
    if (v > 220) return;
    y.write(v);
  }
}
}  // early_exit
