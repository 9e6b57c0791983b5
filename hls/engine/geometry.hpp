// SPDX-License-Identifier: Apache-2.0
//
// Word types and derived sizes of a layer: all that follows from its configuration.
//
// Config: the template parameter C of an engine is a structure with these static constants and functions. psconv
// generates it (config.hpp); example/layers.hpp is written by hand.
//
//   KERNEL STRIDE PADDING              rows and columns of a kernel; input pixels from one output pixel to the
//                                      next; rows and columns of zeros on each side
//   HEIGHT WIDTH OUT_HEIGHT OUT_WIDTH  rows and columns of the input and of the output image
//   PERIOD                             P, kernel variants, and input channels of a block; 1: dense
//   NONZEROS                           weights of a block and output channel
//   TO ROTATIONS TB                    at once: output channels PERIOD apart that share a place of the ring; places of
//                                      the ring, that is neighbouring output channels, a divisor of PERIOD; blocks
//                                      of input channels. OUTPUTS = TO * ROTATIONS are the outputs of a step
//   CHANNELS                           PERIOD * TB, of an input beat
//   BLOCK_SETS STEPS                   input channels / CHANNELS; output channels / OUTPUTS, rounded up
//   FOLDS                              iterations that share the work of a step
//   LANES_PER_OUTPUT                   weights of each of OUTPUTS in an iteration: NONZEROS * TB / FOLDS,
//                                      rounded up
//   PACKING SPACING                    outputs whose products share a hardware multiplier, and bits from one of
//                                      these products to the next; 1 and WEIGHT_BITS + IN_BITS - 1: none share
//   PIECES                             PERIOD where windows come channel by channel, else 1
//   IN_BITS WEIGHT_BITS BIAS_BITS ACC_BITS OUT_BITS
//                                      of an activation, a weight, a bias, a sum and an output, all signed
//   INDEX_BITS                         of the index beside each weight; 0: periodic
//   SCALE_BITS                         of an output channel's factor, unsigned; 0: there are none
//   SHIFT RELU                         an output is a sum (times its factor) >> SHIFT, rounded half up and
//                                      saturated, at zero with RELU
//   WINDOW_DEPTH COLUMN_DEPTH          words in the streams in front of the processing element; COLUMN_DEPTH for
//                                      KERNEL > 1
//   SUMS_DEPTH                         words in the stream behind it, if weights are streamed
//   ULTRA_WEIGHTS                      if weights are loaded: they lie in UltraRAM
//   int variant(int lane), int tap(int lane)
//                                      of the NONZEROS weights, in the order of the kernel variants and in each
//                                      of its taps, KERNEL * row + column; not if INDEX_BITS > 0
//   ap_uint<ROM_BITS> weights(int address)
//                                      word (block_set * STEPS + step) * FOLDS + fold: the weight of output k of
//                                      OUTPUTS and element fold * LANES_PER_OUTPUT + j in field
//                                      k * LANES_PER_OUTPUT + j.
//                                      Element e is lane e % NONZEROS of block e / NONZEROS; what there is no
//                                      element for is zero. Above all weights their indices, if INDEX_BITS > 0.
//                                      Not if weights are loaded or streamed
//   ap_uint<OUTPUTS * BIAS_BITS> biases(int step)
//                                      field k for output k of OUTPUTS; not if weights are loaded
//   ap_uint<OUTPUTS * SCALE_BITS> scales(int step)
//                                      likewise the factors, if SCALE_BITS > 0
//
// Words on the way through an engine, least significant field first:
//   Beat    the activations of one block set of one pixel: channel c at bits c * IN_BITS
//   Piece   what the feeder moves at once: a beat (PIECES = 1), or channel p of each block (PIECES = PERIOD)
//   Column  KERNEL pieces one above the other: row k (0 on top) at bits k * PIECE_BITS
//   Window  KERNEL columns side by side: column k (0 on the left) at bits k * COLUMN_BITS
//   Sums    OUTPUTS accumulators: output k at bits k * ACC_BITS
//
// Output k of a step is output channel (step / SLOTS * TO + k % TO) * PERIOD + step % SLOTS * ROTATIONS + k / TO, with
// SLOTS = PERIOD / ROTATIONS. Those beyond the last output channel have weights, biases and scales of zero.
#ifndef PSCONV_GEOMETRY_HPP
#define PSCONV_GEOMETRY_HPP

#include "storage.hpp"
#include "words.hpp"

namespace psconv {

constexpr int larger(int a, int b) { return a > b ? a : b; }

// Of what turns an image into windows: the feeder of an engine, or of a pooling.
//
// \tparam C  configuration: KERNEL to OUT_WIDTH, CHANNELS, BLOCK_SETS, PIECES, IN_BITS
template <class C> struct WindowGeometry {
  static_assert(C::KERNEL >= 1 && C::STRIDE >= 1 && C::PADDING < C::KERNEL, "PADDING is 0 .. KERNEL - 1");

  // Widths.
  static constexpr int TAPS = C::KERNEL * C::KERNEL;
  static constexpr int BEAT_BITS = C::CHANNELS * C::IN_BITS;
  static constexpr int PIECE_CHANNELS = C::CHANNELS / C::PIECES;
  static constexpr int PIECE_BITS = PIECE_CHANNELS * C::IN_BITS;
  static constexpr int COLUMN_BITS = C::KERNEL * PIECE_BITS;
  static constexpr int WINDOW_BITS = C::KERNEL * COLUMN_BITS;

  // What an output pixel still needs when its last row or column arrives.
  static constexpr int LINES_BITS = COLUMN_BITS - PIECE_BITS;     // the rows above
  static constexpr int HISTORY_BITS = WINDOW_BITS - COLUMN_BITS;  // the columns to the left

  // Extents of the loops.
  static constexpr int PIXEL_PIECES = C::BLOCK_SETS * C::PIECES;
  static constexpr int ROW_PIECES = C::WIDTH * PIXEL_PIECES;
  static constexpr int BOTTOM = (C::OUT_HEIGHT - 1) * C::STRIDE + C::KERNEL;  // padded rows needed
  static constexpr int RIGHT = (C::OUT_WIDTH - 1) * C::STRIDE + C::KERNEL;    // padded columns needed
  static constexpr int ROWS = larger(C::HEIGHT, BOTTOM - C::PADDING);         // from row 0 of the image
  static constexpr int PADDED_WIDTH = larger(C::PADDING + C::WIDTH, RIGHT);   // from the left padding
  static constexpr int PIXELS = C::OUT_HEIGHT * C::OUT_WIDTH;
  // Whether a window has a row of the image above its last.
  static constexpr bool ABOVE = BOTTOM - C::PADDING > 1;

  using Beat = ap_uint<BEAT_BITS>;
  using Piece = ap_uint<PIECE_BITS>;
  using Column = ap_uint<COLUMN_BITS>;
  using Window = ap_uint<WINDOW_BITS>;
  using ColumnStream = hls::stream<ap_uint<streamed_bits(COLUMN_BITS)>>;
  using WindowStream = hls::stream<ap_uint<streamed_bits(WINDOW_BITS)>>;
};

// Of a convolution engine.
//
// \tparam C  its configuration
template <class C> struct Geometry : WindowGeometry<C> {
  static_assert(C::CHANNELS == C::PERIOD * C::TB, "a beat has the channels of one block set");
  static_assert(C::PIECES == 1 || (C::PIECES == C::PERIOD && C::STEPS * C::FOLDS >= C::PIECES),
                "a window set is there in pieces before the one at work is done with");
  static_assert(C::PERIOD % C::ROTATIONS == 0, "the ring is back at its start after whole steps");

  static constexpr int OUTPUTS = C::TO * C::ROTATIONS;    // of a step
  static constexpr int SLOTS = C::PERIOD / C::ROTATIONS;  // steps of an output word

  static_assert(C::TO == 1 || C::STEPS % SLOTS == 0, "TO > 1 needs whole output words");

  static constexpr int SUMS_BITS = OUTPUTS * C::ACC_BITS;
  static constexpr int GROUP_BITS = C::TO * C::PERIOD * C::OUT_BITS;  // the channels of one output word
  static constexpr int GROUPS = (C::STEPS + SLOTS - 1) / SLOTS;       // output words of a pixel
  static constexpr int LANES = OUTPUTS * C::LANES_PER_OUTPUT;
  static constexpr int WEIGHTS_BITS = LANES * C::WEIGHT_BITS;  // of a ROM word; above them are the indices
  static constexpr int ROM_BITS = WEIGHTS_BITS + LANES * C::INDEX_BITS;
  static constexpr int ELEMENTS = C::TB * C::NONZEROS;  // products of an output channel and a block set
  static constexpr int ROM_WORDS = C::BLOCK_SETS * C::STEPS * C::FOLDS;

  // Of the processing element for an image: a ROM word each, and those that take the first window set in.
  static constexpr int ITERATIONS = WindowGeometry<C>::PIXELS * ROM_WORDS + (C::PIECES > 1 ? C::PIECES : 0);

  // Iterations from the last fold of a step to its first fold in the next block set.
  static constexpr int CARRY = (C::STEPS - 1) * C::FOLDS + 1;

  // Where weights are streamed: windows that are held, and iterations that work on them.
  static constexpr int IMAGE_WINDOWS = WindowGeometry<C>::PIXELS * C::BLOCK_SETS;
  static constexpr int STREAMED_ITERATIONS = WindowGeometry<C>::PIXELS * ROM_WORDS;

  // There the output goes over its words once a step to fill them, and then once to send each of a pixel's.
  static constexpr int OUTPUT_TURNS = C::STEPS + GROUPS;
  // Iterations between a pixel's outputs in one step and those in the next, or their sending, at the least.
  static constexpr int PUT_BY = WindowGeometry<C>::PIXELS + (SLOTS == 1 ? GROUPS - 1 : 0);

  using Activation = ap_int<C::IN_BITS>;
  using Accumulator = ap_int<C::ACC_BITS>;
  using Sums = ap_uint<SUMS_BITS>;
  using SumsStream = hls::stream<ap_uint<streamed_bits(SUMS_BITS)>>;
  using Group = ap_uint<GROUP_BITS>;
  using Weights = ap_uint<ROM_BITS>;                        // of an iteration
  using Biases = ap_uint<OUTPUTS * C::BIAS_BITS>;           // of a step
  using Load = ap_uint<ROM_BITS + OUTPUTS * C::BIAS_BITS>;  // both, as they are loaded
};

// Whether the KERNEL padded rows (columns) that end with row (column) `last` belong to one of `outputs`
// output pixels. The remainder costs nothing in hardware for strides 1, 2, 4, ...
template <class C> bool ends_window(int last, int outputs) {
#pragma HLS INLINE
  return last >= C::KERNEL - 1 && last < (outputs - 1) * C::STRIDE + C::KERNEL &&
         last % C::STRIDE == (C::KERNEL - 1) % C::STRIDE;
}

}  // namespace psconv

#endif
