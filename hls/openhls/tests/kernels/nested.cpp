// SPDX-License-Identifier: Apache-2.0
// Networks in a network: DATAFLOW functions called from one, INLINE functions and static members in between.
#include "ap_int.h"
#include "hls_stream.h"

typedef hls::stream<ap_uint<24>> Words;
template <int N> struct Config { static constexpr int GAIN = N, DEPTH = 4 + N, COUNT = 6; };

namespace lib {

template <class C> constexpr int doubled(int x) {
#pragma HLS INLINE
  return 2 * x;
}

template <class C> void shift(Words& x, Words& y) {
  for (int i = 0; i < C::COUNT; ++i) y.write(x.read() + C::GAIN);
}
template <class C> void scale(Words& x, Words& y) {
#pragma HLS INLINE off
  const ap_uint<24> gain[1] = {doubled<C>(C::GAIN)};
  for (int i = 0; i < C::COUNT; ++i) y.write(x.read() * gain[0]);
}

template <class C, bool ONE> struct Feeder {
  static void run(Words& x, Words& y) {
#pragma HLS INLINE
    Words middle;
#pragma HLS STREAM variable=middle depth=C::DEPTH
    shift<C>(x, middle);
    scale<C>(middle, y);
  }
};
template <class C> struct Feeder<C, true> {
  static void run(Words& x, Words& y) {
#pragma HLS INLINE
    shift<C>(x, y);
  }
};

template <class C, class X, class Y> void engine(X& x, Y& y) {
#pragma HLS INLINE
  Words fed;
  Feeder<C, C::GAIN == 1>::run(x, fed);
  scale<C>(fed, y);
}

template <class C> void add(Words& a, Words& b, Words& y) {
#pragma HLS INLINE
  for (int i = 0; i < C::COUNT; ++i) y.write(a.read() + b.read());
}

}  // namespace lib

static void fork(Words& x, Words& a, Words& b) {
  for (int i = 0; i < 6; ++i) {
    ap_uint<24> word = x.read();
    a.write(word);
    b.write(word);
  }
}
static void first(Words& x, Words& y) {
#pragma HLS DATAFLOW
  lib::engine<Config<1>>(x, y);
}
static void second(Words& x, Words& y) {
#pragma HLS DATAFLOW
  lib::engine<Config<2>>(x, y);
}
static void block(Words& x, Words& y) {
#pragma HLS DATAFLOW
  Words between("between");
  second(x, between);
  first(between, y);
}
static void add(Words& a, Words& b, Words& y) { lib::add<Config<1>>(a, b, y); }

void nested(Words& x, Words& y) {
#pragma HLS DATAFLOW
  Words first_out("first"), left("left"), right("right"), deep("deep");
#pragma HLS STREAM variable=right depth=32
  first(x, first_out);
  fork(first_out, left, right);
  block(left, deep);
  add(deep, right, y);
}

// The names of one engine alone are those of its functions.
void alone(Words& x, Words& y) {
#pragma HLS DATAFLOW
  lib::engine<Config<2>>(x, y);
}

// Probed nets keep their names, whatever else would be called like them.
static void a_push(Words& x, Words& y) { lib::shift<Config<3>>(x, y); }
static void a_fifo(Words& x, Words& y) { lib::shift<Config<4>>(x, y); }
static void a_push_data(Words& x, Words& y) { lib::shift<Config<5>>(x, y); }
void clash(Words& x, Words& y) {
#pragma HLS DATAFLOW
  Words a, a_push_word, begin;
  a_push(x, a);
  a_fifo(a, begin);
  a_push_data(begin, a_push_word);
  lib::shift<Config<6>>(a_push_word, y);
}
