// One array of two rows, asked to be two memories of look-up tables, in every place where an array can be declared.
#include "ap_int.h"
#include "hls_stream.h"
typedef ap_uint<8> word;
typedef hls::stream<word> words;

#define EACH                     \
  for (int k = 0; k < 3; ++k) \
    for (int i = 0; i < 16; ++i)
#define STEP                          \
  word a = rows[0][i], b = rows[1][i]; \
  y.write(a ^ b);                     \
  rows[0][i] = b;                     \
  rows[1][i] = x.read();

void local(words& x, words& y) {
  word rows[2][16];
#pragma HLS ARRAY_PARTITION variable=rows complete
#pragma HLS BIND_STORAGE variable=rows type=ram_s2p impl=lutram
  EACH {
    word a = rows[0][i], b = rows[1][i], v = x.read();
    y.write(k == 2 ? word(a ^ b) : v);
    rows[0][i] = k == 0 ? v : b;
    rows[1][i] = v;
  }
}

void fixed(words& x, words& y) {
  static word rows[2][16];
#pragma HLS ARRAY_PARTITION variable=rows dim=1 complete
#pragma HLS BIND_STORAGE variable=rows type=ram_s2p impl=lutram
  EACH {
    STEP
  }
}

static word table[2][16] = {{1, 2, 3, 4, 5}, {0, 0, 70, 80}};
void global(words& x, words& y) {
#pragma HLS ARRAY_PARTITION variable=table type=complete dim=1
#pragma HLS BIND_STORAGE variable=table impl=LUTRAM type=RAM_2P
  EACH {
    word(&rows)[2][16] = table;
    STEP
  }
}

namespace apart {
word table[2][16];
}
template <int N> void space(words& x, words& y) {
#pragma HLS ARRAY_PARTITION variable=apart::table dim=1 complete
#pragma HLS BIND_STORAGE variable=apart::table type=ram_t2p impl=lutram
  word(&rows)[2][16] = apart::table;
  for (int k = 0; k < 3; ++k)
    for (int i = 0; i < N; ++i) {
      STEP
    }
}

static void by_reference(word (&rows)[2][16], int i, words& x, words& y) {
#pragma HLS INLINE
#pragma HLS ARRAY_PARTITION variable=rows dim=1 complete
#pragma HLS BIND_STORAGE variable=rows type=ram_s2p impl=lutram
  STEP
}
void argument(words& x, words& y) {
  static word kept[2][16];
  EACH by_reference(kept, i, x, y);
}

static void by_pointer(word rows[2][16], int i, words& x, words& y) {
#pragma HLS ARRAY_PARTITION variable=rows dim=1 complete
#pragma HLS BIND_STORAGE variable=rows type=ram_s2p impl=lutram
  STEP
}
void pointer(words& x, words& y) {
  static word kept[2][16];
  EACH by_pointer(kept, i, x, y);
}

void columns(words& x, words& y) {  // the second dimension
  static word rows[16][2];
#pragma HLS ARRAY_PARTITION variable=rows dim=2 complete
#pragma HLS BIND_STORAGE variable=rows type=ram_s2p impl=lutram
  EACH {
    word a = rows[i][0], b = rows[i][1];
    y.write(a ^ b);
    rows[i][0] = b;
    rows[i][1] = x.read();
  }
}

struct Member {
  word rows[16];
  word step(word v, int i) {
#pragma HLS BIND_STORAGE variable=rows type=ram_s2p impl=lutram
    word old = rows[i];
    rows[i] = v;
    return old;
  }
};
void member(words& x, words& y) {
  static Member first, second;
  EACH y.write(second.step(first.step(x.read(), i), i));
}

void constant(words& x, words& y) {
  static const word rows[2][16] = {{3, 1, 4, 1, 5, 9, 2, 6}, {2, 7, 1, 8, 2, 8}};
#pragma HLS ARRAY_PARTITION variable=rows dim=1 complete
#pragma HLS BIND_STORAGE variable=rows type=rom_1p impl=lutram
  EACH {
    word v = x.read();
    y.write(rows[0][v & 15] + rows[1][v >> 4] + i);
  }
}

void places(words& x, words& y) {
#pragma HLS DATAFLOW
  words a, b, c, d, e, f, g, h;
  local(x, a);
  fixed(a, b);
  global(b, c);
  space<16>(c, d);
  argument(d, e);
  pointer(e, f);
  columns(f, g);
  member(g, h);
  constant(h, y);
}
