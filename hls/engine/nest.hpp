// SPDX-License-Identifier: Apache-2.0
//
// The loop nest of the processing element:
//
//   for pixel in PIXEL_SETS
//     for round in ROUNDS
//       for block_set in ROUND_SETS
//         for step in ROUND_STEPS
//           for fold in FOLDS
//
// It is written as one loop with these counters, not as five: Vitis HLS removes a loop that runs once, such as
// that of FOLDS = 1, and a PIPELINE inside it may go with it.
#ifndef PSCONV_NEST_HPP
#define PSCONV_NEST_HPP

#include "geometry.hpp"
#include "index.hpp"

namespace psconv {

template <class C> struct Nest;

// Which of several rounds a nest is in.
//
// \tparam C        configuration of an engine (geometry.hpp)
// \tparam SEVERAL  whether there are several; of one nothing is counted
template <class C, bool SEVERAL = (C::ROUNDS > 1)> struct Rounds {
  Index<C::ROUNDS> round;
  Index<C::STEPS> begun;  // steps of this pixel whose sums are begun

  Rounds() : round(0), begun(0) {
#pragma HLS INLINE
  }
  bool last() const {
#pragma HLS INLINE
    return round == C::ROUNDS - 1;
  }
  bool last_but_one() const {
#pragma HLS INLINE
    return round == C::ROUNDS - 2;
  }
  // While sums begin: the number of a step of the round among the steps of all rounds.
  Index<C::STEPS> pixel_step(const Index<Geometry<C>::ROUND_STEPS>&) const {
#pragma HLS INLINE
    return begun;
  }
  // After an iteration of `nest`.
  void next(const Nest<C>& nest) {
#pragma HLS INLINE
    count<C::ROUNDS>(round, nest.ends_round());
    count<C::STEPS>(begun, nest.last_fold() && nest.first_block_set());
  }
};

template <class C> struct Rounds<C, false> {
  bool last() const {
#pragma HLS INLINE
    return true;
  }
  bool last_but_one() const {
#pragma HLS INLINE
    return false;
  }
  Index<C::STEPS> pixel_step(const Index<C::STEPS>& step) const {
#pragma HLS INLINE
    return step;
  }
  void next(const Nest<C>&) {
#pragma HLS INLINE
  }
};

// Where the nest is. `for (Nest<C> nest; !nest.done; nest.next())` goes through an image.
//
// \tparam C  configuration of an engine (geometry.hpp)
template <class C> struct Nest {
  using G = Geometry<C>;

  Index<G::PIXEL_SETS> pixel;      // or set of TX pixels
  Index<G::ROUND_SETS> block_set;  // of the round
  Index<G::ROUND_STEPS> step;      // of the round
  Index<C::FOLDS> fold;
  Index<G::ROM_WORDS> address;  // of the weight word: of a pixel's iterations this one
  bool done;
  Rounds<C> rounds;

  Nest() : pixel(0), block_set(0), step(0), fold(0), address(0), done(false) {
#pragma HLS INLINE
  }
  // Where the sums of a step begin, in the first block set of a round: its number among the steps of all rounds.
  Index<C::STEPS> pixel_step() const {
#pragma HLS INLINE
    return rounds.pixel_step(step);
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
    return block_set == G::ROUND_SETS - 1;
  }
  // Whether a block set's iterations begin here.
  bool begins_block_set() const {
#pragma HLS INLINE
    return step == 0 && first_fold();
  }
  // Whether they end here.
  bool ends_block_set() const {
#pragma HLS INLINE
    return step == G::ROUND_STEPS - 1 && last_fold();
  }
  // Whether the block set at work is the image's last but one.
  bool last_block_set_but_one() const {
#pragma HLS INLINE
    if (C::BLOCK_SETS == 1) return pixel == G::PIXEL_SETS - 2;
    if (G::ROUND_SETS == 1) return pixel == G::PIXEL_SETS - 1 && rounds.last_but_one();
    return pixel == G::PIXEL_SETS - 1 && block_set == G::ROUND_SETS - 2 && rounds.last();
  }
  bool ends_round() const {
#pragma HLS INLINE
    return ends_block_set() && last_block_set();
  }
  bool ends_pixel() const {
#pragma HLS INLINE
    return ends_round() && rounds.last();
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
    rounds.next(*this);
    count<C::FOLDS>(fold);
    count<G::ROUND_STEPS>(step, step_ends);
    count<G::ROUND_SETS>(block_set, set_ends);
    if (works && pixel_ends) ++pixel;  // no return to 0: the nest ends with the last one
    ++address;
    if (pixel_ends) address = 0;  // as the other counters: no comparison of its own
  }
};

}  // namespace psconv

#endif
