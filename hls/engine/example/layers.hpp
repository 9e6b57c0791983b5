// SPDX-License-Identifier: Apache-2.0
//
// Two layers as configurations that are written by hand. geometry.hpp says what each name means; psconv writes
// such a file, with the ROMs of a trained network, as network_config.hpp.
#ifndef LAYERS_HPP
#define LAYERS_HPP

#define AP_INT_MAX_W 288  // the widest word, here a window of FirstLayer; AMD's ap_int.h asks for it first
#include "ap_int.h"

// A periodic pre-defined sparse 3x3 convolution, 4 -> 4 channels of 4 x 4 pixels, with PERIOD = 4 kernel
// variants: the kernel of output channel o and input channel i is variant (o + i + 1) mod 4, with the taps
//
//   variant 0  . . .   variant 1  * . .   variant 2  . . .   variant 3  . . *
//              . * .              . . .              . . .              . . .
//              . . .              . . .              . . *              * . .
//
// So an output channel has NONZEROS = 5 weights, one for each element below, and takes one cycle.
static const int FIRST_VARIANT[5] = {0, 1, 2, 3, 3};
static const int FIRST_TAP[5] = {4, 0, 8, 2, 6};  // KERNEL * row + column

// A word for each output channel, the weight of element j in bits 4j .. 4j + 3:
//
//   output channel  element  0   1   2   3   4
//   0                        1   7   2   2   6
//   1                       -8  -4   4   5  -5
//   2                        6  -8  -1  -4   5
//   3                        5  -6   4  -7  -1
static const ap_uint<20> FIRST_WEIGHTS[4] = {0x62271, 0xb54c8, 0x5cf86, 0xf94a5};
static const ap_int<15> FIRST_BIASES[4] = {10, -20, 30, 0};

struct FirstLayer {
  static constexpr int KERNEL = 3, STRIDE = 1, TOP = 1, LEFT = 1;
  static constexpr int HEIGHT = 4, WIDTH = 4, OUT_HEIGHT = 4, OUT_WIDTH = 4;
  static constexpr int TX = 1, PERIOD = 4, NONZEROS = 5, CHANNELS = 4;
  static constexpr int TO = 1, ROTATIONS = 1, TB = 1, FOLDS = 1, LANES_PER_OUTPUT = 5, PACKING = 1, SPACING = 11;
  static constexpr int ROUNDS = 1, BLOCK_SETS = 1, PIECES = 1, STEPS = 4;
  static constexpr int IN_BITS = 8, WEIGHT_BITS = 4, INDEX_BITS = 0, BIAS_BITS = 15, ACC_BITS = 15;
  static constexpr int OUT_BITS = 8, SCALE_BITS = 0, SHIFT = 3, LARGEST = 127;
  static constexpr bool HALVES_TO_EVEN = false;
  static constexpr int WINDOW_DEPTH = 2, COLUMN_DEPTH = 3;
  static constexpr bool CHANNELWISE = false, PACKS_PIXELS = false, RELU = true;

  static int variant(int element) {
#pragma HLS INLINE
    return FIRST_VARIANT[element];
  }
  static int tap(int element) {
#pragma HLS INLINE
    return FIRST_TAP[element];
  }
  static ap_uint<20> weights(int address) {
#pragma HLS INLINE
    return FIRST_WEIGHTS[address];
  }
  static ap_uint<15> biases(int step) {
#pragma HLS INLINE
    return FIRST_BIASES[step];
  }
};

// A dense 1x1 convolution of its outputs, 4 -> 2 channels. Dense means PERIOD = 1; TB = 4 input channels at once.
//
//   output channel  input channel  0   1   2   3
//   0                              5  -4  -3  -4
//   1                              3  -4   7  -1
static const ap_uint<16> SECOND_WEIGHTS[2] = {0xcdc5, 0xf7c3};
static const ap_int<15> SECOND_BIASES[2] = {5, -5};

struct SecondLayer {
  static constexpr int KERNEL = 1, STRIDE = 1, TOP = 0, LEFT = 0;
  static constexpr int HEIGHT = 4, WIDTH = 4, OUT_HEIGHT = 4, OUT_WIDTH = 4;
  static constexpr int TX = 1, PERIOD = 1, NONZEROS = 1, CHANNELS = 4;
  static constexpr int TO = 1, ROTATIONS = 1, TB = 4, FOLDS = 1, LANES_PER_OUTPUT = 4, PACKING = 1, SPACING = 11;
  static constexpr int ROUNDS = 1, BLOCK_SETS = 1, PIECES = 1, STEPS = 2;
  static constexpr int IN_BITS = 8, WEIGHT_BITS = 4, INDEX_BITS = 0, BIAS_BITS = 15, ACC_BITS = 15;
  static constexpr int OUT_BITS = 8, SCALE_BITS = 0, SHIFT = 4, LARGEST = 127;
  static constexpr bool HALVES_TO_EVEN = false;
  static constexpr int WINDOW_DEPTH = 4;
  static constexpr bool CHANNELWISE = false, PACKS_PIXELS = false, RELU = false;

  static int variant(int) {
#pragma HLS INLINE
    return 0;
  }
  static int tap(int) {
#pragma HLS INLINE
    return 0;
  }
  static ap_uint<16> weights(int address) {
#pragma HLS INLINE
    return SECOND_WEIGHTS[address];
  }
  static ap_uint<15> biases(int step) {
#pragma HLS INLINE
    return SECOND_BIASES[step];
  }
};

#endif
