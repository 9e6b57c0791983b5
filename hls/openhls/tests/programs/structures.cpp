// SPDX-License-Identifier: Apache-2.0
// Arrays in structures.
#include "ap_int.h"
#include "hls_stream.h"

typedef ap_uint<8> Word;

namespace copied_with_an_array {
struct S { short a[4]; int n; };
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  static S p, q;
  for (int i = 0; i < 4; ++i) p.a[i] = x.read();
  p.n = 5;
  q = p;
  for (int i = 0; i < 4; ++i) y.write(q.a[i] + q.n);
}
}  // copied_with_an_array

namespace ring {
struct Ring {
  int words[5];
  unsigned char at = 0;
  int exchange(int w) {
    int old = words[at];
    words[at] = w;
    at = at == 4 ? 0 : at + 1;
    return old;
  }
};
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  static Ring ring;
  for (int i = 0; i < 7; ++i) y.write(ring.exchange(x.read()));
}
}  // ring

namespace two_arrays_of_a_structure {
struct Tables { Word up[8], down[8]; int sum; };
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  Tables t = {};
  for (int i = 0; i < 12; ++i) {
    Word v = x.read();
    Word u = t.up[v & 7], d = t.down[7 - (v & 7)];
    t.sum += u - d;
    t.up[v & 7] = v;
    t.down[7 - (v & 7)] = i;
    y.write(t.sum);
  }
}
}  // two_arrays_of_a_structure

namespace structure_in_a_structure {
struct Inner { Word a[4]; Word n; };
struct Outer { Inner in[2]; bool odd; };
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static Outer o;
  for (int i = 0; i < 9; ++i) {
    Word v = x.read();
    Word a = o.in[0].a[v & 3], b = o.in[1].a[i & 3];
    o.in[0].a[v & 3] = v;
    o.in[1].a[i & 3] = o.in[0].n;
    o.in[0].n += b;
    o.in[1].n ^= a;
    o.odd = !o.odd;
    Word n = o.in[0].n, m = o.in[1].n;
    y.write(o.odd ? n : m);
  }
}
}  // structure_in_a_structure

namespace initialised {
struct Filter { int taps[4]; int gain; };
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  static Filter f = {{1, -2, 3, 4}, 7};
  for (int i = 0; i < 6; ++i) {
    Word v = x.read();
    y.write(f.taps[v & 3] * f.gain);
    if (v > 200) f.gain++;
  }
}
}  // initialised

namespace derived {
struct Base { Word kept[3]; Word n = 2; };
struct Derived : Base { Word more[2]; Word& of(int k) { return more[k & 1]; } };
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static Derived d;
  for (int i = 0; i < 6; ++i) {
    Word v = x.read();
    y.write(d.kept[i % 3] + d.of(v) + d.n);
    d.kept[i % 3] = v;
    d.of(v) = i;
    ++d.n;
  }
}
}  // derived
