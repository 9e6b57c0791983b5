// SPDX-License-Identifier: Apache-2.0
// Loops that an optimiser would like to unroll, peel, merge or replace.
#include "ap_int.h"
#include "hls_stream.h"

typedef ap_uint<8> Word;

namespace two_trips {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  Word a = 0;
  for (int k = 0; k < 2; ++k) { if (k == 0) a = x.read(); y.write(a + k); }
}
}  // two_trips

namespace first_is_different {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  Word kept = 0;
  for (int r = 0; r < 2; ++r) {
    Word piece = 0;
    if (r < 1) piece = x.read();
    Word old = kept;
    kept = piece;
    if (r + 0 < 1) old = 9;
    y.write(old);
  }
}
}  // first_is_different

namespace last_is_different {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  for (int i = 0; i < 3; ++i) {
    Word v = 1;
    if (i != 2) v = x.read();
    y.write(v);
  }
}
}  // last_is_different

namespace three_by_one {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 1; ++j) y.write(x.read() + i);
}
}  // three_by_one

namespace cleared_by_hand {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  static Word a[16];
  for (int i = 0; i < 16; ++i) a[i] = 0;
  for (int i = 0; i < 9; ++i) { Word v = x.read(); a[v & 15] = v; }
  for (int i = 0; i < 16; ++i) y.write(a[i]);
}
}  // cleared_by_hand

namespace copied_by_hand {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  Word a[9], b[9];
  for (int i = 0; i < 9; ++i) a[i] = x.read();
  for (int i = 0; i < 9; ++i) b[i] = a[8 - i];
  for (int i = 0; i < 9; ++i) y.write(b[i]);
}
}  // copied_by_hand

namespace same_word_for_all {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  Word v = x.read();
  for (int i = 0; i < 4; ++i) y.write(v);
}
}  // same_word_for_all

namespace nothing_but_reads {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  Word v = 0;
  for (int i = 0; i < 4; ++i) v = x.read();
  y.write(v);
}
}  // nothing_but_reads

namespace sum_of_a_series {
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  int n = x.read(), sum = 0;
  for (int i = 0; i < n; ++i) sum += i;
  y.write(sum);
}
}  // sum_of_a_series

namespace switch_of_constants {
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  for (int i = 0; i < 8; ++i) {
    int r;
    switch (x.read() & 7) {
      case 0: r = 100; break;
      case 1: r = -7; break;
      case 2: r = 33; break;
      case 3: r = 12345; break;
      case 5: r = 8; break;
      default: r = 0;
    }
    y.write(r);
  }
}
}  // switch_of_constants

namespace switch_in_step {
void top(hls::stream<ap_uint<8>>& x, hls::stream<int>& y) {
  for (int i = 0; i < 8; ++i) {
    int r = 0;
    switch (x.read() & 7) {
      case 0: r = 1; break;
      case 1: r = 4; break;
      case 2: r = 7; break;
      case 3: r = 10; break;
      case 4: r = 13;
    }
    y.write(r);
  }
}
}  // switch_in_step

namespace do_while {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  int n = 0;
  Word v;
  do { v = x.read(); y.write(v + n); } while (++n < 5 && v < 200);
}
}  // do_while

namespace broken_off {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  for (int i = 0; i < 10; ++i) {
    Word v = x.read();
    y.write(v);
    if (v > 180) break;
  }
}
}  // broken_off

// A body that asks what the loop's end asks: an optimiser may end the loop in the middle of it.
namespace first_of_two {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  for (int i = 0; i < 2; ++i) {
    const Word v = x.read();
    if (i == 0) y.write(v);
  }
}
}  // first_of_two

namespace grid_of_two_rows {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  for (int row = 0; row < 2; ++row) {
    for (int column = 0; column < 1; ++column) {
      for (int b = 0; b < 1; ++b) {
#pragma HLS PIPELINE II = 1
        const Word v = x.read();
        if (row % 2 == 0 && column % 2 == 0) y.write(v);
      }
    }
  }
}
}  // grid_of_two_rows

namespace all_but_the_last {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  for (int i = 0; i < 3; ++i) {
    const Word v = x.read();
    if (i != 2) y.write(v + i);
  }
}
}  // all_but_the_last

namespace one_or_the_other {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y, hls::stream<ap_uint<8>>& z) {
  for (int i = 0; i < 4; i += 2) {
    const Word v = x.read();
    if (i == 0) {
      y.write(v);
    } else {
      z.write(v);
    }
  }
}
}  // one_or_the_other

namespace flag_of_the_end {
void top(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  bool done = false;
  for (int i = 0; !done; ++i) {
    const Word v = x.read();
    done = i == 1;
    if (!done) y.write(v);
  }
}
}  // flag_of_the_end
