// SPDX-License-Identifier: Apache-2.0
//
// The ring in memories, for window sets that come channel by channel.
//
// Each place of the ring that lanes are wired to has a memory of its own with two banks: its tap of the PERIOD
// channels of the set at work, and of the next set. Position v needs channel (v - 1 - step * ROTATIONS) mod PERIOD:
// in place of the windows a ring of channel numbers turns, their addresses. No index is stored. Each bit of the ring
// of windows takes a LUT, to be loaded or turned; here each bit that is read takes one, as a memory of 32 words, and
// the others none.
//
// Here there is one for each element of each rotation and pixel; of those that stand for one place all but the last
// are never looked at, so no tool builds them.
//
// \tparam C  configuration of an engine (geometry.hpp)
#ifndef PSCONV_RING_IN_MEMORY_HPP
#define PSCONV_RING_IN_MEMORY_HPP

#include "nest.hpp"
#include "ring.hpp"

namespace psconv {

template <class C> struct RingInMemory {
  using G = Geometry<C>;

  using Channel = ap_uint<bits_for(C::PERIOD)>;
  using Channels = Channel[C::PERIOD];  // at each place of the ring, in this step
  using Memories = ap_int<stored_bits(C::IN_BITS)>[C::TX * C::ROTATIONS * G::ELEMENTS][2 << bits_for(C::PERIOD)];

  // For output channel 0 channel i has variant i + 1.
  static void start(Channels& channels) {
#pragma HLS INLINE
    for (int v = 0; v < C::PERIOD; ++v) {
#pragma HLS UNROLL
      channels[v] = (v + C::PERIOD - 1) % C::PERIOD;
    }
  }
  // For the next step the variant of every channel is ROTATIONS higher.
  static void rotate(Channels& channels) {
#pragma HLS INLINE
    Channels turned;
#pragma HLS ARRAY_PARTITION variable = turned complete dim = 0
    for (int v = 0; v < C::PERIOD; ++v) {
#pragma HLS UNROLL
      turned[(v + C::ROTATIONS) % C::PERIOD] = channels[v];
    }
    for (int v = 0; v < C::PERIOD; ++v) {
#pragma HLS UNROLL
      channels[v] = turned[v];
    }
  }
  // Puts channel `channel` of a window set into bank `bank`, for each element its tap.
  static void put(Memories& memories, const typename G::Window& window, const Channel& channel, bool bank) {
#pragma HLS INLINE
    for (int m = 0; m < C::TX * C::ROTATIONS * G::ELEMENTS; ++m) {
#pragma HLS UNROLL
      const int e = m % G::ELEMENTS;
      const int tap = C::tap(e % C::NONZEROS);
      const int t = m / (C::ROTATIONS * G::ELEMENTS);
      // A window lists its activations column by column.
      const int beat = (tap % C::KERNEL + t * C::STRIDE) * C::KERNEL + tap / C::KERNEL;
      memories[m][address(channel, bank)] = field<C::IN_BITS>(window, beat * C::TB + e / C::NONZEROS);
    }
  }
  // The elements of the window set in bank `bank`, at the places of the ring that the lanes are wired to.
  static void get(Ring<C>& ring, const Memories& memories, const Channels& channels, bool bank) {
#pragma HLS INLINE
    for (int m = 0; m < C::TX * C::ROTATIONS * G::ELEMENTS; ++m) {
#pragma HLS UNROLL
      const int e = m % G::ELEMENTS;
      const int number = e % C::NONZEROS;
      const int at = place<C>(number, m / G::ELEMENTS % C::ROTATIONS), t = m / (C::ROTATIONS * G::ELEMENTS);
      ring[e / C::NONZEROS][at][activation_of<C>(C::tap(number), t)] = memories[m][address(channels[at], bank)];
    }
  }

 private:
  static ap_uint<bits_for(C::PERIOD) + 1> address(const Channel& channel, bool bank) {
#pragma HLS INLINE
    return concat(ap_uint<1>(bank), channel);
  }
};

// Which channel of which window set comes in an iteration. The set after the one at work comes in the first
// PERIOD iterations of that; an image's first set comes in PERIOD iterations in front of the nest.
template <class C> struct Prefetch {
  using G = Geometry<C>;

  Index<C::PERIOD> channel;  // that comes next
  bool active;               // whether it comes in this iteration
  bool filling;              // the image's first set comes: there is none to work on
  bool bank;                 // with the set at work; what comes goes into the other one

  Prefetch() : channel(0), active(true), filling(true), bank(false) {
#pragma HLS INLINE
  }
  void next(const Nest<C>& nest) {
#pragma HLS INLINE
    const bool last_channel = channel == C::PERIOD - 1;
    const bool set_ends = filling ? last_channel : nest.ends_block_set();
    // Whether another set comes after the one that has just come: one is at work meanwhile.
    const bool another = filling ? G::PIXEL_SETS * C::BLOCK_SETS > 1 : !nest.last_block_set_but_one();
    if (last_channel) active = false;
    count<C::PERIOD>(channel);
    if (set_ends) {
      channel = 0;
      active = another;
      filling = false;
      bank = !bank;
    }
  }
};

}  // namespace psconv

#endif
