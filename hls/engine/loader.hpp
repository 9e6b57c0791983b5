// SPDX-License-Identifier: Apache-2.0
//
// One link of the chain through which weights come from the gate to the engines: takes what is for its
// engine, in words, and passes on the rest.
//
// For each packet a beat comes first that says in bit 0 whether weights follow; the engine gets that as an
// order.
#ifndef PSCONV_LOADER_HPP
#define PSCONV_LOADER_HPP

#include "words.hpp"

namespace psconv {

template <class C> using LoadBeats = hls::stream<ap_uint<C::BEAT_BITS>>;
template <class C> using LoadOrders = hls::stream<ap_uint<1>>;
template <class C> using LoadWords = hls::stream<ap_uint<C::LOAD_BITS>>;

// What the last loader passes on: nothing.
struct NoRest {
  template <int W> void write(const ap_uint<W>&) {}
};

template <class C, class Rest>
void deal(LoadBeats<C>& beats, LoadOrders<C>& orders, LoadWords<C>& words, Rest& rest) {
#pragma HLS INLINE
  ap_uint<C::WORD_BEATS * C::BEAT_BITS> word = 0;
  bool reloading = false, more = false;
  bool first = true, own = false, ends = false;  // what this beat is: for the engine, the last of a word
  int at = 0, slot = 0;

beats:
  do {
#pragma HLS PIPELINE II=1
    const ap_uint<C::BEAT_BITS> beat = beats.read();
    if (first) {
      reloading = beat[0];
      orders.write(ap_uint<1>(reloading));
    }
    if (own) {
      word = shift_in(word, ap_int<C::BEAT_BITS>(beat));
      if (ends) words.write(ap_uint<C::LOAD_BITS>(word));
    } else {
      rest.write(beat);
    }

    own = first || (own && at != C::OWN_BEATS);
    slot = first || ends ? 0 : slot + 1;
    ends = slot == C::WORD_BEATS - 1;
    first = false;
    more = reloading && at != C::OWN_BEATS + C::REST_BEATS;
    ++at;
  } while (more);
}

template <class C>
void loader(LoadBeats<C>& beats, LoadOrders<C>& orders, LoadWords<C>& words, LoadBeats<C>& rest) {
  deal<C>(beats, orders, words, rest);
}
template <class C> void loader(LoadBeats<C>& beats, LoadOrders<C>& orders, LoadWords<C>& words) {
  NoRest rest;
  deal<C>(beats, orders, words, rest);
}

}  // namespace psconv

#endif
