// SPDX-License-Identifier: Apache-2.0
//
// The processing element whose weights come from outside, each once an image.
//
// The nest of pe.hpp turned round: pixels are innermost, so a weight word is read once and meets all pixels,
// and it is the windows of the whole image that are held, in a RAM. Each window turns on its way through the
// multipliers and is stored again: the ring turns in memory, the lanes are wired to it as ever, and the
// address is a counter. Sums of all pixels are carried in a RAM, too.
//
// The first turn takes the windows in; each later one is a fold of a step, over all block sets and pixels.
// Iterations of an image: PIXELS * BLOCK_SETS * (1 + STEPS * FOLDS).
#ifndef PSCONV_STREAMED_PE_HPP
#define PSCONV_STREAMED_PE_HPP

#include "products.hpp"

namespace psconv {

// weight_words: AXI4-Stream beats, word (s * FOLDS + f) * BLOCK_SETS + b.
// sum_words: in each step those of all pixels, one after the other.
template <class C, class W>
void streamed_pe(hls::stream<W>& weight_words, typename Geometry<C>::WindowStream& window_words,
                 typename Geometry<C>::SumsStream& sum_words) {
  static_assert(C::INDEX_BITS == 0, "indices choose among windows that do not turn");
  typedef Geometry<C> G;
  typedef typename G::Accumulator Accumulator;
  typedef typename G::Sums Sums;

  const int words = C::BLOCK_SETS * G::PIXELS;
  const int last_set = words - G::PIXELS;

  typename G::Window windows[C::BLOCK_SETS * G::PIXELS];  // block set b of pixel p: b * PIXELS + p
  Sums carried[G::PIXELS];
#pragma HLS BIND_STORAGE variable=windows type=ram_s2p
#pragma HLS BIND_STORAGE variable=carried type=ram_s2p
  typename G::Weights word = 0;
  int place = 0;   // in order: block sets, in them pixels
  int arrival = 0;  // in the order in which windows come: pixels, in them block sets
  int step = 0, fold = 0;

turns:
  for (int turn = 0; turn < G::TURNS; ++turn) {
  block_sets:
    for (int b = 0; b < C::BLOCK_SETS; ++b) {
    pixels:
      for (int pixel = 0; pixel < G::PIXELS; ++pixel) {
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=windows inter RAW distance=G::WAITING true
#pragma HLS DEPENDENCE variable=carried inter RAW distance=G::PIXELS true
        const bool loading = turn == 0;
        const int address = loading ? arrival : place;
        typename G::Window window = windows[address];
        if (loading) window = window_words.read();
        if (!loading && pixel == 0) word = payload<G::ROM_BITS>(weight_words.read());

        Ring<C> ring;
#pragma HLS ARRAY_PARTITION variable=ring complete dim=0
        load<C>(ring, window, 0);
        if (loading || fold == C::FOLDS - 1) windows[address] = turned<C>(window);

        const bool first = fold == 0 && b == 0;
        const bool last = fold == C::FOLDS - 1 && b == C::BLOCK_SETS - 1;
        const typename G::Biases biases = C::biases(step);
        const Sums before = carried[pixel];

        Accumulator dot[C::TO];
#pragma HLS ARRAY_PARTITION variable=dot complete dim=0
        dot_products<C>(word, ring, fold, dot);

        Sums sums = 0;
      outputs:
        for (int k = 0; k < C::TO; ++k) {
#pragma HLS UNROLL
          const Accumulator start =
              first ? Accumulator(field<C::BIAS_BITS>(biases, k)) : field<C::ACC_BITS>(before, k);
          sums.range((k + 1) * C::ACC_BITS - 1, k * C::ACC_BITS) = Accumulator(start + dot[k]);
        }
        carried[pixel] = sums;
        if (last && !loading) sum_words.write(sums);

        const bool turn_ends = place == words - 1;
        if (turn_ends && !loading) {
          if (fold == C::FOLDS - 1) ++step;
          fold = fold == C::FOLDS - 1 ? 0 : fold + 1;
        }
        place = turn_ends ? 0 : place + 1;
        arrival = arrival < last_set ? arrival + G::PIXELS : arrival - last_set + 1;
      }
    }
  }
}

}  // namespace psconv

#endif
