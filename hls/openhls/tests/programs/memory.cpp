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

namespace constants_of_wide_words {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<64>>& y) {
  // clang-format off
  static const ap_uint<640> d[5] = {
    ap_uint<640>("0x6b0d549b6f03675a1600a35a099950d836f675cc81e74ef5e8e25d940ed904759531985d5d9dc9f81818e811892f902bd23f0824128b2f330c5c7fd0a6a3a4506513270e269e0d37f2a74de452e6b438", 16),
    ap_uint<640>("0x0cb1e29c658cda1495e60af593bd04cf0fd630f1f29d0da9953f48f1a09f76b5a170b33839263059f28c105d1fb17c2390c192cfd3ac94af0f21ddb66cad4a268d116ece1738f7d93d9c172411e20b8f", 16),
    ap_uint<640>("0x923a736994e3bf911a61dbe22e44158bae97ba94d0eda82f8f6d05584ef8aa38922766581e27a1c08a6a63ec24ede6a46b4cb2424a23d5962217beaddbc496cb8e81973e0becd7b03898d190f9ebdacc", 16),
    ap_uint<640>("0xec66a78795e761d17731af10506bf2efc6f877186d76b07e881ed162ae2eb1547f15052434b9b5df9e7769b10f4205b4907a70c31012f037b64ce4228c38fb2918f135d25f557203301850c5a38fd547", 16),
    ap_uint<640>("0x9be4bcfc49b64a0872e6cc3ababced2057ee05cde00902c77ebff206867347214cdd2055930d6eaf14f4733f3e7d1bfbc7a2ea20b2f14c942e05319acb5c74273f98e2774cbd87ad5c90a9587403e430", 16),
  };
  // clang-format on
  for (int i = 0; i < 12; ++i) {
    Word v = x.read();
    ap_uint<640> w = d[v % 5];
    y.write(w(63, 0) ^ w(639, 576) ^ w(351, 288));
  }
}
}  // constants_of_wide_words

// LLVM makes byte offsets of elements of bits: masks, shifts and ors that no multiplication shows.
namespace of_one_bit {
void top(hls::stream<ap_uint<24>>& x, hls::stream<ap_uint<24>>& y) {
  ap_uint<9> kept[2];
  for (int i = 0; i < 2; ++i) kept[i] = x.read();
  for (int i = 0; i < 6; ++i) {
    const ap_uint<24> v = x.read();
    y.write(kept[(int)ap_uint<1>(v(16, 3))]);
  }
}
}  // of_one_bit

namespace of_bits {
void top(hls::stream<ap_uint<24>>& x, hls::stream<ap_uint<40>>& y) {
  static ap_int<17> kept[16];
  for (int i = 0; i < 24; ++i) {
    const ap_uint<24> v = x.read();
    if (v[23]) kept[(int)(v(11, 8) | v(15, 12))] = v(16, 0);
  }
  for (int i = 0; i < 24; ++i) {
    const ap_uint<24> v = x.read();
    y.write(kept[(int)(v(7, 4) ^ v(3, 0))]);
  }
}
}  // of_bits

namespace of_fields {
void top(hls::stream<ap_uint<24>>& x, hls::stream<ap_uint<40>>& y) {
  ap_uint<33> table[8];
  for (int i = 0; i < 8; ++i) table[i] = x.read() * 257;
  for (int i = 0; i < 16; ++i) {
    const ap_uint<24> v = x.read();
    const ap_uint<3> index = (v[0], v(9, 8));
    y.write(table[v[23] ? (int)index : (int)((v >> 5) & 6)]);
  }
}
}  // of_fields
