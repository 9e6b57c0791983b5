// SPDX-License-Identifier: Apache-2.0
// Kernels that must be refused; the comment `// refused: REASON` stands on the line that the message names.
#include "ap_axi_sdata.h"

typedef hls::stream<ap_int<8>> Stream;

#if CASE == 1
void top(Stream& x, Stream& y) {
  for (int i = 0; i < 9; ++i) {
    ap_int<8> a = x.read();
    y.write(a + x.read());  // refused: second read of 'x' in one iteration
  }
}
#elif CASE == 2
void top(Stream& x, Stream& y) {
  for (int i = 0; i < 9; ++i) {
    ap_int<8> a = x.read();
    y.write(a);
    if (a > 3) y.write(a + 1);  // refused: second write of 'y' in one iteration
  }
}
#elif CASE == 3
void top(Stream& x, Stream& y) {
  static ap_int<8> a[16];
  for (int i = 0; i < 9; ++i) {
    ap_uint<4> k = x.read();
    a[k] = i;
    y.write(a[i]);  // refused: 'a' is read after it was written in the same iteration
  }
}
#elif CASE == 4
void top(Stream& x, Stream& y) {
  static ap_int<8> a[16];
  for (int i = 0; i < 9; ++i) {
    ap_int<8> old = a[i];
    y.write(old + a[15 - i]);  // refused: second load of 'a' in one iteration
    a[i] = x.read();
  }
}
#elif CASE == 5
void top(Stream& x, Stream& y) {
  ap_int<8> a[4];
#pragma HLS ARRAY_PARTITION variable=a complete
  for (int i = 0; i < 9; ++i) {
    ap_int<8> v = x.read();
    ap_int<8> old = a[v & 3];  // refused: 'a' is partitioned, but indexed at run time here
    a[v & 3] = v;
    y.write(old);
  }
}
#elif CASE == 6
void top(Stream& x, Stream& y) {
  for (int i = 0; i < 9; ++i) {
#pragma HLS PIPELINE II=2  // refused: every loop is pipelined with II=1
    y.write(x.read());
  }
}
#elif CASE == 7
void top(Stream& x, Stream& y) {
  for (int i = 0; i < 9; ++i) {
#pragma HLS UNROLL factor=2  // refused: partial unrolling
    y.write(x.read());
  }
}
#elif CASE == 8
void top(Stream& x, Stream& y) {
#pragma HLS FUNCTION_INSTANTIATE variable=x  // refused: unknown pragma HLS FUNCTION_INSTANTIATE
  y.write(x.read());
}
#elif CASE == 9
void top(Stream& x, Stream& y) {
#pragma HLS INTERFACE axis port=z  // refused: no such argument
  y.write(x.read());
}
#elif CASE == 10
void copy(Stream& x, Stream& y) { y.write(x.read()); }
void top(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  Stream a, b;
  copy(x, a);
  copy(a, b);
  y.write(b.read());  // refused: a stream is accessed here
}
#elif CASE == 11
void copy(Stream& x, Stream& y) { y.write(x.read()); }
void split(Stream& x, Stream& a, Stream& b) {
  ap_int<8> v = x.read();
  a.write(v);
  b.write(v);
}
void top(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  Stream a, b;  // refused: stream 'b' is used by split
  split(x, a, b);
  copy(a, y);
}
#elif CASE == 12
void copy(Stream& x, Stream& y) { y.write(x.read()); }
void top(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  Stream a;
  for (int i = 0; i < 2; ++i) {  // refused: control flow in a dataflow function
    copy(x, a);
  }
  copy(a, y);
}
#elif CASE == 13
float half(float);
void top(Stream& x, Stream& y) {
  y.write((int)half((float)x.read().to_int()));  // refused: not supported
}
#elif CASE == 14
int later(int);
void top(Stream& x, Stream& y) {
  y.write(later(x.read()));  // refused: is not supported
}
#elif CASE == 15
void top(Stream& x, int n, Stream& y) {  // refused: argument 'n' is no hls::stream
  for (int i = 0; i < n; ++i) y.write(x.read());
}
#elif CASE == 16
void top(Stream& x, Stream& y) {
  y.write(x.read() + undeclared);  // refused: use of undeclared identifier 'undeclared'
}
#elif CASE == 17
void top(Stream& x, Stream& y) {
#pragma HLS UNROLL  // refused: HLS UNROLL does not stand in the braces of a loop
  y.write(x.read());
}
#elif CASE == 18
int seed();
static const int TABLE[4] = {seed(), 2, 3, 4};  // refused: 'TABLE' is initialised by code
void top(Stream& x, Stream& y) {
  y.write(TABLE[x.read() & 3]);
}
#elif CASE == 19
void top(Stream& x, Stream& y) {
  static ap_int<8> a[8], b[8];
  static ap_int<8>* kept[2] = {a, b};
  for (int i = 0; i < 8; ++i) {
    ap_int<8> v = x.read();
    ap_int<8> old = kept[v & 1][i];  // refused: a pointer that is kept in memory
    kept[i & 1] = b;
    a[i] = v;
    b[i] = i;
    y.write(old);
  }
}
#elif CASE == 20
void produce(Stream& x, Stream& a, Stream& b) {
  ap_int<8> v = x.read();
  a.write(v);
  b.write(v);
}
void top(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  Stream a;
  produce(x, a, a);  // refused: 'produce' has the stream 'a' twice as an argument
}
#elif CASE == 21
void top(Stream& x, Stream& y) {
  ap_axiu<8, 1, 0, 0> beat;
  y.write(x.read());
}
#elif CASE == 22
void copy(Stream& x, Stream& y) { y.write(x.read()); }
void inner(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  Stream a;
  copy(x, a);
  for (int i = 0; i < 2; ++i) copy(a, y);  // refused: control flow in a dataflow function
}
void top(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  inner(x, y);
}
#elif CASE == 23
void copy(Stream& x, Stream& y) { y.write(x.read()); }  // refused: stream 'a' has two producers, inner_copy_2 and inner_2_copy_2
void inner(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  Stream a;
  copy(x, a);
  copy(a, y);
}
void top(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  Stream a;
  inner(x, a);
  inner(y, a);
}
#elif CASE == 24
void copy(Stream& x, Stream& y) { y.write(x.read()); }
void inner(Stream& x, Stream& unread, Stream& y) {  // refused: argument 'unread' of 'inner' is used by no process
#pragma HLS DATAFLOW
  copy(x, y);
}
void top(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  Stream a, b;
  copy(x, a);
  inner(a, b, y);
}
#elif CASE == 25
void copy(Stream& x, Stream& y) { y.write(x.read()); }
void inner(Stream& x, Stream& y) {
#pragma HLS INLINE
  Stream a;  // refused: stream 'a' inside the process 'top'
  copy(x, a);
  copy(a, y);
}
void top(Stream& x, Stream& y) {
  inner(x, y);
}
#elif CASE == 26
void copy(Stream& x, Stream& y) { y.write(x.read()); }
void inner(Stream& x, Stream& y) {
#pragma HLS DATAFLOW  // refused: DATAFLOW inside the process 'wrapper'
  Stream a;
  copy(x, a);
  copy(a, y);
}
void wrapper(Stream& x, Stream& y) { inner(x, y); }
void top(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  Stream a;
  copy(x, a);
  wrapper(a, y);
}
#elif CASE == 27
void copy(Stream& x, Stream& y) {
#pragma HLS INLINE
  y.write(x.read());  // refused: a stream is accessed here
}
void top(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  copy(x, y);
}
#elif CASE == 28
static ap_int<8> total = 1;  // refused: 'total' is written, and shared by the processes count, copy
void count(Stream& x, Stream& y) { y.write(total += x.read()); }
void copy(Stream& x, Stream& y) { y.write(x.read() + total); }
void top(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  Stream a;
  count(x, a);
  copy(a, y);
}
#elif CASE == 29
void count(Stream& x, Stream& y) {
  static ap_int<8> seen[4];  // refused: 'seen' is written, and shared by the processes count, count_2
  for (int i = 0; i < 4; ++i) {
    ap_int<8> word = x.read();
    y.write(seen[i]);
    seen[i] = word;
  }
}
void top(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  Stream a;
  count(x, a);
  count(a, y);
}
#elif CASE == 30
void copy(Stream& x, Stream& y) { y.write(x.read()); }
void inner(Stream& x, Stream& y) {
#pragma HLS INLINE
  Stream a;  // refused: a second stream named 'a'
  copy(x, a);
  copy(a, y);
}
void top(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  Stream b;
  inner(x, b);
  inner(b, y);
}
#elif CASE == 31
void inner(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  inner(x, y);  // refused: 'inner' calls itself
}
void top(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  inner(x, y);
}
#elif CASE == 32
void copy(Stream& x, Stream& y) {
#pragma HLS INLINE recursive  // refused: HLS INLINE has no option 'recursive'
  y.write(x.read());
}
void top(Stream& x, Stream& y) { copy(x, y); }
#elif CASE == 33
void a_copy(Stream& x, Stream& y) { y.write(x.read()); }
void copy(Stream& x, Stream& y) { y.write(x.read()); }
void a(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  copy(x, y);  // refused: a second process named 'a_copy'
}
void top(Stream& x, Stream& y) {
#pragma HLS DATAFLOW
  Stream s;
  a_copy(x, s);
  a(s, y);
}
#endif
