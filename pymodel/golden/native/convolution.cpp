// Exact int8 convolution that skips the weights outside a support, for pymodel.golden.native; C interface at the end.
//
// Activations are int8 [channel][row][column][image]. A row of the padded input is packed as cells of four bytes, one
// group of channels beside another: [row][group][phase][column / stride][image], where phase = column % stride. So the
// taps of any kernel, at any stride, are shifted runs of the same lanes (column, image), and each multiply-add takes the
// channels of a group: two as int16, or four as uint8 where 8-bit products are added without saturation. Unsigned
// activations are 128 too large; the bias makes up for that (pymodel.golden.native.plan). No C++ library: nothing to link.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace {

constexpr int TILE = 4;    // output channels summed at a time, at most
constexpr int NARROW = 3;  // vectors of lanes summed at a time: 12 sums, 3 activations and a weight are 16 registers
constexpr int WIDE = 6;    // the same where each output channel has places of its own, and is summed alone
constexpr int BLOCK = 16;  // images packed at a time, where there are as many
constexpr int64_t LINE = 64;  // bytes of a cache line
constexpr int64_t CACHE = 320 << 10;  // bytes of packed rows that one output row reads: within an L2 of 512 KiB

// Two channels, for instructions that multiply int16. Products never saturate.
struct Pair {
    int16_t channel[2];
    static constexpr int16_t of(int8_t value) { return value; }
};

// Four channels, for instructions that multiply uint8 by int8; as weights the bytes are int8.
struct Quad {
    uint8_t channel[4];
    static constexpr uint8_t of(int8_t value) { return uint8_t(value + 128); }
};

}  // namespace

extern "C" {

// Output channels whose weights may be nonzero at the same places; pymodel.golden.native.plan makes these structures.
struct Tile {
    int32_t outputs, output[TILE];
    int32_t taps;                // places, each a group of channels and a tap
    int64_t positions, weights;  // where its places and its weights [taps][outputs] start
};

struct Layer {
    int64_t height, width, cout, hout, wout, kernel, stride;
    int64_t top, left;              // rows and columns of padding before the image
    int64_t columns;                // of one phase of the padded input: ceil((width + left + right) / stride)
    int64_t groups, tiles, places;  // lengths of the arrays below
    const int32_t* channel;         // of each group, as many as a cell has; -1: none, never the first
    const Tile* tile;
    const int32_t* position;  // of places, counted from the cell of the window's first row, column and image; one image
    const void* weights;      // cells
    const int32_t *bias, *scale;  // by output channel; scale null: none
    int32_t shift, low, high, even;  // even: 1 where halves go to the even neighbour and there is a shift, else 0
};

struct Addition {
    int32_t left, right, shift, low, high, even;  // shifts left of both, right of the sum; saturation; as a Layer's
};

}  // extern "C"

namespace {

constexpr int64_t CELL = sizeof(Pair);
static_assert(sizeof(Pair) == sizeof(Quad), "a lane is four bytes");

struct Kernel {
    int64_t lanes;   // of a vector
    int32_t group;   // channels of a cell
    int32_t zero;    // the bytes of a cell of zeros
    void (*pack_row)(const Layer&, const int8_t*, int64_t, int64_t, int64_t, int64_t, int64_t, void*);
    void (*narrow_row)(const Layer&, const void*, const int32_t*, int64_t, int64_t, int8_t*);
    void (*wide_row)(const Layer&, const void*, const int32_t*, int64_t, int64_t, int8_t*);
    void (*add)(const int8_t*, const int8_t*, int8_t*, int64_t, Addition);
};

inline int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

namespace plain {
#define PSCONV_TARGET
using Cell = Pair;
constexpr int GROUP = 2, LANES = 8;
struct Vector {
    int32_t lane[LANES];
};
struct CellVector {
    Cell lane[LANES];
};
inline Vector splat(int32_t value) {
    Vector out;
    for (int i = 0; i < LANES; ++i) out.lane[i] = value;
    return out;
}
inline CellVector load(const Cell* from) {
    CellVector out;
    memcpy(&out, from, sizeof out);
    return out;
}
inline Cell broadcast(Cell cell) { return cell; }
inline Vector multiply_add(Vector sum, const CellVector& a, Cell b) {
    for (int i = 0; i < LANES; ++i)
        for (int k = 0; k < GROUP; ++k) sum.lane[i] += a.lane[i].channel[k] * b.channel[k];
    return sum;
}
inline void store(int32_t* to, const Vector& from) { memcpy(to, &from, sizeof from); }
#include "kernel.hpp"
#undef PSCONV_TARGET
}  // namespace plain

#if defined(__x86_64__)
template <class Cell> inline int32_t bits_of(Cell cell) {
    int32_t bits;
    memcpy(&bits, &cell, sizeof bits);
    return bits;
}

namespace avx2 {
#define PSCONV_TARGET __attribute__((target("avx2")))
using Cell = Pair;
using Vector = __m256i;
using CellVector = __m256i;
constexpr int GROUP = 2, LANES = 8;
PSCONV_TARGET inline Vector splat(int32_t value) { return _mm256_set1_epi32(value); }
PSCONV_TARGET inline Vector load(const Cell* from) { return _mm256_loadu_si256((const __m256i*)from); }
PSCONV_TARGET inline Vector broadcast(Cell cell) { return _mm256_set1_epi32(bits_of(cell)); }
PSCONV_TARGET inline Vector multiply_add(Vector sum, Vector a, Vector b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}
PSCONV_TARGET inline void store(int32_t* to, Vector from) { _mm256_storeu_si256((__m256i*)to, from); }
#include "kernel.hpp"
#undef PSCONV_TARGET
}  // namespace avx2

namespace avx512vnni {
#define PSCONV_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
using Cell = Quad;
using Vector = __m512i;
using CellVector = __m512i;
constexpr int GROUP = 4, LANES = 16;
PSCONV_TARGET inline Vector splat(int32_t value) { return _mm512_set1_epi32(value); }
PSCONV_TARGET inline Vector load(const Cell* from) { return _mm512_loadu_si512(from); }
PSCONV_TARGET inline Vector broadcast(Cell cell) { return _mm512_set1_epi32(bits_of(cell)); }
PSCONV_TARGET inline Vector multiply_add(Vector sum, Vector a, Vector b) { return _mm512_dpbusd_epi32(sum, a, b); }
PSCONV_TARGET inline void store(int32_t* to, Vector from) { _mm512_storeu_si512(to, from); }
#include "kernel.hpp"
#undef PSCONV_TARGET
}  // namespace avx512vnni
#endif

#if defined(__x86_64__)
// Whether the processor has the instructions and the system saves their registers (Intel's manual, volume 1, 14.3 and
// 15.2). Not __builtin_cpu_supports: Zig's linker finds no variables for it in a shared library.
bool has_avx2() {
    uint32_t a, b, c, d, saved;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return false;
    __asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
    return (saved & 0x06) == 0x06 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

bool has_avx512vnni() {
    uint32_t a, b, c, d, saved;
    if (!has_avx2() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    __asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
    const uint32_t needed = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
    return (saved & 0xe6) == 0xe6 && (b & needed) == needed && (c & bit_AVX512VNNI);
}
#endif

// The kernel of an instruction set by its number, slowest first; null: this processor has none of that number.
const Kernel* kernel_of(int32_t set) {
    if (set == 0) return &plain::kernel;
#if defined(__x86_64__)
    if (set == 1 && has_avx2()) return &avx2::kernel;
    if (set == 2 && has_avx512vnni()) return &avx512vnni::kernel;
#endif
    return nullptr;
}

}  // namespace

extern "C" {

// Whether this processor has instruction set `set`: 0 plain, 1 avx2, 2 avx512vnni.
int32_t psconv_supports(int32_t set) { return kernel_of(set) != nullptr; }

// Channels of a group of instruction set `set`.
int32_t psconv_group(int32_t set) { return kernel_of(set)->group; }

// Rows top to bottom of images begin to end of the output, int8 [cout][hout][wout][image], from x, int8
// [channel][height][width][image]. The rest of y stays as it is. Returns 0, or 1 where memory is short.
int32_t psconv_convolve(int32_t set, const Layer* given, const int8_t* x, int8_t* y, int64_t images, int64_t begin,
                        int64_t end, int64_t top, int64_t bottom) {
    const Layer& layer = *given;
    const Kernel& kernel = *kernel_of(set);
    const int64_t row_cells = layer.groups * layer.stride * layer.columns;
    const int64_t above = top * layer.stride, rows = (bottom - top - 1) * layer.stride + layer.kernel;  // of the input
    int64_t most = CACHE / int64_t(layer.kernel * row_cells * CELL);
    most = most < 1 ? 1 : most < BLOCK ? most : most / BLOCK * BLOCK;
    if (most > end - begin) most = end - begin;
    const bool wide = layer.tiles == layer.cout;
    const int64_t at_once = kernel.lanes * (wide ? WIDE : NARROW), stride = round_up(layer.wout * most, at_once);

    // Aligned, so that no vector of a whole BLOCK of images straddles two cache lines. The last lanes computed may lie
    // beyond the last row.
    const size_t bytes = round_up((rows * row_cells * most + at_once) * CELL, LINE);
    void* packed = aligned_alloc(LINE, bytes);
    int32_t* positions = (int32_t*)malloc((layer.places + 1) * sizeof(int32_t));
    int8_t* results = (int8_t*)malloc(layer.cout * stride + 1);
    const bool enough = packed && positions && results;
    for (int64_t first = begin, count; enough && first < end; first += count) {
        count = most < end - first ? most : end - first;
        if (first == begin || count != most) {
            memset(packed, kernel.zero, bytes);  // the padding, which is never written; where it lies depends on the count
            for (int64_t k = 0; k < layer.places; ++k) positions[k] = int32_t(layer.position[k] * count);
        }
        const int64_t lanes = layer.wout * count, step = round_up(lanes, at_once);
        int64_t ready = 0;  // rows packed
        for (int64_t row = top; row < bottom; ++row) {
            for (; ready < (row - top) * layer.stride + layer.kernel; ++ready)
                kernel.pack_row(layer, x, images, first, count, above + ready, ready, packed);
            (wide ? kernel.wide_row : kernel.narrow_row)(layer, packed, positions, count, row - top, results);
            for (int64_t output = 0; output < layer.cout; ++output) {
                int8_t* to = y + (output * layer.hout + row) * layer.wout * images + first;
                const int8_t* from = results + output * step;
                if (count == images) {
                    memcpy(to, from, lanes);
                    continue;
                }
                for (int64_t column = 0; column < layer.wout; ++column)
                    memcpy(to + column * images, from + column * count, count);
            }
        }
    }
    free(packed);
    free(positions);
    free(results);
    return !enough;
}

// Residual addition of elements begin to end.
void psconv_add(int32_t set, const Addition* addition, const int8_t* left, const int8_t* right, int8_t* out,
                int64_t begin, int64_t end) {
    kernel_of(set)->add(left + begin, right + begin, out + begin, end - begin, *addition);
}

}  // extern "C"
