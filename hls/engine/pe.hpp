// SPDX-License-Identifier: Apache-2.0
//
// The processing element: windows -> sums of TO output channels.
//
// Each iteration is one ROM word: MULTIPLIERS weights for each of TO output channels, which in the periodic
// engine share the ring's operands. Every multiplier has work in every iteration, as every (filter, block)
// pair has the same number of weights; the ROM address is a counter. Iterations of an image: PIXELS *
// BLOCK_SETS * STEPS * FOLDS.
//
// Where window sets come in pieces, those of the next set are put into memories during the first iterations
// of a set; for the first set of an image there are PIECES iterations more.
#ifndef PSCONV_PE_HPP
#define PSCONV_PE_HPP

#include "products.hpp"
#include "turn.hpp"
#include "weights.hpp"

namespace psconv {

template <class C> using Carried = ap_uint<stored_bits(Geometry<C>::SUMS_BITS)>;

// carried: sums from one block set to the next; vanishes if there is one set.
template <class C, class Store>
void multiply(const Store& store, Carried<C> (&carried)[C::STEPS],
              typename Geometry<C>::WindowStream& window_words,
              typename Geometry<C>::SumsStream& sum_words) {
#pragma HLS INLINE
  typedef Geometry<C> G;
  typedef Turn<C> T;
  typedef typename G::Accumulator Accumulator;
  typedef typename G::Sums Sums;
  const bool pieces = C::PIECES > 1;

  // Registers: any iteration may read and move all of them, and adds to all sums.
  Ring<C> ring;
#pragma HLS ARRAY_PARTITION variable=ring complete dim=0
  typename T::Channels channels;  // of this step: the memories' addresses, straight from registers
#pragma HLS ARRAY_PARTITION variable=channels complete dim=0
  T::start(channels);
  Accumulator sum[C::TO];  // over the folds of one step
#pragma HLS ARRAY_PARTITION variable=sum complete dim=0
  typename T::Memories taps;
#pragma HLS ARRAY_PARTITION variable=taps complete dim=1
#pragma HLS BIND_STORAGE variable=taps type=ram_s2p impl=lutram
  int address = 0, pixel = 0, b = 0, s = 0, f = 0;
  int p = 0;               // piece of the next window set
  bool taking = pieces;    // whether one comes in this iteration
  bool filling = pieces;   // the set is an image's first: there is no other to work on
  bool half = false;       // of the memories, the one with the set at work
  bool first = true, storing = false, more = true;

  // Where new weights are ordered they come first, in the iterations of one pixel more.
iterations:
  do {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=G::ITERATIONS max=Store::MOST
// A step's sums are stored in its last fold and loaded in its first fold of the next block set.
#pragma HLS DEPENDENCE variable=carried inter RAW distance=G::CARRY true
    if (first) storing = store.ordered();
    first = false;

    typename G::Weights word = 0;
    typename G::Biases biases = 0;
    if (storing) {
      store.take(address, s, b == 0 && f == 0);
    } else {
      word = store.weights(address);
      biases = store.biases(s);
      if (pieces) {
        T::get(ring, taps, channels, half);
        if (taking) T::put(taps, window_words.read(), p, !half);
      } else if (s == 0 && f == 0) {
        Operands<C>::load(ring, window_words.read());
      } else if (f == 0) {
        Operands<C>::next(ring);
      }
    }

    Sums start = 0;
    if (b > 0 && f == 0) start = carried[s];

    Accumulator dot[C::TO];
#pragma HLS ARRAY_PARTITION variable=dot complete dim=0
    dot_products<C>(word, ring, f, dot);

    Sums sums = 0;
  outputs:
    for (int k = 0; k < C::TO; ++k) {
#pragma HLS UNROLL
      if (f == 0) {
        sum[k] = b == 0 ? Accumulator(field<C::BIAS_BITS>(biases, k)) : field<C::ACC_BITS>(start, k);
      }
      sum[k] += dot[k];
      sums.range((k + 1) * C::ACC_BITS - 1, k * C::ACC_BITS) = sum[k];
    }

    const bool working = !storing && !filling;
    if (f == C::FOLDS - 1 && working) {
      if (b == C::BLOCK_SETS - 1) {
        sum_words.write(sums);
      } else {
        carried[s] = sums;
      }
    }

    // What the next iteration is.
    const bool filled = p == C::PIECES - 1;
    if (!storing) {
      p = filled ? 0 : p + 1;
      if (filled) taking = false;
    }
    if (filling && !storing) {
      if (filled) {
        filling = false;
        taking = G::PIXELS * C::BLOCK_SETS > 1;
        half = !half;
      }
    } else {
      address = address == G::ROM_WORDS - 1 ? 0 : address + 1;
      if (f != C::FOLDS - 1) {
        ++f;
      } else {
        f = 0;
        if (s != C::STEPS - 1) {
          ++s;
          T::next(channels);
        } else {
          s = 0;
          T::start(channels);
          const bool last_set = b == C::BLOCK_SETS - 1;
          if (working) {
            // The set after the next one is taken during the next one, if both are of this image.
            taking = pieces && (C::BLOCK_SETS == 1 ? pixel != G::PIXELS - 2
                                                    : pixel != G::PIXELS - 1 || b != C::BLOCK_SETS - 2);
            half = !half;
            p = 0;
            if (last_set) {
              more = pixel != G::PIXELS - 1;
              ++pixel;
            }
          }
          if (last_set) storing = false;
          b = last_set ? 0 : b + 1;
        }
      }
    }
  } while (more);
}

template <class C>
void pe(typename Geometry<C>::WindowStream& window_words,
        typename Geometry<C>::SumsStream& sum_words) {
  Carried<C> carried[C::STEPS];
  multiply<C>(Rom<C>(), carried, window_words, sum_words);
}

template <class C>
void pe(hls::stream<ap_uint<1>>& orders, hls::stream<typename Geometry<C>::Load>& load_words,
        typename Geometry<C>::WindowStream& window_words,
        typename Geometry<C>::SumsStream& sum_words) {
  static typename Geometry<C>::Biases biases[C::STEPS];  // kept from one image to the next, as the weights
#pragma HLS BIND_STORAGE variable=biases type=ram_s2p
  // Data say whether weights come, so how far a load of sums is from their store is not proved: the path from
  // one to the other has to fit a cycle, and block RAM takes half of that.
  Carried<C> sums_carried[C::STEPS];
#pragma HLS BIND_STORAGE variable=sums_carried type=ram_s2p impl=lutram
  if (C::ULTRA_WEIGHTS) {
    static typename Geometry<C>::Weights weights[Geometry<C>::ROM_WORDS];
#pragma HLS BIND_STORAGE variable=weights type=ram_s2p impl=uram
    const Ram<C> ram = {orders, load_words, weights, biases};
    multiply<C>(ram, sums_carried, window_words, sum_words);
  } else {
    static typename Geometry<C>::Weights weights[Geometry<C>::ROM_WORDS];
#pragma HLS BIND_STORAGE variable=weights type=ram_s2p
    const Ram<C> ram = {orders, load_words, weights, biases};
    multiply<C>(ram, sums_carried, window_words, sum_words);
  }
}

}  // namespace psconv

#endif
