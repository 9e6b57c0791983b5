// SPDX-License-Identifier: Apache-2.0
//
// The ring in memories, for window sets that come in pieces: one channel of each block after the other.
//
// Element e has a memory of its own for its tap of the PERIOD channels of a set, and of the next set. A lane
// of variant v needs channel (v - 1 - step) mod PERIOD: in place of the windows a ring of channel numbers
// turns, their addresses. No index is stored. Each bit of the ring of windows takes a LUT, to be loaded or
// turned; here each bit that is read takes one, as a memory of 32 words, and the others none.
#ifndef PSCONV_TURN_HPP
#define PSCONV_TURN_HPP

#include "ring.hpp"

namespace psconv {

constexpr int bits_for(int values) { return values <= 1 ? 0 : 1 + bits_for((values + 1) / 2); }

template <class C, bool USED = (C::PIECES > 1)> struct Turn {
  typedef Geometry<C> G;

  static constexpr int CHANNEL_BITS = bits_for(C::PERIOD);

  typedef ap_uint<CHANNEL_BITS> Channel;
  typedef Channel Channels[C::PERIOD];  // of each variant, in this step
  typedef ap_int<stored_bits(C::IN_BITS)> Memories[G::ELEMENTS][2 << CHANNEL_BITS];

  // For output channel 0 channel i has variant i + 1.
  static void start(Channels& channels) {
#pragma HLS INLINE
    for (int v = 0; v < C::PERIOD; ++v) {
#pragma HLS UNROLL
      channels[v] = (v + C::PERIOD - 1) % C::PERIOD;
    }
  }
  // For the next output channel the variant of every channel is one higher.
  static void next(Channels& channels) {
#pragma HLS INLINE
    const Channel last = channels[C::PERIOD - 1];
    for (int v = C::PERIOD - 1; v > 0; --v) {
#pragma HLS UNROLL
      channels[v] = channels[v - 1];
    }
    channels[0] = last;
  }
  // Channel `channel` of the window set in half `half`, to each element its tap.
  static void put(Memories& memories, const typename G::Window& window, int channel, bool half) {
#pragma HLS INLINE
    for (int e = 0; e < G::ELEMENTS; ++e) {
#pragma HLS UNROLL
      const int tap = C::tap(e % C::NONZEROS);
      // A window lists its taps column by column.
      const int place = tap % C::KERNEL * C::KERNEL + tap / C::KERNEL;
      memories[e][address(channel, half)] = field<C::IN_BITS>(window, place * C::TB + e / C::NONZEROS);
    }
  }
  // Of the window set in half `half`, the elements as the ring would have them.
  static void get(Ring<C>& ring, const Memories& memories, const Channels& channels, bool half) {
#pragma HLS INLINE
    for (int e = 0; e < G::ELEMENTS; ++e) {
#pragma HLS UNROLL
      const int lane = e % C::NONZEROS;
      const int v = C::variant(lane);
      ring[e / C::NONZEROS][v][C::tap(lane)] = memories[e][address(channels[v], half)];
    }
  }

 private:
  static ap_uint<CHANNEL_BITS + 1> address(const Channel& channel, bool half) {
#pragma HLS INLINE
    return concat(ap_uint<1>(half), channel);
  }
};

// Window sets that come whole: the ring itself turns.
template <class C> struct Turn<C, false> {
  typedef bool Channels[1];
  typedef bool Memories[1][1];

  static void start(Channels&) {
#pragma HLS INLINE
  }
  static void next(Channels&) {
#pragma HLS INLINE
  }
  static void put(Memories&, const typename Geometry<C>::Window&, int, bool) {
#pragma HLS INLINE
  }
  static void get(Ring<C>&, const Memories&, const Channels&, bool) {
#pragma HLS INLINE
  }
};

}  // namespace psconv

#endif
