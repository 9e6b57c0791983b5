// SPDX-License-Identifier: Apache-2.0
//
// Word types and derived sizes of a layer: all that follows from its configuration.
//
// Config: the template parameter C of an engine is a structure with these static constants and functions. psconv
// generates it (config.hpp); example/layers.hpp is written by hand.
//
//   KERNEL STRIDE TOP LEFT             rows and columns of a kernel; input pixels from one output pixel to the
//                                      next; rows of zeros above the image, columns of zeros to the left of it
//                                      (below and to the right as many as the output image needs)
//   HEIGHT WIDTH OUT_HEIGHT OUT_WIDTH  rows and columns of the input and of the output image
//   TX                                 neighbouring pixels of a row at once, of the input and of the output; they
//                                      divide WIDTH and OUT_WIDTH
//   PERIOD                             P, kernel variants, and input channels of a block; 1: dense
//   NONZEROS                           weights of a block and output channel
//   TO ROTATIONS TB                    at once: output channels PERIOD apart that share a place of the ring; places
//                                      of the ring, that is neighbouring output channels, a divisor of PERIOD; blocks
//                                      of input channels. OUTPUTS = TO * ROTATIONS are the outputs of a step
//   CHANNELS                           PERIOD * TB, of each pixel of an input beat
//   ROUNDS                             groups of channels, one after the other; 1: all channels are one group
//   BLOCK_SETS STEPS                   input channels / CHANNELS; output channels / OUTPUTS, rounded up; of all rounds,
//                                      which share them equally
//   CHANNELWISE                        whether each output channel has an input channel of its own. PERIOD = ROTATIONS
//                                      such input channels are then a block, and a round
//   FOLDS                              iterations that share the work of a step
//   LANES_PER_OUTPUT                   weights of each of OUTPUTS in an iteration: NONZEROS * TB / FOLDS,
//                                      rounded up
//   PACKING SPACING                    products that share a hardware multiplier, at most, and bits from one of
//                                      these products to the next; 1 and WEIGHT_BITS + IN_BITS - 1: none share
//   PACKS_PIXELS                       whether these are products of one weight and the activations of PACKING
//                                      pixels, else of one activation and the weights of outputs
//   PIECES                             PERIOD where windows come channel by channel, else 1
//   IN_BITS WEIGHT_BITS BIAS_BITS ACC_BITS OUT_BITS
//                                      of an activation, a weight, a bias, a sum and an output, all signed
//   INDEX_BITS                         of the index beside each weight; 0: periodic
//   SCALE_BITS                         of an output channel's factor, unsigned; 0: there are none
//   HALVES_TO_EVEN                     whether a sum between two outputs goes to the even one, else up
//   SHIFT RELU LARGEST                 an output is a sum (times its factor) >> SHIFT, rounded and
//                                      saturated, from below at zero with RELU, from above at LARGEST
//   WINDOW_DEPTH COLUMN_DEPTH          words in the streams in front of the processing element; COLUMN_DEPTH
//                                      where there are columns (HAS_COLUMNS)
//   SUMS_DEPTH                         words in the stream behind it, if weights are streamed
//   ULTRA_WEIGHTS                      if weights are loaded: they lie in UltraRAM
//   int variant(int number), int tap(int number)
//                                      of the NONZEROS elements of a block, in the order of the kernel variants and in
//                                      each of its taps, KERNEL * row + column; not if INDEX_BITS > 0. CHANNELWISE: of
//                                      one kernel
//   PACKED_SUMS, int sum_begin(int sum), int sum_output(int sum, int field), int multiplier_lane(int m, int field)
//                                      if PACKING > 1 and not PACKS_PIXELS: sums of packed products. Sum `sum` is
//                                      over multipliers sum_begin(sum) .. sum_begin(sum + 1) - 1, up to 2^(SPACING -
//                                      WEIGHT_BITS - IN_BITS + 1) of them; of each field the output of a step, -1
//                                      for none; of multiplier m and a field the lane of that output. All of a
//                                      multiplier meet one activation
//   ap_uint<ROM_BITS> weights(int address)
//                                      word (block_set * STEPS + step) * FOLDS + fold, of each round in turn with
//                                      its own block sets and steps: the weight of output k of
//                                      OUTPUTS and element fold * LANES_PER_OUTPUT + j in field
//                                      k * LANES_PER_OUTPUT + j.
//                                      Element e is number e % NONZEROS of block e / NONZEROS; what there is no
//                                      element for is zero. Above all weights their indices, if INDEX_BITS > 0.
//                                      Not if weights are loaded or streamed
//   ap_uint<OUTPUTS * BIAS_BITS> biases(int step)
//                                      field k for output k of OUTPUTS; not if weights are loaded
//   ap_uint<OUTPUTS * SCALE_BITS> scales(int step)
//                                      likewise the factors, if SCALE_BITS > 0
//
// Words on the way through an engine, least significant field first:
//   Beat    the activations of one block set of TX pixels: channel c of pixel t at bits (t * CHANNELS + c) * IN_BITS
//   Piece   of a pixel what the feeder moves at once: all of a beat (PIECES = 1), or channel p of each block (PIECES
//           = PERIOD)
//   Columns TX columns side by side, column t at bits t * COLUMN_BITS, each of KERNEL pieces one above the other:
//           row k (0 on top) at bits k * PIECE_BITS of it
//   Window  SPAN columns side by side, as the windows of TX output pixels need them: column k (0 on the left) at bits
//           k * COLUMN_BITS
//   Sums    TX * OUTPUTS accumulators: output k of pixel t at bits (t * OUTPUTS + k) * ACC_BITS
//
// Output k of a step is output channel (step / SLOTS * TO + k % TO) * PERIOD + step % SLOTS * ROTATIONS + k / TO,
// with SLOTS = PERIOD / ROTATIONS. CHANNELWISE it is one of the TO * SLOTS output channels of input channel
// k / TO of the round: number step % SLOTS * TO + k % TO, with SLOTS = STEPS / ROUNDS. Those beyond the last output
// channel have weights, biases and scales of zero.
#ifndef PSCONV_GEOMETRY_HPP
#define PSCONV_GEOMETRY_HPP

#include "storage.hpp"
#include "words.hpp"

namespace psconv {

constexpr int larger(int a, int b) { return a > b ? a : b; }

// Of what turns an image into windows: the feeder of an engine, or of a pooling.
//
// \tparam C  configuration: KERNEL to TX, CHANNELS, BLOCK_SETS, PIECES, IN_BITS
template <class C> struct WindowGeometry {
  static_assert(C::KERNEL >= 1 && C::STRIDE >= 1 && C::TOP < C::KERNEL && C::LEFT < C::KERNEL,
                "padding is less than a kernel");
  static_assert(C::WIDTH % C::TX == 0 && C::OUT_WIDTH % C::TX == 0, "rows are whole sets of TX pixels");

  // The windows of TX output pixels side by side overlap: SPAN columns, KERNEL of them for each pixel.
  static constexpr int SPAN = (C::TX - 1) * C::STRIDE + C::KERNEL;
  // They end with column LAST of the image, which is in set LAST / TX, for the first output pixels of a row; for
  // each of the next ones they end STRIDE sets later.
  static constexpr int LAST = SPAN - 1 - C::LEFT;
  static constexpr int KEPT_COLUMNS = SPAN - (LAST % C::TX + 1);  // of the sets before the one that they end with
  // Whether windows are made of columns; else a window is what a beat has of a pixel.
  static constexpr bool HAS_COLUMNS = C::KERNEL > 1 || (C::TX > 1 && C::STRIDE > 1);
  // Sets of zeros to the left of the image.
  static constexpr int LEAD = (C::LEFT + C::TX - 1) / C::TX;

  // Widths.
  static constexpr int BEAT_BITS = C::TX * C::CHANNELS * C::IN_BITS;
  static constexpr int PIECE_CHANNELS = C::CHANNELS / C::PIECES;
  static constexpr int PIECE_BITS = PIECE_CHANNELS * C::IN_BITS;
  static constexpr int COLUMN_BITS = C::KERNEL * PIECE_BITS;
  static constexpr int COLUMNS_BITS = C::TX * COLUMN_BITS;
  static constexpr int WINDOW_BITS = SPAN * COLUMN_BITS;

  // What an output pixel still needs when its last row or column arrives.
  static constexpr int ABOVE_BITS = COLUMN_BITS - PIECE_BITS;  // the rows above, of a column
  static constexpr int LINES_BITS = C::TX * ABOVE_BITS;
  static constexpr int HISTORY_BITS = KEPT_COLUMNS * COLUMN_BITS;  // the columns to the left

  // Extents of the loops.
  static constexpr int PIXEL_PIECES = C::BLOCK_SETS * C::PIECES;
  static constexpr int ROW_SETS = C::WIDTH / C::TX;          // of TX pixels
  static constexpr int OUT_ROW_SETS = C::OUT_WIDTH / C::TX;  // likewise of an output row
  static constexpr int ROW_PIECES = ROW_SETS * PIXEL_PIECES;
  static constexpr int BOTTOM = (C::OUT_HEIGHT - 1) * C::STRIDE + C::KERNEL;       // padded rows needed
  static constexpr int ROWS = larger(C::HEIGHT, BOTTOM - C::TOP);                  // from row 0 of the image
  static constexpr int RIGHT = LAST / C::TX + (OUT_ROW_SETS - 1) * C::STRIDE + 1;  // sets of pixels needed
  static constexpr int POSITIONS = LEAD + larger(ROW_SETS, RIGHT);                 // from the left padding
  static constexpr int PIXEL_SETS = C::OUT_HEIGHT * OUT_ROW_SETS;                  // of TX output pixels
  // Whether a window has a row of the image above its last.
  static constexpr bool ABOVE = C::KERNEL > 1 && BOTTOM - C::TOP > 1;

  using Beat = ap_uint<BEAT_BITS>;
  using Piece = ap_uint<PIECE_BITS>;
  using Columns = ap_uint<COLUMNS_BITS>;
  using Window = ap_uint<WINDOW_BITS>;
  using ColumnStream = hls::stream<ap_uint<streamed_bits(COLUMNS_BITS)>>;
  using WindowStream = hls::stream<ap_uint<streamed_bits(WINDOW_BITS)>>;
};

// Of a convolution engine.
//
// \tparam C  its configuration
template <class C> struct Geometry : WindowGeometry<C> {
  static_assert(C::CHANNELS == C::PERIOD * C::TB, "a beat has the channels of one block set");
  static_assert(C::BLOCK_SETS % C::ROUNDS == 0 && C::STEPS % C::ROUNDS == 0, "rounds are alike");

  static constexpr int ROUND_SETS = C::BLOCK_SETS / C::ROUNDS;  // block sets of a round
  static constexpr int ROUND_STEPS = C::STEPS / C::ROUNDS;      // steps of a round

  static_assert(C::PIECES == 1 || (C::PIECES == C::PERIOD && ROUND_STEPS * C::FOLDS >= C::PIECES),
                "a window set is there in pieces before the one at work is done with");
  static_assert(C::PERIOD % C::ROTATIONS == 0, "the ring is back at its start after whole steps");
  static_assert(!C::CHANNELWISE || (C::PERIOD == C::ROTATIONS && C::TB == 1 && ROUND_SETS == 1 && C::PIECES == 1),
                "CHANNELWISE a round has ROTATIONS input channels, all of them at once");

  static constexpr int OUTPUTS = C::TO * C::ROTATIONS;                                   // of a step
  static constexpr int SLOTS = C::CHANNELWISE ? ROUND_STEPS : C::PERIOD / C::ROTATIONS;  // steps of an output word
  static constexpr int SLICES = C::CHANNELWISE ? C::ROTATIONS : C::TO;                   // of it, for each pixel

  static_assert((C::TO == 1 && C::ROUNDS == 1) || C::STEPS % SLOTS == 0, "TO > 1, or rounds, need whole output words");

  static constexpr int SUMS_BITS = C::TX * OUTPUTS * C::ACC_BITS;
  static constexpr int SLICE_BITS = OUTPUTS / SLICES * SLOTS * C::OUT_BITS;  // neighbouring channels of an output word
  static constexpr int GROUP_BITS = C::TX * SLICES * SLICE_BITS;             // one output word
  static constexpr int GROUPS = (C::STEPS + SLOTS - 1) / SLOTS;              // output words of a pixel
  static constexpr int WEIGHTS = OUTPUTS * C::LANES_PER_OUTPUT;              // of an iteration, for all TX pixels
  static constexpr int WEIGHTS_BITS = WEIGHTS * C::WEIGHT_BITS;  // of a ROM word; above them are the indices
  static constexpr int ROM_BITS = WEIGHTS_BITS + WEIGHTS * C::INDEX_BITS;
  static constexpr int ELEMENTS = C::TB * C::NONZEROS;  // products of an output channel and a block set
  static constexpr int ROM_WORDS = C::BLOCK_SETS * ROUND_STEPS * C::FOLDS;

  // Of the processing element for an image: a ROM word each, and those that take the first window set in.
  static constexpr int ITERATIONS = WindowGeometry<C>::PIXEL_SETS * ROM_WORDS + (C::PIECES > 1 ? C::PIECES : 0);

  // Iterations from the last fold of a step to its first fold in the next block set.
  static constexpr int CARRY = (ROUND_STEPS - 1) * C::FOLDS + 1;

  // Where weights are streamed: windows that are held, of them those of a round, and iterations that work on them.
  static constexpr int IMAGE_WINDOWS = WindowGeometry<C>::PIXEL_SETS * C::BLOCK_SETS;
  static constexpr int ROUND_WINDOWS = WindowGeometry<C>::PIXEL_SETS * ROUND_SETS;
  static constexpr int STREAMED_ITERATIONS = WindowGeometry<C>::PIXEL_SETS * ROM_WORDS;

  // There the output goes over its words once a step to fill them, and then once to send each of a pixel's.
  static constexpr int OUTPUT_TURNS = C::STEPS + GROUPS;
  // Iterations between a pixel's outputs in one step and those in the next, or their sending, at the least.
  static constexpr int PUT_BY = WindowGeometry<C>::PIXEL_SETS + (SLOTS == 1 ? GROUPS - 1 : 0);

  using Activation = ap_int<C::IN_BITS>;
  using Accumulator = ap_int<C::ACC_BITS>;
  using Sums = ap_uint<SUMS_BITS>;
  using SumsStream = hls::stream<ap_uint<streamed_bits(SUMS_BITS)>>;
  using Group = ap_uint<GROUP_BITS>;
  using Weights = ap_uint<ROM_BITS>;                        // of an iteration
  using Biases = ap_uint<OUTPUTS * C::BIAS_BITS>;           // of a step
  using Load = ap_uint<ROM_BITS + OUTPUTS * C::BIAS_BITS>;  // both, as they are loaded
};

// Whether one of `outputs` windows ends at `position`, of which the first one ends at `first`. The remainder costs
// nothing in hardware for strides 1, 2, 4, ...
template <class C> bool ends_window(int position, int first, int outputs) {
#pragma HLS INLINE
  return position >= first && position < (outputs - 1) * C::STRIDE + first + 1 &&
         position % C::STRIDE == first % C::STRIDE;
}

}  // namespace psconv

#endif
