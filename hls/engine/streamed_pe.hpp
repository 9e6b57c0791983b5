// SPDX-License-Identifier: Apache-2.0
//
// The processing element whose weights come from outside, each once an image.
//
// The nest of pe.hpp turned round: pixels are innermost, so a weight word is read once and meets all pixels,
// and it is the windows of the whole image that are held, in a RAM. Each window turns on its way through the
// multipliers and is stored again: the ring turns in memory, the lanes are wired to it as ever, and the
// address is a counter. Sums of all pixels are carried in a RAM, too.
//
// Iterations of an image: PIXEL_SETS * BLOCK_SETS in which the windows come, then PIXEL_SETS * ROM_WORDS.
#ifndef PSCONV_STREAMED_PE_HPP
#define PSCONV_STREAMED_PE_HPP

#include "accumulate.hpp"
#include "index.hpp"

namespace psconv {

// Where the next window that comes is put: they come pixel by pixel, and are kept block set by block set.
//
// \tparam C  configuration of an engine (geometry.hpp)
template <class C> struct Arrival {
  using G = Geometry<C>;

  Index<C::BLOCK_SETS> block_set;
  Index<G::IMAGE_WINDOWS> address;  // block_set * PIXEL_SETS + pixel
  bool done;

  Arrival() : block_set(0), address(0), done(false) {
#pragma HLS INLINE
  }
  void next() {
#pragma HLS INLINE
    done = address == G::IMAGE_WINDOWS - 1;
    if (block_set == C::BLOCK_SETS - 1) {
      address -= (C::BLOCK_SETS - 1) * G::PIXEL_SETS - 1;
    } else {
      address += G::PIXEL_SETS;
    }
    count<C::BLOCK_SETS>(block_set);
  }
};

// The windows that the nest goes over: those of a round once for each fold of its steps, then those of the next.
//
// \tparam C        configuration of an engine (geometry.hpp)
// \tparam SEVERAL  whether there are several rounds
template <class C, bool SEVERAL = (C::ROUNDS > 1)> struct RoundWindows {
  using G = Geometry<C>;

  Index<G::ROUND_STEPS> step;  // of the round

  RoundWindows() : step(0) {
#pragma HLS INLINE
  }
  void next(Index<G::IMAGE_WINDOWS>& address, bool fold_ends, bool step_ends) {
#pragma HLS INLINE
    const bool round_ends = step_ends && step == G::ROUND_STEPS - 1;
    if (fold_ends && !round_ends) {
      address -= G::ROUND_WINDOWS - 1;
    } else {
      count<G::IMAGE_WINDOWS>(address);
    }
    count<G::ROUND_STEPS>(step, step_ends);
  }
};

template <class C> struct RoundWindows<C, false> {
  using G = Geometry<C>;

  void next(Index<G::IMAGE_WINDOWS>& address, bool, bool) {
#pragma HLS INLINE
    count<G::IMAGE_WINDOWS>(address);
  }
};

// Where the nest is:
//
//   for step in STEPS, of all rounds
//     for fold in FOLDS
//       for block_set in ROUND_SETS
//         for pixel in PIXEL_SETS
//
// \tparam C  configuration of an engine (geometry.hpp)
template <class C> struct StreamedNest {
  using G = Geometry<C>;

  Index<C::STEPS> step;
  Index<C::FOLDS> fold;
  Index<G::ROUND_SETS> block_set;  // of the round
  Index<G::PIXEL_SETS> pixel;
  Index<G::IMAGE_WINDOWS> address;  // (round * ROUND_SETS + block_set) * PIXEL_SETS + pixel
  bool done;
  RoundWindows<C> windows;

  StreamedNest() : step(0), fold(0), block_set(0), pixel(0), address(0), done(false) {
#pragma HLS INLINE
  }
  bool first_pixel() const {
#pragma HLS INLINE
    return pixel == 0;
  }
  bool last_fold() const {
#pragma HLS INLINE
    return fold == C::FOLDS - 1;
  }
  // Whether a step's sums begin here.
  bool begins_sums() const {
#pragma HLS INLINE
    return fold == 0 && block_set == 0;
  }
  // Whether they end here.
  bool ends_sums() const {
#pragma HLS INLINE
    return last_fold() && block_set == G::ROUND_SETS - 1;
  }
  void next() {
#pragma HLS INLINE
    const bool set_ends = pixel == G::PIXEL_SETS - 1;
    const bool fold_ends = set_ends && block_set == G::ROUND_SETS - 1;
    const bool step_ends = fold_ends && last_fold();
    done = step_ends && step == C::STEPS - 1;
    windows.next(address, fold_ends, step_ends);
    count<G::PIXEL_SETS>(pixel);
    count<G::ROUND_SETS>(block_set, set_ends);
    count<C::FOLDS>(fold, fold_ends);
    count<C::STEPS>(step, step_ends);
  }
};

// weight_words: word (step * FOLDS + fold) * ROUND_SETS + block_set, each once an image.
// sum_words: in each step those of all pixels, one after the other.
//
// \tparam C           configuration of an engine (geometry.hpp)
// \tparam WeightBeat  AXI4-Stream beat, or ap_uint, that carries a weight word
template <class C, class WeightBeat>
void streamed_pe(hls::stream<WeightBeat>& weight_words, typename Geometry<C>::WindowStream& window_words,
                 typename Geometry<C>::SumsStream& sum_words) {
  static_assert(C::INDEX_BITS == 0, "indices choose among windows that do not turn");
  using G = Geometry<C>;

  typename G::Window windows[G::IMAGE_WINDOWS];
#pragma HLS BIND_STORAGE variable = windows type = ram_s2p
  typename G::Sums carried[G::PIXEL_SETS];
#pragma HLS BIND_STORAGE variable = carried type = ram_s2p
arrivals:
  for (Arrival<C> arrival; !arrival.done; arrival.next()) {
#pragma HLS PIPELINE II = 1
#pragma HLS LOOP_TRIPCOUNT min = G::IMAGE_WINDOWS max = G::IMAGE_WINDOWS
    windows[arrival.address] = rotated<C, 1>(window_words.read());
  }

  typename G::Weights word = 0;
words:
  for (StreamedNest<C> nest; !nest.done; nest.next()) {
#pragma HLS PIPELINE II = 1
#pragma HLS LOOP_TRIPCOUNT min = G::STREAMED_ITERATIONS max = G::STREAMED_ITERATIONS
#pragma HLS DEPENDENCE variable = windows inter RAW distance = G::ROUND_WINDOWS true
#pragma HLS DEPENDENCE variable = carried inter RAW distance = G::PIXEL_SETS true
    if (nest.first_pixel()) word = payload<G::ROM_BITS>(weight_words.read());
    const typename G::Window window = windows[nest.address];
    if (nest.last_fold()) windows[nest.address] = rotated<C, C::ROTATIONS>(window);

    Ring<C> ring;
#pragma HLS ARRAY_PARTITION variable = ring complete dim = 0
    load_ring<C>(ring, window, 0);
    Accumulators<C> sums;
#pragma HLS ARRAY_PARTITION variable = sums complete dim = 0
    if (nest.begins_sums()) {
      begin_with_biases<C>(sums, C::biases(nest.step));
    } else {
      begin_with_sums<C>(sums, carried[nest.pixel]);
    }
    const typename G::Sums sum_word = accumulate<C>(sums, word, ring, nest.fold);
    carried[nest.pixel] = sum_word;
    if (nest.ends_sums()) sum_words.write(sum_word);
  }
}

}  // namespace psconv

#endif
