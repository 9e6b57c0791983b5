// Convolution over a periodic support, its two gradients, in floating point, for pymodel.nn.periodic; C interface at the
// end.
//
// Kernel (o, i) has variant v = (o + i + 1) mod P. So for a place (v, tap) of a block of P input channels, outputs o,
// o - 1, o - 2, ... meet channels i, i + 1, i + 2, ... of the block, around its end: neighbouring outputs, counted
// downwards, read neighbouring activations. Each block of a pixel is therefore copied as a ring, its channels repeated
// until a vector of lanes can start at any of them, and the products of a place are one load, unaligned, and one
// multiply-add for as many outputs as a vector has lanes: no index and no shuffle, as in the hardware. Lane l of vector k
// is output k * LANES + LANES - 1 - l. The gradient by the input is the same with both channels swapped, for v does not
// tell them apart; that by the weights has the same lanes and sums over pixels.
//
// Images and results are channels last. No C++ library: nothing to link.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

extern "C" {

// (variant, tap): what a block of channels has for each output.
struct Place {
  int64_t variant;
  int64_t row,
      column;      // of the source pixel, from that of a result's pixel times the step; padding makes them negative
  int64_t weight;  // where its tap lies in a kernel, elements
};

// Vectors of outputs that read a ring at the same places.
struct Group {
  int64_t first, count;  // vectors first, first + stride, ...
};

struct Convolution {
  int64_t images, height, width, channels;               // of the source
  int64_t result_height, result_width, outputs;          // of the result
  int64_t step_rows, step_columns;                       // source pixels from a result's pixel to the next
  int64_t result_image, result_row, result_column;       // elements from one to the next in the result
  int64_t weight_output, weight_channel;                 // elements from one to the next in the weights
  int64_t period, blocks, places, groups, group_stride;  // groups: of vectors
  int64_t bands;                                         // parts of an image's rows that are worked on separately
  const Place* place;
  const Group* group;
};

}  // extern "C"

namespace {

constexpr int64_t LINE = 64;            // bytes of a cache line
constexpr int64_t CACHE = 320 << 10;    // bytes of rings and sums at a time: within an L2 of 512 KiB
constexpr int64_t NEAR = 16 << 10;      // bytes of weights that go over all pixels: within half an L1
constexpr int64_t PIXELS_AT_ONCE = 64;  // at least, that weights are read for
constexpr int64_t VECTORS = 4;          // of a group, at most

struct BFloat16 {
  uint16_t bits;
};

inline float real_of(float value) { return value; }
inline double real_of(double value) { return value; }
inline float real_of(BFloat16 value) {
  const uint32_t bits = uint32_t(value.bits) << 16;
  float real;
  memcpy(&real, &bits, sizeof real);
  return real;
}
inline void assign(float& to, float value) { to = value; }
inline void assign(double& to, double value) { to = value; }
inline void assign(BFloat16& to, float value) {  // to the nearest, halves to even; NaN stays NaN
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  to.bits = uint16_t((bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16) | 0x40 : rounded);
}

template <class Io> struct RealOf {
  using type = float;
};
template <> struct RealOf<double> {
  using type = double;
};

inline int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }
inline int64_t least(int64_t one, int64_t two) { return one < two ? one : two; }
inline int64_t most(int64_t one, int64_t two) { return one > two ? one : two; }
inline int64_t modulo(int64_t value, int64_t period) { return (value % period + period) % period; }

struct Kernel {
  int64_t bytes;  // of a vector
  void (*pack)(const Convolution&, int32_t, const void*, void*, int64_t, int64_t);
  int32_t (*apply)(const Convolution&, int32_t, const void*, const void*, const void*, void*, int64_t, int64_t);
  int32_t (*gradient)(const Convolution&, int32_t, const void*, const void*, void*, int64_t, int64_t, int64_t, int64_t);
};

namespace plain {
#define PSCONV_TARGET
constexpr int64_t BYTES = 16, PIXELS = 3, PLACES = 3;
#include "periodic.hpp"
#undef PSCONV_TARGET
}  // namespace plain

#if defined(__x86_64__)
namespace avx2 {
#define PSCONV_TARGET __attribute__((target("avx2,fma")))
constexpr int64_t BYTES = 32, PIXELS = 3, PLACES = 3;  // 12 sums, 3 activations and a weight are 16 registers
#include "periodic.hpp"
#undef PSCONV_TARGET
}  // namespace avx2

namespace avx512 {
#define PSCONV_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))
constexpr int64_t BYTES = 64, PIXELS = 6, PLACES = 6;  // 24 sums, 6 activations and a weight are 31 registers of 32
#include "periodic.hpp"
#undef PSCONV_TARGET
}  // namespace avx512

// Whether the processor has the instructions and the system saves their registers (Intel's manual, volume 1, 14.3 and
// 15.2). Not __builtin_cpu_supports: Zig's linker finds no variables for it in a shared library.
bool has_avx2() {
  uint32_t a, b, c, d, saved;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA)) return false;
  __asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
  return (saved & 0x06) == 0x06 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

bool has_avx512() {
  uint32_t a, b, c, d, saved;
  if (!has_avx2() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  __asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
  const uint32_t needed = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
  return (saved & 0xe6) == 0xe6 && (b & needed) == needed;
}
#endif

// The kernel of an instruction set by its number, slowest first; null: this processor has none of that number.
const Kernel* kernel_of(int32_t set) {
  if (set == 0) return &plain::kernel;
#if defined(__x86_64__)
  if (set == 1 && has_avx2()) return &avx2::kernel;
  if (set == 2 && has_avx512()) return &avx512::kernel;
#endif
  return nullptr;
}

}  // namespace

// `type` below: 0 float32, 1 bfloat16 (with sums and products in float32), 2 float64.
extern "C" {

// Whether this processor has instruction set `set`: 0 plain, 1 avx2, 2 avx512.
int32_t psconv_supports(int32_t set) { return kernel_of(set) != nullptr; }

// Bytes of a vector of instruction set `set`.
int64_t psconv_vector_bytes(int32_t set) { return kernel_of(set)->bytes; }

// Weights of groups begin to end, from those of the layer into packed ones: reals [group][block][place][vector][lane].
void psconv_pack(int32_t set, const Convolution* given, int32_t type, const void* weights, void* packed, int64_t begin,
                 int64_t end) {
  kernel_of(set)->pack(*given, type, weights, packed, begin, end);
}

// Bands begin to end of the result, counted over all images, plus bias [outputs] where that is not null. Returns 0, or 1
// where memory is short.
int32_t psconv_apply(int32_t set, const Convolution* given, int32_t type, const void* source, const void* packed,
                     const void* bias, void* result, int64_t begin, int64_t end) {
  return kernel_of(set)->apply(*given, type, source, packed, bias, result, begin, end);
}

// The gradient by the weights of blocks first_block to last_block in groups begin to end, into `weights`, strided as
// those of the layer; the rest of them stays as it is. `gradient` is that by the result, strided as the result. The order
// of additions depends on the convolution alone. Returns 0, or 1 where memory is short.
int32_t psconv_gradient(int32_t set, const Convolution* given, int32_t type, const void* source, const void* gradient,
                        void* weights, int64_t first_block, int64_t last_block, int64_t begin, int64_t end) {
  return kernel_of(set)->gradient(*given, type, source, gradient, weights, first_block, last_block, begin, end);
}

}  // extern "C"
