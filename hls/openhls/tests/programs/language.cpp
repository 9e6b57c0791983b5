// SPDX-License-Identifier: Apache-2.0
// What C++ offers beyond loops and ifs.
#include "ap_int.h"
#include "hls_stream.h"

typedef ap_uint<8> Word;
typedef hls::stream<Word> Words;

namespace through_two_pointers {
int add(int a, int b) { return a + b; }
int twice(int (*f)(int, int), int a) { return f(a, a); }
int outer(int (*g)(int (*)(int, int), int), int a) { return g(add, a) + 1; }
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) { y.write(outer(twice, x.read())); }
}  // through_two_pointers

namespace virtual_call {
struct Filter { virtual int step(int v) { return v; } };
struct Gain : Filter { int by; Gain(int b) : by(b) {} int step(int v) override { return v * by; } };
int use(Filter& f, int v) { return f.step(v); }
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  Gain g(3);
  Filter f;
  y.write(use(g, x.read()) - use(f, 4));
}
}  // virtual_call

namespace lambdas {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static Word state = 1;
  auto next = [&](Word v) { state = state * 5 + v; return state; };
  auto send = [&y](const Word& v) { y.write(v); };
  for (int i = 0; i < 5; ++i) send(next(x.read()));
}
}  // lambdas

namespace generic_lambda {
template <class F> void repeat(int n, F f) { for (int i = 0; i < n; ++i) f(i); }
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  repeat(6, [&](auto i) { y.write(x.read() + i); });
}
}  // generic_lambda

namespace recursive_template {
template <int N> struct Sum { static int of(const int (&a)[8]) { return a[N] + Sum<N - 1>::of(a); } };
template <> struct Sum<0> { static int of(const int (&a)[8]) { return a[0]; } };
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  int window[8] = {};
  for (int i = 0; i < 12; ++i) {
    for (int k = 7; k > 0; --k) {
#pragma HLS UNROLL
      window[k] = window[k - 1];
    }
    window[0] = x.read();
    y.write(Sum<7>::of(window));
  }
}
}  // recursive_template

namespace pack_of_arguments {
template <class... T> int sum(T... v) { return (0 + ... + (int)v); }
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  Word v = x.read();
  y.write(sum(v, v >> 1, ap_int<5>(v), true));
}
}  // pack_of_arguments

namespace nested_structures {
struct Inner { ap_uint<3> a[2]; ap_int<9> b; };
struct Outer { Inner in[3]; bool flag; };
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  Outer o = {};
  for (int i = 0; i < 9; ++i) {
    Word v = x.read();
    o.in[1].a[1] += v;
    o.in[2].b = o.in[0].b - v;
    o.in[0].b = o.in[2].b >> 1;
    o.flag = !o.flag;
    y.write(o.in[1].a[1] + o.in[2].b + o.flag);
  }
}
}  // nested_structures

namespace returned_structure {
struct Both { Word low, high; };
Both sort(Word a, Word b) { return a < b ? Both{a, b} : Both{b, a}; }
void top(hls::stream<ap_uint<8>>& a, hls::stream<ap_uint<8>>& b, hls::stream<ap_uint<8>>& y) {
  for (int i = 0; i < 5; ++i) { Both s = sort(a.read(), b.read()); y.write(s.high - s.low); }
}
}  // returned_structure

namespace references {
void swap(Word& a, Word& b) { Word t = a; a = b; b = t; }
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static Word a = 1, b = 2;
  for (int i = 0; i < 5; ++i) {
    if (x.read() & 1) swap(a, b);
    Word& r = i & 1 ? a : b;
    r += 3;
    y.write(a ^ (b << 4));
  }
}
}  // references

namespace static_from_first_word {
Word seed(Word v) { return v * 3; }
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  Word v = x.read();
  static const Word first = seed(v);
  static Word last = first + 1;
  y.write(v - first + last);
  last = v;
}
}  // static_from_first_word

namespace static_in_two_functions {
int count_a() { static int n = 5; return n++; }
int count_b() { static int n = 50; n += 2; return n; }
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  for (int i = 0; i < 3; ++i) y.write(count_a() * 100 + count_b() + x.read());
}
}  // static_in_two_functions

namespace static_member {
struct Counter { static int total; int step; int next() { return total += step; } };
int Counter::total = 4;
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  Counter a{1}, b{10};
  for (int i = 0; i < 4; ++i) y.write(x.read() & 1 ? a.next() : b.next());
}
}  // static_member

namespace a_union_of_bits {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  enum class Mode : unsigned char { IDLE, RUN, STOP };
  static Mode mode = Mode::IDLE;
  for (int i = 0; i < 9; ++i) {
    Word v = x.read();
    switch (mode) {
      case Mode::IDLE: if (v > 50) mode = Mode::RUN; break;
      case Mode::RUN: y.write(v); if (v < 60) mode = Mode::STOP; break;
      case Mode::STOP: mode = Mode::IDLE;
    }
  }
}
}  // a_union_of_bits

// Clang's bytecode interpreter crashes on this one.
namespace crashes_an_interpreter {
void top(hls::stream<ap_uint<11>>& x, hls::stream<ap_uint<8>>& y) {
  ap_uint<24> v0 = 16777215;
  ap_uint<7> v1 = 0;
  ap_int<18> v2 = 98251;
  ap_uint<13> v3 = 0;
  ap_int<24> v5 = 6703539;
  v2 = x.read();
  for (int i = 0; i < 7; ++i) {
    v2 = (((v1(3, 3) ? ap_int<31>(v2[9]) : ap_int<31>(v3)) < 1) >=
          v0.range(1 * (int)ap_uint<4>((v1 & v3)) + 0, 1 * (int)ap_uint<4>((v1 & v3))));
    y.write((ap_uint<8>((v3 - ap_uint<16>(65535ll))) / ap_uint<3>(ap_uint<3>((v5(8, 4) - v2)) | 1)));
  }
}
}  // crashes_an_interpreter
