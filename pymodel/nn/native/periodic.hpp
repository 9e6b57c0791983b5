// The loops of periodic.cpp, included once for each instruction set.
//
// The including file defines, in a namespace for it, the attribute PSCONV_TARGET of that instruction set; BYTES, of a
// vector; PIXELS and PLACES: how many of them are summed at a time, at most, in VECTORS vectors each.

template <class Real> struct Of {
  typedef Real Vector __attribute__((vector_size(BYTES)));
  static constexpr int64_t LANES = BYTES / int64_t(sizeof(Real));
};

template <class Real> PSCONV_TARGET static inline typename Of<Real>::Vector load(const Real* from) {
  typename Of<Real>::Vector out;
  memcpy(&out, from, sizeof out);
  return out;
}

template <class Real> PSCONV_TARGET static inline void store(Real* to, typename Of<Real>::Vector from) {
  memcpy(to, &from, sizeof from);
}

template <class Vector> PSCONV_TARGET static inline Vector backwards(Vector value) {
  constexpr int lanes = int(sizeof value / sizeof value[0]);
  if constexpr (lanes == 2) {
    return __builtin_shufflevector(value, value, 1, 0);
  } else if constexpr (lanes == 4) {
    return __builtin_shufflevector(value, value, 3, 2, 1, 0);
  } else if constexpr (lanes == 8) {
    return __builtin_shufflevector(value, value, 7, 6, 5, 4, 3, 2, 1, 0);
  } else {
    return __builtin_shufflevector(value, value, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  }
}

// A vector of channels from the last to the first; those from `count` on are zero, and not read.
template <class Real, class Io>
PSCONV_TARGET static inline void load_backwards(const Io* from, int64_t count, Real* to) {
  constexpr int64_t LANES = Of<Real>::LANES;
  Real values[LANES];
  if (count >= LANES) {
    for (int64_t lane = 0; lane < LANES; ++lane) values[lane] = real_of(from[lane]);
  } else {
    for (int64_t lane = 0; lane < LANES; ++lane) values[lane] = lane < count ? Real(real_of(from[lane])) : Real(0);
  }
  store(to, backwards(load(values)));
}

// The inverse: channels from `count` on are not written.
template <class Real, class Io>
PSCONV_TARGET static inline void store_backwards(const Real* from, int64_t count, Io* to) {
  constexpr int64_t LANES = Of<Real>::LANES;
  Real values[LANES];
  store(values, backwards(load(from)));
  if (count >= LANES) {
    for (int64_t lane = 0; lane < LANES; ++lane) assign(to[lane], values[lane]);
  } else {
    for (int64_t lane = 0; lane < count; ++lane) assign(to[lane], values[lane]);
  }
}

// Where the rings of some rows of some images lie: [block][image][row][column][ring].
template <class Real> struct Rings {
  static constexpr int64_t LANES = Of<Real>::LANES;
  int64_t top, left;             // of the source, where the rings of result row and column 0 begin; at most 0 by size
  int64_t below, columns;        // rows from the first to the last that a result's row reads; columns of rings
  int64_t reals, copies, slack;  // of a ring; of a block in it; after the last one, which copying may touch

  PSCONV_TARGET explicit Rings(const Convolution& c) {
    int64_t bottom = c.place[0].row, right = c.place[0].column;
    top = bottom, left = right;
    for (int64_t p = 1; p < c.places; ++p) {
      top = least(top, c.place[p].row), bottom = most(bottom, c.place[p].row);
      left = least(left, c.place[p].column), right = most(right, c.place[p].column);
    }
    below = bottom - top;
    columns = (c.result_width - 1) * c.step_columns + right - left + 1;
    reals = round_up(c.period + LANES - 1, 8);
    copies = (reals + c.period - 1) / c.period;
    slack = copies * c.period + LANES;
  }
  PSCONV_TARGET int64_t rows(const Convolution& c, int64_t result_rows) const {
    return (result_rows - 1) * c.step_rows + below + 1;
  }
  // Of one block in `count` images of so many rows of the result each.
  PSCONV_TARGET int64_t block(const Convolution& c, int64_t count, int64_t result_rows) const {
    return round_up(count * rows(c, result_rows) * columns * reals + slack, LANES);
  }
};

template <class Real, class Io> PSCONV_TARGET static inline typename Of<Real>::Vector load_as(const Io* from) {
  Real values[Of<Real>::LANES];
  for (int64_t lane = 0; lane < Of<Real>::LANES; ++lane) values[lane] = real_of(from[lane]);
  return load(values);
}

// The rings of `pixels` pixels, `next` elements apart, of `count` channels each, at most a period of them; the rest of
// the period is zero. end: of all elements; none beyond is read.
template <class Real, class Io>
PSCONV_TARGET static void rings_of(const Io* from, int64_t next, int64_t pixels, int64_t count, int64_t period,
                                   const Rings<Real>& shape, const Io* end, Real* to) {
  using Vector = typename Of<Real>::Vector;
  constexpr int64_t LANES = Of<Real>::LANES;
  Vector lanes{};
  for (int64_t lane = 0; lane < LANES; ++lane) lanes[lane] = Real(lane);
  for (int64_t pixel = 0; pixel < pixels; ++pixel, from += next, to += shape.reals)
    // A vector that reaches beyond its copy is made good by what comes after it, the next pixel's ring included.
    for (int64_t copy = 0; copy < shape.copies; ++copy)
      for (int64_t at = 0; at < period; at += LANES) {
        Vector value{};
        if (end - from >= at + LANES) {
          value = load_as<Real>(from + at);
        } else {
          for (int64_t lane = 0; at + lane < count; ++lane) value[lane] = real_of(from[at + lane]);
        }
        const Vector limit = Vector{} + Real(count - at);
        store(to + copy * period + at, lanes < limit ? value : Vector{});
      }
}

// The same of whole periods that are one vector: the usual case.
template <class Real, class Io>
PSCONV_TARGET static void rings_of_vectors(const Io* from, int64_t next, int64_t pixels, Real* to) {
  constexpr int64_t LANES = Of<Real>::LANES;
  for (int64_t pixel = 0; pixel < pixels; ++pixel, from += next, to += 2 * LANES) {
    Real values[LANES];
    for (int64_t lane = 0; lane < LANES; ++lane) values[lane] = real_of(from[lane]);
    const auto value = load(values);
    store(to, value);
    store(to + LANES, value);
  }
}

// The rings of blocks begin to end that rows first_row to last_row of the result read in `count` images from `image` on.
template <class Real, class Io>
PSCONV_TARGET static void make_rings(const Convolution& c, const Rings<Real>& shape, const Io* source, int64_t image,
                                     int64_t count, int64_t first_row, int64_t last_row, int64_t begin, int64_t end,
                                     Real* rings) {
  constexpr int64_t LANES = Of<Real>::LANES;
  const int64_t rows = shape.rows(c, last_row - first_row), size = shape.block(c, count, last_row - first_row);
  // Columns of rings before, within and after the image.
  const int64_t before = least(shape.columns, most(0, -shape.left));
  const int64_t within = most(0, least(shape.columns - before, c.width - most(0, shape.left)));
  const int64_t after = shape.columns - before - within, line = shape.columns * shape.reals;
  const Io* past = source + c.images * c.height * c.width * c.channels;
  for (int64_t n = 0; n < count; ++n)
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t y = first_row * c.step_rows + shape.top + row;
      for (int64_t block = begin; block < end; ++block) {
        Real* to = rings + (block - begin) * size + (n * rows + row) * line;
        if (y < 0 || y >= c.height) {
          memset(to, 0, size_t(line) * sizeof(Real));
          continue;
        }
        const int64_t channel = block * c.period, channels = least(c.period, c.channels - channel);
        memset(to, 0, size_t(before * shape.reals) * sizeof(Real));
        to += before * shape.reals;
        const Io* from = source + (((image + n) * c.height + y) * c.width + most(0, shape.left)) * c.channels + channel;
        if (channels == LANES && c.period == LANES && shape.reals == 2 * LANES) {
          rings_of_vectors(from, c.channels, within, to);
        } else {
          rings_of(from, c.channels, within, channels, c.period, shape, past, to);
        }
        to += within * shape.reals;
        memset(to, 0, size_t(after * shape.reals) * sizeof(Real));
      }
    }
}

// Where the ring of a place starts for vector k, from that of the pixel's first ring.
template <class Real>
PSCONV_TARGET static inline int64_t offset_of(const Convolution& c, const Rings<Real>& shape, const Place& place,
                                              int64_t k) {
  const int64_t pixel = (place.row - shape.top) * shape.columns + place.column - shape.left;
  return pixel * shape.reals + modulo(place.variant - (k + 1) * Of<Real>::LANES, c.period);
}

// Sums of N pixels and K vectors over `blocks` blocks of `places`; x: rings of the first pixel, `step` reals from pixel to
// pixel; weights [block][place][K]; sums: `next` reals from pixel to pixel, as those that they start from are `initial_next`.
template <class Real, int K, int N>
PSCONV_TARGET static void products(const Real* x, int64_t step, int64_t block_size, int64_t blocks,
                                   const int64_t* offsets, int64_t places, const Real* weights, const Real* initial,
                                   int64_t initial_next, Real* sums, int64_t next) {
  using Vector = typename Of<Real>::Vector;
  constexpr int64_t LANES = Of<Real>::LANES;
  Vector sum[N][K];
  for (int n = 0; n < N; ++n)
    for (int k = 0; k < K; ++k) sum[n][k] = load(initial + n * initial_next + k * LANES);
  for (int64_t block = 0; block < blocks; ++block, x += block_size)
    for (int64_t place = 0; place < places; ++place, weights += K * LANES) {
      const Real* from = x + offsets[place];
      Vector activations[N];
      for (int n = 0; n < N; ++n) activations[n] = load(from + n * step);
      for (int k = 0; k < K; ++k) {
        const Vector weight = load(weights + k * LANES);
        for (int n = 0; n < N; ++n) sum[n][k] += activations[n] * weight;
      }
    }
  for (int n = 0; n < N; ++n)
    for (int k = 0; k < K; ++k) store(sums + n * next + k * LANES, sum[n][k]);
}

// `count` pixels of a row, in pieces of about the same size.
template <class Real, int K>
PSCONV_TARGET static void row_of_products(const Real* x, int64_t step, int64_t block_size, int64_t blocks,
                                          const int64_t* offsets, int64_t places, const Real* weights,
                                          const Real* initial, int64_t initial_next, Real* sums, int64_t next,
                                          int64_t count) {
  for (int64_t pieces = (count + PIXELS - 1) / PIXELS; pieces > 0; --pieces) {
    const int64_t now = (count + pieces - 1) / pieces;
#define PSCONV_CASE(N)                                                                                     \
  case N:                                                                                                  \
    products<Real, K, N <= PIXELS ? N : 1>(x, step, block_size, blocks, offsets, places, weights, initial, \
                                           initial_next, sums, next);                                      \
    break;
    switch (now) {
      PSCONV_CASE(1)
      PSCONV_CASE(2)
      PSCONV_CASE(3)
      PSCONV_CASE(4)
      PSCONV_CASE(5)
      PSCONV_CASE(6)
    }
#undef PSCONV_CASE
    x += now * step, initial += now * initial_next, sums += now * next, count -= now;
  }
}

template <class Real>
using RowOfProducts = void (*)(const Real*, int64_t, int64_t, int64_t, const int64_t*, int64_t, const Real*,
                               const Real*, int64_t, Real*, int64_t, int64_t);

template <class Real, class Io>
PSCONV_TARGET static void pack(const Convolution& c, const Io* weights, Real* packed, int64_t begin, int64_t end) {
  constexpr int64_t LANES = Of<Real>::LANES;
  for (int64_t g = 0; g < begin; ++g) packed += c.group[g].count * c.blocks * c.places * LANES;
  for (int64_t g = begin; g < end; ++g)
    for (int64_t block = 0; block < c.blocks; ++block)
      for (int64_t p = 0; p < c.places; ++p)
        for (int64_t v = 0; v < c.group[g].count; ++v) {
          const int64_t last = (c.group[g].first + v * c.group_stride + 1) * LANES - 1;
          int64_t channel = modulo(c.place[p].variant - last - 1, c.period);
          for (int64_t lane = 0; lane < LANES; ++lane) {
            const int64_t o = last - lane, i = block * c.period + channel;
            const bool there = o < c.outputs && i < c.channels;
            const int64_t at = o * c.weight_output + i * c.weight_channel + c.place[p].weight;
            *packed++ = there ? Real(real_of(weights[at])) : Real(0);
            if (++channel == c.period) channel = 0;
          }
        }
}

template <class Real, class Io>
PSCONV_TARGET static int32_t apply(const Convolution& c, const Io* source, const Real* packed, const Io* bias,
                                   Io* result, int64_t begin, int64_t end) {
  constexpr int64_t LANES = Of<Real>::LANES;
  static constexpr RowOfProducts<Real> rows_of[VECTORS] = {row_of_products<Real, 1>, row_of_products<Real, 2>,
                                                           row_of_products<Real, 3>, row_of_products<Real, 4>};
  const Rings<Real> shape(c);
  int64_t vectors = 0;
  for (int64_t g = 0; g < c.groups; ++g) vectors += c.group[g].count;
  const int64_t band = (c.result_height + c.bands - 1) / c.bands;  // rows, at most
  const int64_t next = vectors * LANES, band_pixels = band * c.result_width;
  // As many whole images at a time as the cache holds, or as are worth reading the weights for.
  const int64_t bytes = (c.blocks * shape.block(c, 1, band) + band_pixels * next) * int64_t(sizeof(Real));
  int64_t at_once = most(CACHE / bytes, (PIXELS_AT_ONCE + band_pixels - 1) / band_pixels);
  at_once = c.bands > 1 ? 1 : most(1, least(at_once, end - begin));
  const int64_t ring_reals = c.blocks * shape.block(c, at_once, band), sum_reals = at_once * band_pixels * next;
  Real* rings =
      (Real*)aligned_alloc(LINE, size_t(round_up((ring_reals + sum_reals + next) * int64_t(sizeof(Real)), LINE)));
  int64_t* offsets = (int64_t*)malloc(size_t(c.places * c.groups) * sizeof(int64_t));
  const bool enough = rings && offsets;
  if (enough) {
    Real *sums = rings + round_up(ring_reals, LANES), *biases = sums + sum_reals;
    for (int64_t g = 0, v = 0; g < c.groups; ++g) {
      for (int64_t p = 0; p < c.places; ++p)
        offsets[g * c.places + p] = offset_of(c, shape, c.place[p], c.group[g].first);
      for (int64_t k = 0; k < c.group[g].count; ++k, ++v)
        for (int64_t lane = 0; lane < LANES; ++lane) {
          const int64_t o = (c.group[g].first + k * c.group_stride + 1) * LANES - 1 - lane;
          biases[v * LANES + lane] = bias && o < c.outputs ? Real(real_of(bias[o])) : Real(0);
        }
    }
    for (int64_t item = begin; item < end;) {
      const int64_t image = item / c.bands, part = item % c.bands, count = least(at_once, end - item);
      const int64_t top = c.result_height * part / c.bands, bottom = c.result_height * (part + 1) / c.bands;
      const int64_t rows = bottom - top, size = shape.block(c, count, rows);
      make_rings(c, shape, source, image, count, top, bottom, 0, c.blocks, rings);
      const Real* weights = packed;
      for (int64_t g = 0, v = 0; g < c.groups; v += c.group[g].count, ++g) {
        const int64_t of_block = c.places * c.group[g].count * LANES;
        const int64_t blocks = most(1, NEAR / (of_block * int64_t(sizeof(Real))));
        for (int64_t block = 0; block < c.blocks; block += blocks) {
          const int64_t now = least(blocks, c.blocks - block);
          for (int64_t row = 0; row < count * rows; ++row) {
            const int64_t line = row / rows * shape.rows(c, rows) + row % rows * c.step_rows;
            Real* to = sums + row * c.result_width * next + v * LANES;
            rows_of[c.group[g].count - 1](rings + block * size + line * shape.columns * shape.reals,
                                          c.step_columns * shape.reals, size, now, offsets + g * c.places, c.places,
                                          weights, block ? to : biases + v * LANES, block ? next : 0, to, next,
                                          c.result_width);
          }
          weights += now * of_block;
        }
      }
      for (int64_t row = 0; row < count * rows; ++row)
        for (int64_t column = 0; column < c.result_width; ++column) {
          const Real* from = sums + (row * c.result_width + column) * next;
          Io* to = result + (image + row / rows) * c.result_image + (top + row % rows) * c.result_row +
                   column * c.result_column;
          for (int64_t g = 0; g < c.groups; ++g)
            for (int64_t k = 0; k < c.group[g].count; ++k, from += LANES) {
              const int64_t o = (c.group[g].first + k * c.group_stride) * LANES;
              store_backwards(from, c.outputs - o, to + o);
            }
        }
      item += count;
    }
  }
  free(rings);
  free(offsets);
  return !enough;
}

// Pixels that are summed over: of `images`, `rows` each, `columns` of them; and reals from one to the next in the rings.
struct Pixels {
  int64_t images, rows, columns, image_step, row_step, step;
};

// Adds to sums [N][K] those over pixels of K vectors of gradients, `next` reals from pixel to pixel, times N places.
template <class Real, int K, int N>
PSCONV_TARGET static void outer_products(const Real* x, const Pixels& pixels, const int64_t* offsets,
                                         const Real* gradients, int64_t next, Real* sums) {
  using Vector = typename Of<Real>::Vector;
  constexpr int64_t LANES = Of<Real>::LANES;
  Vector sum[N][K];
  const Real* places[N];
  for (int n = 0; n < N; ++n) places[n] = x + offsets[n];
  for (int n = 0; n < N; ++n)
    for (int k = 0; k < K; ++k) sum[n][k] = Vector{};
  for (int64_t image = 0; image < pixels.images; ++image)
    for (int64_t row = 0; row < pixels.rows; ++row) {
      int64_t at = image * pixels.image_step + row * pixels.row_step;
      for (int64_t column = 0; column < pixels.columns; ++column, at += pixels.step, gradients += next) {
        Vector gradient[K];
        for (int k = 0; k < K; ++k) gradient[k] = load(gradients + k * LANES);
        for (int n = 0; n < N; ++n) {
          const Vector activation = load(places[n] + at);
          for (int k = 0; k < K; ++k) sum[n][k] += activation * gradient[k];
        }
      }
    }
  for (int n = 0; n < N; ++n)
    for (int k = 0; k < K; ++k) {
      Real* to = sums + (n * K + k) * LANES;
      store(to, load(to) + sum[n][k]);
    }
}

template <class Real, int K>
PSCONV_TARGET static void places_of_products(const Real* x, const Pixels& pixels, const int64_t* offsets, int64_t count,
                                             const Real* gradients, int64_t next, Real* sums) {
  for (int64_t pieces = (count + PLACES - 1) / PLACES; pieces > 0; --pieces) {
    const int64_t now = (count + pieces - 1) / pieces;
#define PSCONV_CASE(N)                                                                       \
  case N:                                                                                    \
    outer_products<Real, K, N <= PLACES ? N : 1>(x, pixels, offsets, gradients, next, sums); \
    break;
    switch (now) {
      PSCONV_CASE(1)
      PSCONV_CASE(2)
      PSCONV_CASE(3)
      PSCONV_CASE(4)
      PSCONV_CASE(5)
      PSCONV_CASE(6)
    }
#undef PSCONV_CASE
    offsets += now, sums += now * K * Of<Real>::LANES, count -= now;
  }
}

template <class Real>
using PlacesOfProducts = void (*)(const Real*, const Pixels&, const int64_t*, int64_t, const Real*, int64_t, Real*);

template <class Real, class Io>
PSCONV_TARGET static int32_t gradient(const Convolution& c, const Io* source, const Io* given, Io* weights,
                                      int64_t first_block, int64_t last_block, int64_t begin, int64_t end) {
  constexpr int64_t LANES = Of<Real>::LANES;
  static constexpr PlacesOfProducts<Real> products_of[VECTORS] = {
      places_of_products<Real, 1>, places_of_products<Real, 2>, places_of_products<Real, 3>,
      places_of_products<Real, 4>};
  const Rings<Real> shape(c);
  int64_t vectors = 0, all = 0;
  for (int64_t g = 0; g < c.groups; ++g) {
    all += c.group[g].count;
    if (begin <= g && g < end) vectors += c.group[g].count;
  }
  // Pieces of the sum: the same for whatever part is asked for.
  const int64_t pixel_bytes = (all * LANES + shape.reals * c.step_rows * c.step_columns) * int64_t(sizeof(Real));
  const int64_t pixels = most(PIXELS_AT_ONCE, CACHE / pixel_bytes);
  const int64_t band = most(1, least(c.result_height, pixels / c.result_width));
  const int64_t at_once = band < c.result_height ? 1 : most(1, least(c.images, pixels / (band * c.result_width)));
  const int64_t next = vectors * LANES, blocks = last_block - first_block;
  const int64_t ring_reals = round_up(shape.block(c, at_once, band), LANES);
  const int64_t gradient_reals = at_once * band * c.result_width * next, of_block = c.places * next;
  Real* rings = (Real*)aligned_alloc(
      LINE, size_t(round_up((ring_reals + gradient_reals + blocks * of_block) * int64_t(sizeof(Real)), LINE)));
  int64_t* offsets = (int64_t*)malloc(size_t(c.places * (c.groups + 1)) * sizeof(int64_t));
  const bool enough = rings && offsets;
  if (enough) {
    Real *gradients = rings + ring_reals, *sums = gradients + gradient_reals;
    memset(sums, 0, size_t(blocks * of_block) * sizeof(Real));
    for (int64_t g = begin; g < end; ++g)
      for (int64_t p = 0; p < c.places; ++p)
        offsets[(g - begin) * c.places + p] = offset_of(c, shape, c.place[p], c.group[g].first);
    for (int64_t image = 0; image < c.images; image += at_once)
      for (int64_t top = 0; top < c.result_height; top += band) {
        const int64_t count = least(at_once, c.images - image), rows = least(band, c.result_height - top);
        Real* to = gradients;
        for (int64_t row = 0; row < count * rows; ++row)
          for (int64_t column = 0; column < c.result_width; ++column)
            for (int64_t g = begin; g < end; ++g)
              for (int64_t k = 0; k < c.group[g].count; ++k, to += LANES) {
                const int64_t o = (c.group[g].first + k * c.group_stride) * LANES;
                const Io* from = given + (image + row / rows) * c.result_image + (top + row % rows) * c.result_row +
                                 column * c.result_column + o;
                load_backwards(from, c.outputs - o, to);
              }
        const int64_t line = shape.columns * shape.reals;
        const Pixels around = {
            count, rows, c.result_width, shape.rows(c, rows) * line, c.step_rows * line, c.step_columns * shape.reals};
        for (int64_t block = first_block; block < last_block; ++block) {
          make_rings(c, shape, source, image, count, top, top + rows, block, block + 1, rings);
          Real* own = sums + (block - first_block) * of_block;
          for (int64_t g = begin, v = 0; g < end; v += c.group[g].count, ++g) {
            products_of[c.group[g].count - 1](rings, around, offsets + (g - begin) * c.places, c.places,
                                              gradients + v * LANES, next, own);
            own += c.places * c.group[g].count * LANES;
          }
        }
      }
    const Real* sum = sums;
    for (int64_t block = first_block; block < last_block; ++block)
      for (int64_t g = begin; g < end; ++g)
        for (int64_t p = 0; p < c.places; ++p)
          for (int64_t k = 0; k < c.group[g].count; ++k) {
            const int64_t last = (c.group[g].first + k * c.group_stride + 1) * LANES - 1;
            int64_t channel = modulo(c.place[p].variant - last - 1, c.period);
            for (int64_t lane = 0; lane < LANES; ++lane, ++sum) {
              const int64_t o = last - lane, i = block * c.period + channel;
              if (o < c.outputs && i < c.channels)
                assign(weights[o * c.weight_output + i * c.weight_channel + c.place[p].weight], *sum);
              if (++channel == c.period) channel = 0;
            }
          }
  }
  free(rings);
  free(offsets);
  return !enough;
}

#define PSCONV_BY_TYPE(CALL) \
  switch (type) {            \
    case 0: {                \
      using Io = float;      \
      using Real = float;    \
      CALL;                  \
    }                        \
    case 1: {                \
      using Io = BFloat16;   \
      using Real = float;    \
      CALL;                  \
    }                        \
    default: {               \
      using Io = double;     \
      using Real = double;   \
      CALL;                  \
    }                        \
  }

PSCONV_TARGET static void pack_any(const Convolution& c, int32_t type, const void* weights, void* packed, int64_t begin,
                                   int64_t end){
    PSCONV_BY_TYPE(return (pack<Real>(c, (const Io*)weights, (Real*)packed, begin, end)))}

PSCONV_TARGET static int32_t apply_any(const Convolution& c, int32_t type, const void* source, const void* packed,
                                       const void* bias, void* result, int64_t begin, int64_t end){
    PSCONV_BY_TYPE(return apply(c, (const Io*)source, (const Real*)packed, (const Io*)bias, (Io*)result, begin, end))}

PSCONV_TARGET static int32_t
    gradient_any(const Convolution& c, int32_t type, const void* source, const void* given, void* weights,
                 int64_t first_block, int64_t last_block, int64_t begin, int64_t end) {
  PSCONV_BY_TYPE(
      return gradient<Real>(c, (const Io*)source, (const Io*)given, (Io*)weights, first_block, last_block, begin, end))
}
#undef PSCONV_BY_TYPE

static constexpr Kernel kernel = {BYTES, pack_any, apply_any, gradient_any};
