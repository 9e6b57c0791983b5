// SPDX-License-Identifier: Apache-2.0
// Arrays: RAM, ROM, registers.
#include "ap_int.h"
#include "hls_stream.h"

// Read, modify, write at distance 1.
void histogram(hls::stream<ap_uint<5>>& x, hls::stream<ap_uint<20>>& y) {
  static ap_uint<20> bins[32];
  for (int i = 0; i < 200; ++i) {
    ap_uint<5> k = x.read();
    ap_uint<20> count = bins[k] + 1;
    bins[k] = count;
    if (count(1, 0) == 3) y.write(count);
  }
}

// Line buffers (two rows of one array), a window of registers, zero padding.
void window(hls::stream<ap_int<8>>& x, hls::stream<ap_int<12>>& y) {
  const int H = 6, W = 11;
  ap_int<8> line[2][W];
#pragma HLS ARRAY_PARTITION variable=line complete dim=1
  ap_int<8> w[3][3];
#pragma HLS ARRAY_PARTITION variable=w complete dim=0
  for (int r = 0; r <= H; ++r)
    for (int c = 0; c <= W; ++c) {
#pragma HLS PIPELINE II=1
      ap_int<8> pixel = 0, above = 0, top = 0;
      if (r < H && c < W) pixel = x.read();
      if (c < W) {
        above = line[1][c];
        top = line[0][c];
        line[0][c] = above;
        line[1][c] = pixel;
      }
      for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
        w[i][0] = w[i][1];
        w[i][1] = w[i][2];
      }
      w[0][2] = r < 2 ? ap_int<8>(0) : top;
      w[1][2] = r < 1 ? ap_int<8>(0) : above;
      w[2][2] = pixel;
      ap_int<12> sum = 0;
      for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
        for (int j = 0; j < 3; ++j) {
#pragma HLS UNROLL
          if (c > 1 - j && c + j < W + 2) sum += w[i][j];
        }
      }
      if (r > 0 && c > 0) y.write(sum);
    }
}

// Rows that a function gets all of: unrolled, the index of the first one is no index any more.
static void put(ap_int<8> (&rows)[3][8], const ap_uint<3>& at, const ap_int<8>& value) {
#pragma HLS INLINE
  for (int k = 0; k < 3; ++k) {
#pragma HLS UNROLL
    rows[k][ap_uint<3>(at + k)] = value + k;
  }
}

void copies(hls::stream<ap_int<8>>& x, hls::stream<ap_int<10>>& y) {
  ap_int<8> rows[3][8];
#pragma HLS ARRAY_PARTITION variable=rows complete dim=1
  for (int i = 0; i < 40; ++i) {
#pragma HLS PIPELINE II=1
    const ap_uint<3> at = i;
    ap_int<10> sum = 0;
    for (int k = 0; k < 3; ++k) {
#pragma HLS UNROLL
      sum += rows[k][at];
    }
    put(rows, at, x.read());
    if (i >= 10) y.write(sum);
  }
}

struct Taps {
  ap_uint<11> gain;
  ap_int<5> tap[3];
};

static const ap_uint<192> WORDS[6] = {
    "0x123456789abcdef0fedcba98765432100011223344556677", "0x1", "-5",
    "0xffffffffffffffffffffffffffffffffffffffffffffffff", "12345678901234567890", 7};
static constexpr Taps TAPS[5] = {
    {1000, {-16, 15, 3}}, {2, {1, 2, 3}}, {3, {-1, -2, -3}}, {4, {0, 5, 0}}, {2047, {7, 8, 9}}};

// Tables: wide words, structures, an array inside an array.
void tables(hls::stream<ap_uint<6>>& x, hls::stream<ap_uint<200>>& y) {
#pragma HLS BIND_STORAGE variable=WORDS type=rom_1p impl=lutram
  static const signed char square[4][3] = {{1, -1, 2}, {3, 4, 5}, {-6, 7, 8}, {9, 10, -128}};
  for (int i = 0; i < 40; ++i) {
    ap_uint<6> a = x.read();
    ap_uint<3> k = a(2, 0);
    if (k > 4) k = 4;
    ap_int<24> s = TAPS[k].gain * TAPS[k].tap[1] + TAPS[k].tap[2];
    s += square[a(5, 4).to_int()][k > 2 ? 0 : k.to_int()];
    ap_uint<200> out = WORDS[k + 1] ^ (ap_uint<200>(WORDS[k]) << 8);
    out(30, 7) = s;
    y.write(out);
  }
}

// Accumulators of two outputs side by side: an inner index that is constant.
void accumulate(hls::stream<ap_int<8>>& x, hls::stream<ap_int<32>>& y) {
  ap_int<16> acc[7][2];
#pragma HLS ARRAY_PARTITION variable=acc complete dim=2
  for (int b = 0; b < 3; ++b)
    for (int s = 0; s < 7; ++s) {
      ap_int<8> v = x.read();
      ap_int<32> out;
      for (int k = 0; k < 2; ++k) {
#pragma HLS UNROLL
        ap_int<16> old = b == 0 ? ap_int<16>(k) : acc[s][k];
        ap_int<16> now = old + v * (k + 1);
        acc[s][k] = now;
        out(16 * k + 15, 16 * k) = now;
      }
      if (b == 2) y.write(out);
    }
}

// A RAM filled in a loop of its own, read in the next; exclusive accesses of one port; structures as words.
struct Pair {
  ap_uint<12> key;
  ap_int<24> value;
};
void sorted(hls::stream<ap_uint<8>>& x, hls::stream<ap_int<40>>& y) {
  Pair table[13];
  for (int i = 0; i < 13; ++i) {
    Pair p;
    p.key = i * 3;
    p.value = x.read() - 100;
    table[i] = p;
  }
  for (int i = 0; i < 13; ++i) {
    Pair p = i % 2 ? table[12 - i] : table[i];
    ap_int<40> word = p.value;
    word = (word << 12) | p.key;
    y.write(word);
  }
}

// A pragma speaks of the array of its own function only, whatever others are called.
static void chosen(const ap_uint<8>& v, ap_uint<8>& out) {
#pragma HLS INLINE
  static ap_uint<8> table[100];
#pragma HLS BIND_STORAGE variable=table type=ram_s2p impl=lutram
  out = table[v % 100];
  table[v % 100] = v;
}
void apart(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static ap_uint<8> table[90];
  for (int i = 0; i < 50; ++i) {
    const ap_uint<8> v = x.read();
    ap_uint<8> other;
    chosen(v, other);
    y.write(table[v % 90] ^ other);
    table[v % 90] = v;
  }
}
