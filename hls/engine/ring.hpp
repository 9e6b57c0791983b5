// SPDX-License-Identifier: Apache-2.0
//
// The ring register: the windows of PERIOD input channels (times TB blocks), turned by ROTATIONS channels from one
// step to the next.
//
// The kernel of output channel o and input channel i has variant v(o, i) = (o + i + 1) mod PERIOD. Position
// v of the ring always holds the channel whose variant is v for the step's first output channel, and position v - r
// the one whose variant is v for output channel r after it. So an element of the support, which is a (variant, tap), is
// wired to one position for each r, for ever: no index, no multiplexer, no decoder. Where a step has PERIOD
// neighbouring output channels the ring does not even turn.
//
// \tparam C  configuration of an engine (geometry.hpp)
#ifndef PSCONV_RING_HPP
#define PSCONV_RING_HPP

#include "geometry.hpp"

namespace psconv {

// An activation of the windows: row * SPAN + column.
template <class C> using Ring = typename Geometry<C>::Activation[C::TB][C::PERIOD][C::KERNEL * Geometry<C>::SPAN];

// The activation that a tap meets for pixel t of TX.
template <class C> int activation_of(int tap, int t) {
#pragma HLS INLINE
  return tap / C::KERNEL * Geometry<C>::SPAN + tap % C::KERNEL + t * C::STRIDE;
}

// Where the ring holds what an element works on for an output channel that is `rotation` after the step's first, or
// CHANNELWISE for those of input channel `rotation`.
template <class C> int place(int number, int rotation) {
#pragma HLS INLINE
  return C::CHANNELWISE ? (rotation + 1) % C::PERIOD : (C::variant(number) + C::PERIOD - rotation) % C::PERIOD;
}

// Channel i goes to position i + rotated_by. A window lists its taps column by column.
template <class C> void load_ring(Ring<C>& ring, const typename Geometry<C>::Window& window, int rotated_by) {
#pragma HLS INLINE
  for (int block = 0; block < C::TB; ++block) {
#pragma HLS UNROLL
    for (int i = 0; i < C::PERIOD; ++i) {
#pragma HLS UNROLL
      for (int row = 0; row < C::KERNEL; ++row) {
#pragma HLS UNROLL
        for (int column = 0; column < Geometry<C>::SPAN; ++column) {
#pragma HLS UNROLL
          const int beat = column * C::KERNEL + row;
          ring[block][(i + rotated_by) % C::PERIOD][row * Geometry<C>::SPAN + column] =
              field<C::IN_BITS>(window, (beat * C::TB + block) * C::PERIOD + i);
        }
      }
    }
  }
}

// For the next step the variant of every channel is ROTATIONS higher.
template <class C> void rotate_ring(Ring<C>& ring) {
#pragma HLS INLINE
  for (int block = 0; block < C::TB; ++block) {
#pragma HLS UNROLL
    for (int tap = 0; tap < C::KERNEL * Geometry<C>::SPAN; ++tap) {
#pragma HLS UNROLL
      typename Geometry<C>::Activation turned[C::PERIOD];
#pragma HLS ARRAY_PARTITION variable = turned complete dim = 0
      for (int v = 0; v < C::PERIOD; ++v) {
#pragma HLS UNROLL
        turned[(v + C::ROTATIONS) % C::PERIOD] = ring[block][v][tap];
      }
      for (int v = 0; v < C::PERIOD; ++v) {
#pragma HLS UNROLL
        ring[block][v][tap] = turned[v];
      }
    }
  }
}

// The same as a word: a window with every channel PLACES positions higher. A window that is turned is a ring as
// it lies in memory: `load_ring` takes it as it stands.
template <class C, int PLACES> typename Geometry<C>::Window rotated(const typename Geometry<C>::Window& window) {
#pragma HLS INLINE
  if (PLACES % C::PERIOD == 0) return window;
  const int MOVED = PLACES * C::IN_BITS;
  typename Geometry<C>::Window first = 0;  // ones where the first PLACES positions of each block and tap lie
  for (int tap = 0; tap < C::KERNEL * Geometry<C>::SPAN; ++tap) {
#pragma HLS UNROLL
    for (int block = 0; block < C::TB; ++block) {
#pragma HLS UNROLL
      const int low = (tap * C::TB + block) * C::PERIOD * C::IN_BITS;
      first.range(low + MOVED - 1, low) = ap_uint<MOVED>(-1);
    }
  }
  return ((window << MOVED) & ~first) | ((window >> (C::PERIOD * C::IN_BITS - MOVED)) & first);
}

// What lane j of the outputs of a rotation works on for pixel t in a fold: element fold * LANES_PER_OUTPUT + j, a
// constant place if there is one fold.
template <class C> typename Geometry<C>::Activation operand(const Ring<C>& ring, int rotation, int t, int j, int fold) {
#pragma HLS INLINE
  typename Geometry<C>::Activation activation = 0;
  for (int g = 0; g < C::FOLDS; ++g) {
#pragma HLS UNROLL
    const int element = g * C::LANES_PER_OUTPUT + j;
    const int block = element / C::NONZEROS, number = element % C::NONZEROS;
    // Beyond the last element the weight is zero and any activation will do: the one of the fold before
    // stays.
    if (element < C::NONZEROS * C::TB && (g == 0 || fold == g))
      activation = ring[block][place<C>(number, rotation)][activation_of<C>(C::tap(number), t)];
  }
  return activation;
}

}  // namespace psconv

#endif
