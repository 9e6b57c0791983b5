// SPDX-License-Identifier: Apache-2.0
// Control flow: what becomes of loops, branches and the state between iterations.
#include "ap_int.h"
#include "hls_stream.h"

// Reads and writes under conditions; the reads of the two branches are one port.
void conditional(hls::stream<ap_int<8>>& x, hls::stream<ap_int<8>>& z, hls::stream<ap_int<10>>& y) {
  ap_int<8> held = 0;
  for (int i = 0; i < 30; ++i) {
    if (i % 5 == 0) {
      held = x.read();
    } else if (i % 3 == 1) {
      held = held + x.read();
    } else {
      held = held - z.read();
    }
    if (held > 0) {
      y.write(held);
    } else if (held < -50) {
      y.write(held - 300);
    }
  }
}

// Work before and after the inner loop, and a read at the beginning of each outer iteration.
void imperfect(hls::stream<ap_int<8>>& bias, hls::stream<ap_int<8>>& x, hls::stream<ap_int<24>>& y) {
rows:
  for (int i = 0; i < 7; ++i) {
    ap_int<24> sum = bias.read();
  columns:
    for (int j = 0; j < 5; ++j) {
#pragma HLS PIPELINE II=1
      sum += x.read() * j;
    }
    y.write(sum + i);
  }
}

// A value read once per run.
void threshold(hls::stream<ap_int<8>>& t, hls::stream<ap_int<8>>& x, hls::stream<ap_int<8>>& y) {
  ap_int<8> limit = t.read();
  for (int i = 0; i < 9; ++i) {
    ap_int<8> v = x.read();
    if (v > limit) y.write(v);
  }
}

// Three loops deep, inner bounds that depend on outer counters.
void triangle(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<16>>& y) {
  for (int i = 0; i < 4; ++i)
    for (int j = i; j < 6; ++j)
      for (int k = 0; k < 3; ++k) {
        ap_uint<16> v = x.read();
        y.write(v + i * 100 + j * 10 + k);
      }
}

// The number of iterations is data.
void until(hls::stream<ap_uint<4>>& x, hls::stream<ap_uint<12>>& y) {
  ap_uint<12> sum = 0;
  ap_uint<4> v;
  do {
    v = x.read();
    sum += v;
  } while (v != 0);
  y.write(sum);
}

// Two loops, one after the other, on the same streams.
void sequence(hls::stream<ap_int<8>>& x, hls::stream<ap_int<9>>& y) {
  for (int i = 0; i < 6; ++i) y.write(x.read() + i);
  for (int i = 0; i < 4; ++i) y.write(-x.read());
}

void choose(hls::stream<ap_uint<10>>& x, hls::stream<ap_int<12>>& y) {
  for (int i = 0; i < 25; ++i) {
    ap_uint<10> w = x.read();
    int a = w(7, 0).to_int(), r;
    switch (w(9, 8).to_int() + 4 * (i & 1)) {
      case 0: r = a + 5; break;
      case 1: r = -a; break;
      case 3: r = a * 3; break;
      case 6: r = a ^ 85; break;
      case 7: y.write(7); continue;
      case 2: r = 2;  // falls through
      case 5: r = 1 - a; break;
      default: continue;
    }
    if (r != 8) y.write(r);
  }
}

// No loop: one iteration per run.
void once(hls::stream<ap_int<8>>& x, hls::stream<ap_int<9>>& y) {
  ap_int<8> v = x.read();
  y.write(v < 0 ? ap_int<9>(-v) : ap_int<9>(v + 1));
}

// No end: one run.
void forever(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y) {
  ap_uint<8> last = 0;
  while (true) {
    ap_uint<8> v = x.read();
    y.write(v ^ last);
    last = v;
  }
}

// State that survives the run.
void state(hls::stream<ap_int<8>>& x, hls::stream<ap_int<20>>& y) {
  static ap_int<20> total = 1000;
  static ap_uint<3> turn = 5;
  static ap_int<8> delay[3] = {1, 2, 3};
  for (int i = 0; i < 4; ++i) {
    ap_int<8> v = x.read();
    total += v;
    y.write(total + turn + delay[2]);
    delay[2] = delay[1];
    delay[1] = delay[0];
    delay[0] = v;
    if (v > 0) ++turn;
  }
  total = total - 1;
}
