// The inner loops of convolution, included once for each instruction set by convolution.cpp.
//
// The including file defines, in a namespace for it, the attribute PSCONV_TARGET of that instruction set, the types
// Cell (the activations of GROUP channels in a lane, or their weights), Vector (LANES int32) and CellVector (LANES
// cells), and splat, load, broadcast, multiply_add and store.

// Sums of one tile: M output channels that use the same places, T vectors of lanes each.
//
// lanes: the cell of the first lane at position 0; weights [taps][M]; bias [M]; out [M][step].
template <int M, int T>
PSCONV_TARGET static void dot_products(const Cell* lanes, const int32_t* positions, int64_t taps, const Cell* weights,
                                       const int32_t* bias, int32_t* out, int64_t step) {
    Vector sums[M][T];
    for (int m = 0; m < M; ++m)
        for (int t = 0; t < T; ++t) sums[m][t] = splat(bias[m]);
    for (int64_t k = 0; k < taps; ++k) {
        const Cell* x = lanes + positions[k];
        CellVector activations[T];
        for (int t = 0; t < T; ++t) activations[t] = load(x + t * LANES);
        for (int m = 0; m < M; ++m) {
            const auto weight = broadcast(weights[k * M + m]);
            for (int t = 0; t < T; ++t) sums[m][t] = multiply_add(sums[m][t], activations[t], weight);
        }
    }
    for (int m = 0; m < M; ++m)
        for (int t = 0; t < T; ++t) store(out + m * step + t * LANES, sums[m][t]);
}

using DotProducts = void (*)(const Cell*, const int32_t*, int64_t, const Cell*, const int32_t*, int32_t*, int64_t);

static constexpr DotProducts dot_products_of[TILE][WIDE] = {
    {dot_products<1, 1>, dot_products<1, 2>, dot_products<1, 3>, dot_products<1, 4>, dot_products<1, 5>,
     dot_products<1, 6>},
    {dot_products<2, 1>, dot_products<2, 2>, dot_products<2, 3>},
    {dot_products<3, 1>, dot_products<3, 2>, dot_products<3, 3>},
    {dot_products<4, 1>, dot_products<4, 2>, dot_products<4, 3>},
};

// pymodel.network.formats.requantise of VECTORS vectors of sums of one output channel; without a scale (0), 32 bits hold the
// rounded sum.
template <int VECTORS>
PSCONV_TARGET static void requantise(const int32_t* sums, int8_t* __restrict out, const Layer& layer,
                                     int32_t scale) {
    const int32_t shift = layer.shift, low = layer.low, high = layer.high, even = layer.even;
    const int64_t half = shift ? int64_t{1} << (shift - 1) : 0;
    if (scale) {
        for (int64_t i = 0; i < VECTORS * LANES; ++i) {
            const int64_t sum = int64_t{sums[i]} * scale, rounded = (sum + half - even + (sum >> shift & even)) >> shift;
            out[i] = int8_t(rounded < low ? low : rounded > high ? high : rounded);
        }
    } else {
        for (int64_t i = 0; i < VECTORS * LANES; ++i) {
            const int32_t sum = sums[i], rounded = (sum + int32_t(half) - even + (sum >> shift & even)) >> shift;
            out[i] = int8_t(rounded < low ? low : rounded > high ? high : rounded);
        }
    }
}

// Cells from the rows of GROUP channels.
PSCONV_TARGET static void interleave(const int8_t* const (&rows)[GROUP], Cell* __restrict out, int64_t count) {
    int64_t i = 0;
    for (; i + BLOCK <= count; i += BLOCK)  // a fixed count, for the compiler to make it a few instructions
        for (int j = 0; j < BLOCK; ++j)
            for (int k = 0; k < GROUP; ++k) out[i + j].channel[k] = Cell::of(rows[k][i + j]);
    for (; i < count; ++i)
        for (int k = 0; k < GROUP; ++k) out[i].channel[k] = Cell::of(rows[k][i]);
}

// Row `row` of images begin to begin + count of the padded input, as `Layer` describes it, to row `place` of the cells.
PSCONV_TARGET static void pack_row(const Layer& layer, const int8_t* x, int64_t images, int64_t begin, int64_t count,
                                   int64_t row, int64_t place, void* cells) {
    Cell* packed = (Cell*)cells;
    const int64_t inner = row - layer.top, phases = layer.stride, columns = layer.columns;
    if (inner < 0 || inner >= layer.height) return;  // zero ever since the buffer was made, for it is never elsewhere
    const bool contiguous = phases == 1 && count == images;
    for (int64_t group = 0; group < layer.groups; ++group) {
        const int32_t* channels = layer.channel + group * GROUP;
        const int8_t* rows[GROUP];
        for (int k = 0; k < GROUP; ++k) {  // in the place of no channel any one will do: its weight is zero
            const int64_t channel = channels[k] < 0 ? channels[0] : channels[k];
            rows[k] = x + (channel * layer.height + inner) * layer.width * images + begin;
        }
        Cell* out = packed + (place * layer.groups + group) * phases * columns * count;
        if (contiguous) {
            interleave(rows, out + layer.left * count, layer.width * count);
            continue;
        }
        for (int64_t column = 0; column < layer.width; ++column) {
            const int64_t at = column + layer.left;
            interleave(rows, out + (at % phases * columns + at / phases) * count, count);
            for (const int8_t*& from : rows) from += images;
        }
    }
}

// The output row that needs the packed rows from `row` * stride on, of images begin to begin + count: one row of lanes
// (column, image) per output channel, rounded up to VECTORS vectors, which are computed at a time.
template <int VECTORS>
PSCONV_TARGET static void output_row(const Layer& layer, const void* packed, const int32_t* positions, int64_t count,
                                     int64_t row, int8_t* results) {
    constexpr int64_t STEP = VECTORS * LANES;
    const int64_t lanes = layer.wout * count, padded = round_up(lanes, STEP);
    const Cell* rows = (const Cell*)packed + row * layer.stride * layer.groups * layer.stride * layer.columns * count;
    const Cell* weights = (const Cell*)layer.weights;
    alignas(64) int32_t sums[TILE * STEP] = {};  // all are requantised, needed or not
    for (int64_t lane = 0; lane < lanes; lane += STEP) {
        const int64_t left = (lanes - lane + LANES - 1) / LANES;
        const int vectors = int(left < VECTORS ? left : VECTORS);
        for (int64_t t = 0; t < layer.tiles; ++t) {
            const Tile& tile = layer.tile[t];
            int32_t bias[TILE];
            for (int m = 0; m < tile.outputs; ++m) bias[m] = layer.bias[tile.output[m]];
            dot_products_of[tile.outputs - 1][vectors - 1](rows + lane, positions + tile.positions, tile.taps,
                                                           weights + tile.weights, bias, sums, STEP);
            for (int m = 0; m < tile.outputs; ++m) {
                const int64_t output = tile.output[m];
                requantise<VECTORS>(sums + m * STEP, results + output * padded + lane, layer,
                                    layer.scale ? layer.scale[output] : 0);
            }
        }
    }
}

PSCONV_TARGET static void add(const int8_t* left, const int8_t* right, int8_t* __restrict out, int64_t count,
                              Addition to) {
    const int32_t half = to.shift ? 1 << (to.shift - 1) : 0, by_left = 1 << to.left, by_right = 1 << to.right;
    for (int64_t i = 0; i < count; ++i) {
        const int32_t sum = left[i] * by_left + right[i] * by_right;
        const int32_t rounded = (sum + half - to.even + (sum >> to.shift & to.even)) >> to.shift;
        out[i] = int8_t(rounded < to.low ? to.low : rounded > to.high ? to.high : rounded);
    }
}

static constexpr Kernel kernel = {LANES, GROUP, Cell::of(0), pack_row, output_row<NARROW>, output_row<WIDE>, add};
