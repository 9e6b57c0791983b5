// SPDX-License-Identifier: Apache-2.0
//
// Weights and biases in RAMs that are loaded between images.
//
// A processing element asks what it works on for weights(address), a word, and biases(step). A configuration
// with ROMs has both as static functions and is such an object itself; this is the other one.
//
// \tparam C  configuration of an engine (geometry.hpp)
#ifndef PSCONV_WEIGHTS_HPP
#define PSCONV_WEIGHTS_HPP

#include "nest.hpp"

namespace psconv {

template <class C> struct LoadedWeights {
  using G = Geometry<C>;

  typename G::Weights* weight_ram;  // [ROM_WORDS]
  typename G::Biases* bias_ram;     // [STEPS]

  typename G::Weights weights(int address) const {
#pragma HLS INLINE
    return weight_ram[address];
  }
  typename G::Biases biases(int step) const {
#pragma HLS INLINE
    return bias_ram[step];
  }
  // Takes new weights, in the order of their addresses. Above a word stand the biases of its step, which count
  // in the first fold of a step of the first block set.
  void reload(hls::stream<typename G::Load>& load_words) const {
#pragma HLS INLINE
    bool more = true;
    Nest<C> nest;
  words:
    do {
#pragma HLS PIPELINE II = 1
#pragma HLS LOOP_TRIPCOUNT min = G::ROM_WORDS max = G::ROM_WORDS
      const typename G::Load word = load_words.read();
      weight_ram[nest.address] = word;
      if (nest.first_block_set() && nest.first_fold()) bias_ram[nest.step] = upper<C::TO * C::BIAS_BITS>(word);
      more = !nest.ends_pixel();
      nest.next();
    } while (more);
  }
};

}  // namespace psconv

#endif
