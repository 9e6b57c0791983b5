// SPDX-License-Identifier: Apache-2.0
// Arithmetic: widths, signs, fields of words.
#include "ap_int.h"
#include "hls_stream.h"

// Mixed widths and signs through every operator.
void mixed(hls::stream<ap_uint<64>>& x, hls::stream<ap_int<70>>& y) {
  for (int i = 0; i < 20; ++i) {
#pragma HLS PIPELINE II=1
    ap_uint<64> w = x.read();
    ap_int<7> a = w(6, 0);
    ap_uint<9> b = w.range(15, 7);
    ap_int<13> c = w(28, 16);
    ap_uint<5> n = w(33, 29);
    ap_int<33> d = w(63, 31);
    auto s = a * b + c * d - b;
    ap_int<70> r = (s << n) ^ (d >> n);
    r += a < b ? ap_int<33>(c - d) : ap_int<33>(-c);
    r -= (b > 100u) + (c == a) + (d >= c) + (a != 3);
    r[69] = b[3];
    r(12, 5) = ~a;
    y.write(i & 1 ? ap_int<70>(r | n) : ap_int<70>(r & d));
  }
}

// A word of 144 bytes: unpacked, turned by one byte, multiplied, packed.
void wide(hls::stream<ap_uint<1152>>& x, hls::stream<ap_int<24>>& sums, hls::stream<ap_uint<1152>>& y) {
  ap_int<8> ring[144];
#pragma HLS ARRAY_PARTITION variable=ring complete
  for (int i = 0; i < 6; ++i) {
#pragma HLS PIPELINE II=1
    if (i % 3 == 0) {
      ap_uint<1152> w = x.read();
      for (int k = 0; k < 144; ++k) {
#pragma HLS UNROLL
        ring[k] = w.range(8 * k + 7, 8 * k);
      }
    } else {
      ap_int<8> last = ring[143];
      for (int k = 143; k > 0; --k) {
#pragma HLS UNROLL
        ring[k] = ring[k - 1];
      }
      ring[0] = last;
    }
    ap_int<24> sum = 0;
    ap_uint<1152> out = 0;
    for (int k = 0; k < 144; ++k) {
#pragma HLS UNROLL
      sum += ring[k] * ap_int<8>(k - 70);
      out.range(8 * k + 7, 8 * k) = ring[143 - k];
    }
    sums.write(sum);
    y.write(out);
  }
}

// What LLVM makes intrinsics of.
void intrinsics(hls::stream<ap_uint<32>>& x, hls::stream<ap_uint<32>>& y) {
  for (int i = 0; i < 16; ++i) {
    ap_uint<32> w = x.read();
    int a = w.to_int();
    int b = (a << 7) | (int)((unsigned)a >> 25);
    int smallest = a < b ? a : b, largest = a > b ? a : b;
    unsigned reversed = __builtin_bswap32((unsigned)a) ^ __builtin_bitreverse32((unsigned)b);
    int magnitude = smallest < 0 ? -smallest : smallest;
    unsigned below = w > 1000u ? w.to_uint() - 1000u : 0u;
    unsigned ones = __builtin_popcount(w.to_uint());
    y.write(ap_uint<32>((unsigned)magnitude + reversed + (unsigned)largest + below + ones));
  }
}

void divide(hls::stream<ap_int<16>>& x, hls::stream<ap_int<16>>& d, hls::stream<ap_int<17>>& q,
            hls::stream<ap_int<16>>& r) {
  for (int i = 0; i < 12; ++i) {
    ap_int<16> a = x.read(), b = d.read();
    if (b == 0) b = 1;
    q.write(a / b);
    r.write(i % 3 == 0 ? ap_int<16>(a % b) : ap_int<16>(ap_uint<16>(a) % ap_uint<16>(7)));
  }
}

template <int W, class T> ap_int<W> clamp(T v) {
  const T hi = (1 << (W - 1)) - 1, lo = -(1 << (W - 1));
  return v > hi ? ap_int<W>(hi) : v < lo ? ap_int<W>(lo) : ap_int<W>(v);
}

struct Narrow { static constexpr int OUT = 5, SHIFT = 3; };

// Requantisation as a template over a configuration.
template <class C> void scale(hls::stream<ap_int<16>>& x, hls::stream<ap_int<C::OUT>>& y) {
  for (int i = 0; i < 10; ++i) {
    ap_int<18> v = x.read() + (1 << (C::SHIFT - 1));
    y.write(clamp<C::OUT>(ap_int<18>(v >> C::SHIFT)));
  }
}

void requantise(hls::stream<ap_int<16>>& x, hls::stream<ap_int<Narrow::OUT>>& y) { scale<Narrow>(x, y); }
