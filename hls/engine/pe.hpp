// SPDX-License-Identifier: Apache-2.0
//
// The processing element: windows -> sums of the output channels of a step.
//
// Each iteration is one weight word: LANES_PER_OUTPUT weights for each of the OUTPUTS of a step, which in the
// periodic engine share the ring's operands. Every multiplier has work in every iteration, as every (filter, block)
// pair has the same number of weights; the address of the word is a counter. Iterations of an image: PIXEL_SETS *
// ROM_WORDS.
//
// Where window sets come channel by channel, there are PERIOD iterations more for the first set of an image;
// where new weights are loaded, ROM_WORDS iterations more.
//
// \tparam C        configuration of an engine (geometry.hpp)
// \tparam Weights  what gives weights(address) and biases(step): C itself, or LoadedWeights<C> (weights.hpp)
// \tparam MOST     iterations of an image, at most: with new weights before it
#ifndef PSCONV_PE_HPP
#define PSCONV_PE_HPP

#include "accumulate.hpp"
#include "nest.hpp"
#include "ring_in_memory.hpp"
#include "weights.hpp"

namespace psconv {

// Sums from one block set to the next, by steps; vanish if there is one set.
template <class C> using Carried = ap_uint<stored_bits(Geometry<C>::SUMS_BITS)>[Geometry<C>::ROUND_STEPS];

// An iteration: a weight word meets the ring, and the sums of its step go on or out.
template <class C, class Weights>
void multiply_accumulate(const Weights& weights, const Nest<C>& nest, const Ring<C>& ring, Accumulators<C>& sums,
                         Carried<C>& carried, typename Geometry<C>::SumsStream& sum_words) {
#pragma HLS INLINE
  const typename Geometry<C>::Weights word = weights.weights(nest.address);
  const typename Geometry<C>::Biases biases = weights.biases(nest.pixel_step());
  if (nest.first_fold()) {
    if (nest.first_block_set()) {
      begin_with_biases<C>(sums, biases);
    } else {
      begin_with_sums<C>(sums, carried[nest.step]);
    }
  }
  const typename Geometry<C>::Sums sum_word = accumulate<C>(sums, word, ring, nest.fold);
  if (nest.last_fold()) {
    if (nest.last_block_set()) {
      sum_words.write(sum_word);
    } else {
      carried[nest.step] = sum_word;
    }
  }
}

// The iterations of an image.
//
// \tparam IN_MEMORY  whether the ring is in memories, where window sets come channel by channel, or in registers
template <class C, bool IN_MEMORY = (C::PIECES > 1)> struct ProcessingElement {
  using G = Geometry<C>;

  template <int MOST, class Weights>
  static void run(Weights weights, Carried<C>& carried, typename G::WindowStream& window_words,
                  typename G::SumsStream& sum_words) {
#pragma HLS INLINE
    // Registers: any iteration may read and move all of them, and adds to all sums.
    Ring<C> ring;
#pragma HLS ARRAY_PARTITION variable = ring complete dim = 0
    Accumulators<C> sums;
#pragma HLS ARRAY_PARTITION variable = sums complete dim = 0

  words:
    for (Nest<C> nest; !nest.done;) {
#pragma HLS PIPELINE II = 1
#pragma HLS LOOP_TRIPCOUNT min = G::ITERATIONS max = MOST
// A step's sums are stored in its last fold and loaded in its first fold of the next block set.
#pragma HLS DEPENDENCE variable = carried inter RAW distance = G::CARRY true
      const bool works = !reload(weights, nest);
      if (works) {
        if (nest.begins_block_set()) {
          Operands<C>::load(ring, window_words.read());
        } else if (nest.first_fold()) {
          Operands<C>::next(ring);
        }
        multiply_accumulate<C>(weights, nest, ring, sums, carried, sum_words);
      }
      nest.next(works);
    }
  }
};

template <class C> struct ProcessingElement<C, true> {
  using G = Geometry<C>;
  using R = RingInMemory<C>;

  template <int MOST, class Weights>
  static void run(Weights weights, Carried<C>& carried, typename G::WindowStream& window_words,
                  typename G::SumsStream& sum_words) {
#pragma HLS INLINE
    typename R::Memories taps;
#pragma HLS ARRAY_PARTITION variable = taps complete dim = 1
#pragma HLS BIND_STORAGE variable = taps type = ram_s2p impl = lutram
    typename R::Channels channels;  // the memories' addresses, straight from registers
#pragma HLS ARRAY_PARTITION variable = channels complete dim = 0
    R::start(channels);
    Ring<C> ring;  // what is read from the memories: wires
#pragma HLS ARRAY_PARTITION variable = ring complete dim = 0
    Accumulators<C> sums;
#pragma HLS ARRAY_PARTITION variable = sums complete dim = 0
    Prefetch<C> prefetch;

  words:
    for (Nest<C> nest; !nest.done;) {
#pragma HLS PIPELINE II = 1
#pragma HLS LOOP_TRIPCOUNT min = G::ITERATIONS max = MOST
// A step's sums are stored in its last fold and loaded in its first fold of the next block set.
#pragma HLS DEPENDENCE variable = carried inter RAW distance = G::CARRY true
      const bool reloads = reload(weights, nest);
      const bool works = !reloads && !prefetch.filling;
      if (!reloads) {
        R::get(ring, taps, channels, prefetch.bank);
        if (prefetch.active) R::put(taps, window_words.read(), prefetch.channel, !prefetch.bank);
        if (works) {
          multiply_accumulate<C>(weights, nest, ring, sums, carried, sum_words);
          if (nest.ends_block_set()) {
            R::start(channels);
          } else if (nest.last_fold()) {
            R::rotate(channels);
          }
        }
        prefetch.next(nest);
      }
      if (reloads || works) nest.next(works);
    }
  }
};

// With weights in ROMs.
template <class C>
void pe(typename Geometry<C>::WindowStream& window_words, typename Geometry<C>::SumsStream& sum_words) {
  Carried<C> carried;
  ProcessingElement<C>::template run<Geometry<C>::ITERATIONS>(C(), carried, window_words, sum_words);
}

// With weights that are loaded.
//
// reload_requests: for each image, whether new weights come before it.
// load_words: those weights, as LoadedWeights takes them.
template <class C>
void pe(hls::stream<ap_uint<1>>& reload_requests, hls::stream<typename Geometry<C>::Load>& load_words,
        typename Geometry<C>::WindowStream& window_words, typename Geometry<C>::SumsStream& sum_words) {
  using G = Geometry<C>;

  static typename G::Biases biases[C::STEPS];  // kept from one image to the next, as the weights
#pragma HLS BIND_STORAGE variable = biases type = ram_s2p
  // Data say whether weights come, so how far a load of sums is from their store is not proved: the path from
  // one to the other has to fit a cycle, and block RAM takes half of that.
  Carried<C> carried;
#pragma HLS BIND_STORAGE variable = carried type = ram_s2p impl = lutram
  const bool reloading = reload_requests.read() != 0;
  if (C::ULTRA_WEIGHTS) {  // a pragma cannot depend on a constant, so the array is declared once for each memory
    static typename G::Weights weights[G::ROM_WORDS];
#pragma HLS BIND_STORAGE variable = weights type = ram_s2p impl = uram
    const LoadedWeights<C> loaded = {load_words, weights, biases, reloading};
    ProcessingElement<C>::template run<G::ITERATIONS + G::ROM_WORDS>(loaded, carried, window_words, sum_words);
  } else {
    static typename G::Weights weights[G::ROM_WORDS];
#pragma HLS BIND_STORAGE variable = weights type = ram_s2p
    const LoadedWeights<C> loaded = {load_words, weights, biases, reloading};
    ProcessingElement<C>::template run<G::ITERATIONS + G::ROM_WORDS>(loaded, carried, window_words, sum_words);
  }
}

}  // namespace psconv

#endif
