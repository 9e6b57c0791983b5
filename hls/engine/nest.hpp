// SPDX-License-Identifier: Apache-2.0
//
// The loop nest of the processing element:
//
//   for pixel in PIXEL_SETS
//     for block_set in BLOCK_SETS
//       for step in STEPS
//         for fold in FOLDS
//
// It is written as one loop with these counters, not as four: Vitis HLS removes a loop that runs once, such as
// that of FOLDS = 1, and a PIPELINE inside it may go with it.
#ifndef PSCONV_NEST_HPP
#define PSCONV_NEST_HPP

#include "geometry.hpp"
#include "index.hpp"

namespace psconv {

// Where the nest is. `for (Nest<C> nest; !nest.done; nest.next())` goes through an image.
//
// \tparam C  configuration of an engine (geometry.hpp)
template <class C> struct Nest {
  using G = Geometry<C>;

  Index<G::PIXEL_SETS> pixel;  // or set of TX pixels
  Index<C::BLOCK_SETS> block_set;
  Index<C::STEPS> step;
  Index<C::FOLDS> fold;
  Index<G::ROM_WORDS> address;  // of the weight word: (block_set * STEPS + step) * FOLDS + fold
  bool done;

  Nest() : pixel(0), block_set(0), step(0), fold(0), address(0), done(false) {
#pragma HLS INLINE
  }
  bool first_fold() const {
#pragma HLS INLINE
    return fold == 0;
  }
  bool last_fold() const {
#pragma HLS INLINE
    return fold == C::FOLDS - 1;
  }
  bool first_block_set() const {
#pragma HLS INLINE
    return block_set == 0;
  }
  bool last_block_set() const {
#pragma HLS INLINE
    return block_set == C::BLOCK_SETS - 1;
  }
  // Whether a block set's iterations begin here.
  bool begins_block_set() const {
#pragma HLS INLINE
    return step == 0 && first_fold();
  }
  // Whether they end here.
  bool ends_block_set() const {
#pragma HLS INLINE
    return step == C::STEPS - 1 && last_fold();
  }
  bool ends_pixel() const {
#pragma HLS INLINE
    return ends_block_set() && last_block_set();
  }
  // Whether it is the image's last iteration.
  bool last() const {
#pragma HLS INLINE
    return ends_pixel() && pixel == G::PIXEL_SETS - 1;
  }
  // Without `works` the iteration is none of the nest's, though it counts like those of a pixel.
  void next(bool works = true) {
#pragma HLS INLINE
    const bool step_ends = last_fold(), set_ends = ends_block_set(), pixel_ends = ends_pixel();
    done = works && last();
    count<C::FOLDS>(fold);
    count<C::STEPS>(step, step_ends);
    count<C::BLOCK_SETS>(block_set, set_ends);
    if (works && pixel_ends) ++pixel;  // no return to 0: the nest ends with the last one
    ++address;
    if (pixel_ends) address = 0;  // as the other counters: no comparison of its own
  }
};

}  // namespace psconv

#endif
