// Integer idioms that LLVM turns into its intrinsics and CIRCT into operations of its own: bits counted, mirrored,
// rotated, saturated, compared in three ways, folded by xor. tests/test_openhls_operations.py says which.
#include "ap_int.h"
#include "hls_stream.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
#define PUT(k, word) out(64 * (k) + 63, 64 * (k)) = (u64)(word)

static u32 mirrored(u32 v) {
  v = (v >> 1 & 0x55555555) | (v & 0x55555555) << 1;
  v = (v >> 2 & 0x33333333) | (v & 0x33333333) << 2;
  v = (v >> 4 & 0x0f0f0f0f) | (v & 0x0f0f0f0f) << 4;
  v = (v >> 8 & 0x00ff00ff) | (v & 0x00ff00ff) << 8;
  return v >> 16 | v << 16;
}
static u32 swapped(u32 v) { return v >> 24 | (v >> 8 & 0xff00) | (v << 8 & 0xff0000) | v << 24; }
static u32 counted(u32 v) {
  v = v - (v >> 1 & 0x55555555);
  v = (v & 0x33333333) + (v >> 2 & 0x33333333);
  return ((v + (v >> 4)) & 0x0f0f0f0f) * 0x01010101 >> 24;
}

void bits(hls::stream<ap_uint<64>>& x, hls::stream<ap_uint<64 * 16>>& y) {
  u64 v = x.read().to_uint64();
  u32 a = (u32)v, b = (u32)(v >> 32), n = b & 31;
  ap_uint<64 * 16> out = 0;
  PUT(0, (u64)mirrored(a) << 32 | swapped(b));
  PUT(1, counted(a));
  PUT(2, (u64)(a << n | a >> (-n & 31)) << 32 | (a >> n | a << (-n & 31)));
  PUT(3, (u64)__builtin_popcount(a) << 8 | __builtin_popcountll(v));
  PUT(4, (u64)(a ? __builtin_clz(a) : 32) << 8 | (v ? __builtin_clzll(v) : 64));
  PUT(5, (u64)(b ? __builtin_ctz(b) : 32) << 8 | (v ? __builtin_ctzll(v) : 64));
  PUT(6, (u64)__builtin_ffs((int)a) << 8 | __builtin_clrsb((int)b));
  PUT(7, (u64)__builtin_parity(a) << 1 | __builtin_parityll(v));
  PUT(8, __builtin_bswap64(v) ^ __builtin_bswap16((u16)a));
  PUT(9, __builtin_bitreverse8((u8)a) | (u64)__builtin_bitreverse16((u16)b) << 8 | __builtin_bitreverse64(v) << 24);
  PUT(10, (u64)__builtin_rotateleft16((u16)a, (u16)n) << 8 | __builtin_rotateright8((u8)b, (u8)a));
  PUT(11, (u64)__builtin_popcount(a & 0xff) << 32 | (__builtin_popcount(b) == 1) << 8 | (__builtin_popcount(a) < 2));
  PUT(12, (u64)((a & (a - 1)) == 0) << 1 | (v == 0 ? 1 : 0));
  y.write(out);
}

void sums(hls::stream<ap_uint<64>>& x, hls::stream<ap_uint<64 * 16>>& y) {
  u64 v = x.read().to_uint64();
  u32 a = (u32)v, b = (u32)(v >> 32);
  int s = (int)a, t = (int)b;
  signed char c = (signed char)a, d = (signed char)b;
  ap_uint<64 * 16> out = 0;
  u32 more = a + b;
  PUT(0, (u64)(more < a ? ~0u : more) << 32 | (a > b ? a - b : 0));           // uadd.sat, usub.sat
  PUT(1, (u64)(u32)(s < 0 ? -s : s) << 32 | (u32)(s > t ? s - t : t - s));     // abs
  PUT(2, (u64)(u32)(s < t ? s : t) << 32 | (u32)(s < t ? t : s));              // smin, smax
  PUT(3, (u64)(a < b ? a : b) << 32 | (a < b ? b : a));                        // umin, umax
  int wide = c + d, less = c - d;
  PUT(4, (u64)(u8)(wide > 127 ? 127 : wide < -128 ? -128 : wide) << 8 | (u8)(less > 127 ? 127 : less < -128 ? -128 : less));
  PUT(5, (u64)(u32)((s > t) - (s < t)) << 32 | (u32)((a > b) - (a < b)));      // scmp, ucmp
  int r1 = 0, r2 = 0, r3 = 0;
  u32 u1 = 0, u2 = 0, u3 = 0;
  bool o1 = __builtin_add_overflow(s, t, &r1), o2 = __builtin_sub_overflow(s, t, &r2), o3 = __builtin_mul_overflow(s, t, &r3);
  bool p1 = __builtin_add_overflow(a, b, &u1), p2 = __builtin_sub_overflow(a, b, &u2), p3 = __builtin_mul_overflow(a, b, &u3);
  PUT(6, (u64)(u32)r1 << 32 | (u32)r2);
  PUT(7, (u64)(u32)r3 << 32 | u3);
  PUT(8, (u64)u1 << 32 | u2);
  PUT(9, o1 | o2 << 1 | o3 << 2 | p1 << 3 | p2 << 4 | p3 << 5);
  PUT(10, (u64)(a + b < a) << 2 | (u64)(a - b > a) << 1 | (u64)(b != 0 && a > ~0u / b));  // overflow found by hand
  PUT(11, (u64)(s < 0 && t < 0) << 2 | (u64)((s ^ t) < 0) << 1 | (u64)(c == d ? a != b : a == b));
  PUT(12, __builtin_expect(a > b, 1) ? v : ~v);
  PUT(13, (u64)(u32)(s < -100 ? -100 : s > 100 ? 100 : s) << 32 | (a > 1000 ? 1000 : a));
  PUT(14, (u64)(s / 8) << 32 ^ (s % 8) ^ (u64)(a / 10) << 16 ^ a % 10);
  PUT(15, (ap_int<100>(s) * t > ap_int<100>(d)) | (ap_uint<70>(a) << 6 < ap_uint<70>(v)) << 1 | (u64)!a << 2);
  y.write(out);
}

void idioms(hls::stream<ap_uint<64>>& x, hls::stream<ap_uint<64 * 16>>& y, hls::stream<ap_uint<64>>& v,
            hls::stream<ap_uint<64 * 16>>& w) {
#pragma HLS DATAFLOW
  bits(x, y);
  sums(v, w);
}

// Two processes: what never happens, and what its reader sees of it.
void counts(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& never, hls::stream<ap_uint<8>>& always) {
  ap_uint<7> n = 0;
  for (int i = 0; i < 9; ++i) {
    ap_uint<8> v = x.read();
    n += 3;
    if (n == 100) never.write(v);
    always.write(v + n);
  }
}
void waits(hls::stream<ap_uint<8>>& never, hls::stream<ap_uint<8>>& y) { y.write(never.read() + 1); }
void silent(hls::stream<ap_uint<8>>& x, hls::stream<ap_uint<8>>& y, hls::stream<ap_uint<8>>& z) {
#pragma HLS DATAFLOW
  hls::stream<ap_uint<8>> never;
  counts(x, never, z);
  waits(never, y);
}
