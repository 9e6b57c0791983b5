// SPDX-License-Identifier: Apache-2.0
//
// What the multipliers work on: out of the ring, or chosen by an index beside each weight.
//
// The indexed engine is what the periodic one is compared with. It holds the windows of a block set for all
// output channels, and each multiplier has a multiplexer over all their taps: it runs any support that has
// NONZEROS weights in each block of each filter.
//
// \tparam C        configuration of an engine (geometry.hpp)
// \tparam INDEXED  whether an index chooses
#ifndef PSCONV_OPERANDS_HPP
#define PSCONV_OPERANDS_HPP

#include "ring.hpp"

namespace psconv {

// Periodic: constant places of a register that turns.
template <class C, bool INDEXED = (C::INDEX_BITS > 0)> struct Operands {
  using G = Geometry<C>;

  static void load(Ring<C>& ring, const typename G::Window& window) {
#pragma HLS INLINE
    psconv::load_ring<C>(ring, window, 1);  // for output channel 0 channel i has variant i + 1
  }
  static void next(Ring<C>& ring) {
#pragma HLS INLINE
    rotate_ring<C>(ring);
  }
  static typename G::Activation at(const Ring<C>& ring, const ap_uint<G::ROM_BITS>&, int t, int k, int j, int fold) {
#pragma HLS INLINE
    return operand<C>(ring, k / C::TO, t, j, fold);
  }
};

// Indexed: registers that stand still, and a tree of multiplexers before each multiplier, a level for each
// bit of the index.
template <class C> struct Operands<C, true> {
  using G = Geometry<C>;
  using Activation = typename G::Activation;

  static constexpr int TAPS = C::KERNEL * C::KERNEL;
  static constexpr int WORDS = C::TB * C::PERIOD * TAPS;  // of a pixel

  static void load(Ring<C>& held, const typename G::Window& window) {
#pragma HLS INLINE
    psconv::load_ring<C>(held, window, 0);
  }
  static void next(Ring<C>&) {
#pragma HLS INLINE
  }
  static Activation at(const Ring<C>& held, const ap_uint<G::ROM_BITS>& word, int t, int k, int j, int) {
#pragma HLS INLINE
    const int low = G::WEIGHTS_BITS + (k * C::LANES_PER_OUTPUT + j) * C::INDEX_BITS;
    const ap_uint<C::INDEX_BITS> index = word.range(low + C::INDEX_BITS - 1, low);
    return Choice<C::INDEX_BITS, 0>::of(held, index, t);
  }

 private:
  // One of the 2^BITS words from BASE on, as the low BITS bits of the index say.
  template <int BITS, int BASE> struct Choice {
    static constexpr int MIDDLE = BASE + (1 << (BITS - 1));

    static Activation of(const Ring<C>& held, const ap_uint<C::INDEX_BITS>& index, int t) {
#pragma HLS INLINE
      const Activation low = Choice<BITS - 1, BASE>::of(held, index, t);
      // No index is as large as WORDS.
      const Activation high = Choice<BITS - 1, (MIDDLE < WORDS ? MIDDLE : BASE)>::of(held, index, t);
      return MIDDLE < WORDS && index[BITS - 1] ? high : low;
    }
  };
  template <int BASE> struct Choice<0, BASE> {
    static Activation of(const Ring<C>& held, const ap_uint<C::INDEX_BITS>&, int t) {
#pragma HLS INLINE
      return held[BASE / TAPS / C::PERIOD][BASE / TAPS % C::PERIOD][activation_of<C>(BASE % TAPS, t)];
    }
  };
};

}  // namespace psconv

#endif
