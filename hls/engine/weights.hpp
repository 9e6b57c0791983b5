// SPDX-License-Identifier: Apache-2.0
//
// Where a processing element has its weights and biases: in ROMs, or in RAMs that are loaded between images.
#ifndef PSCONV_WEIGHTS_HPP
#define PSCONV_WEIGHTS_HPP

#include "geometry.hpp"

namespace psconv {

// MOST: iterations of a processing element for an image.
template <class C> struct Rom {
  static constexpr int MOST = Geometry<C>::ITERATIONS;

  bool ordered() const {
#pragma HLS INLINE
    return false;
  }
  void take(int, int, bool) const {
#pragma HLS INLINE
  }

  typename Geometry<C>::Weights weights(int address) const {
#pragma HLS INLINE
    return C::weights(address);
  }
  typename Geometry<C>::Biases biases(int step) const {
#pragma HLS INLINE
    return C::biases(step);
  }
};

template <class C> struct Ram {
  static constexpr int MOST = Geometry<C>::ITERATIONS + Geometry<C>::ROM_WORDS;  // with new weights

  hls::stream<ap_uint<1>>& orders;
  hls::stream<typename Geometry<C>::Load>& words;
  typename Geometry<C>::Weights* weight_ram;  // [ROM_WORDS]
  typename Geometry<C>::Biases* bias_ram;     // [STEPS]

  // Whether new weights come before the next image.
  bool ordered() const {
#pragma HLS INLINE
    return orders.read() != 0;
  }
  // Takes a word: weights, and above them the biases of a step, which count only where `first` says so.
  void take(int address, int step, bool first) const {
#pragma HLS INLINE
    const typename Geometry<C>::Load word = words.read();
    weight_ram[address] = word;
    if (first) bias_ram[step] = upper<C::TO * C::BIAS_BITS>(word);
  }
  typename Geometry<C>::Weights weights(int address) const {
#pragma HLS INLINE
    return weight_ram[address];
  }
  typename Geometry<C>::Biases biases(int step) const {
#pragma HLS INLINE
    return bias_ram[step];
  }
};

}  // namespace psconv

#endif
