// SPDX-License-Identifier: Apache-2.0
//
// One link of the chain through which weights come from the packet parser to the engines: takes what is for its
// engine, in words, and passes on the rest.
//
// For each packet a beat comes first that says in bit 0 whether weights follow; the engine gets that as a
// reload request.
#ifndef PSCONV_LOADER_HPP
#define PSCONV_LOADER_HPP

#include "index.hpp"
#include "words.hpp"

namespace psconv {

template <class C> using LoadBeats = hls::stream<ap_uint<C::BEAT_BITS>>;
template <class C> using ReloadRequests = hls::stream<ap_uint<1>>;
template <class C> using LoadWords = hls::stream<ap_uint<C::LOAD_BITS>>;

// What the last loader passes on: nothing.
struct NoRest {
  template <int W> void write(const ap_uint<W>&) {}
};

// Takes what is for this engine off `beats`: a word each WORD_BEATS beats, OWN_BEATS in all.
//
// \tparam C     configuration: bits of a beat BEAT_BITS and of a word LOAD_BITS; beats of a word WORD_BEATS, of this
//               engine OWN_BEATS, of all engines behind it REST_BEATS
// \tparam Rest  LoadBeats<C> for the engines behind it, or NoRest
template <class C, class Rest>
void distribute(LoadBeats<C>& beats, ReloadRequests<C>& reload_requests, LoadWords<C>& words, Rest& rest) {
#pragma HLS INLINE
  ap_uint<C::WORD_BEATS * C::BEAT_BITS> word = 0;
  bool reloading = false, more = false;
  bool first = true, own = false, ends = false;  // what this beat is: for the engine, the last of a word
  Index<C::OWN_BEATS + C::REST_BEATS + 2> at = 0;
  Index<C::WORD_BEATS> slot = 0;  // of a word, this beat

beats:
  do {
#pragma HLS PIPELINE II = 1
    const ap_uint<C::BEAT_BITS> beat = beats.read();
    if (first) {
      reloading = beat[0];
      reload_requests.write(ap_uint<1>(reloading));
    }
    if (own) {
      word = shift_in(word, ap_int<C::BEAT_BITS>(beat));
      if (ends) words.write(ap_uint<C::LOAD_BITS>(word));
    } else {
      rest.write(beat);
    }

    own = first || (own && at != C::OWN_BEATS);
    if (first) {
      slot = 0;
    } else {
      count<C::WORD_BEATS>(slot);
    }
    ends = slot == C::WORD_BEATS - 1;
    first = false;
    more = reloading && at != C::OWN_BEATS + C::REST_BEATS;
    ++at;
  } while (more);
}

template <class C>
void loader(LoadBeats<C>& beats, ReloadRequests<C>& reload_requests, LoadWords<C>& words, LoadBeats<C>& rest) {
  distribute<C>(beats, reload_requests, words, rest);
}
template <class C> void loader(LoadBeats<C>& beats, ReloadRequests<C>& reload_requests, LoadWords<C>& words) {
  NoRest rest;
  distribute<C>(beats, reload_requests, words, rest);
}

}  // namespace psconv

#endif
