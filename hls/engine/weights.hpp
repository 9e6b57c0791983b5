// SPDX-License-Identifier: Apache-2.0
//
// Where a processing element has its weights and biases: an object with weights(address), a word, and biases(step).
// A configuration with ROMs has both as static functions and is such an object itself; LoadedWeights are RAMs that
// are loaded between images.
//
// \tparam C  configuration of an engine (geometry.hpp)
#ifndef PSCONV_WEIGHTS_HPP
#define PSCONV_WEIGHTS_HPP

#include "nest.hpp"

namespace psconv {

template <class C> struct LoadedWeights {
  using G = Geometry<C>;

  hls::stream<typename G::Load>& load_words;
  typename G::Weights* weight_ram;  // [ROM_WORDS]
  typename G::Biases* bias_ram;     // [STEPS]
  bool reloading;                   // new weights come before the image

  typename G::Weights weights(int address) const {
#pragma HLS INLINE
    return weight_ram[address];
  }
  typename G::Biases biases(int step) const {
#pragma HLS INLINE
    return bias_ram[step];
  }
};

// Whether an iteration takes a weight word, in place of its work. They come in the order of a pixel's
// iterations. Above a word stand the biases of its step, which count in the first fold of a
// step of a round's first block set.
template <class C> bool reload(LoadedWeights<C>& loaded, const Nest<C>& nest) {
#pragma HLS INLINE
  const bool reloads = loaded.reloading;
  if (reloads) {
    const typename Geometry<C>::Load word = loaded.load_words.read();
    loaded.weight_ram[nest.address] = word;
    if (nest.first_block_set() && nest.first_fold()) {
      loaded.bias_ram[nest.pixel_step()] = upper<Geometry<C>::OUTPUTS * C::BIAS_BITS>(word);
    }
    loaded.reloading = !nest.ends_pixel();
  }
  return reloads;
}

// ROMs keep their words: every iteration works.
template <class C> bool reload(const C&, const Nest<C>&) {
#pragma HLS INLINE
  return false;
}

}  // namespace psconv

#endif
