// SPDX-License-Identifier: Apache-2.0
//
// The entrance of a network whose weights are loaded: packets -> what the engines are to load, the image, and
// a status for the response. docs/guide/weights.md has the format of packets and statuses.
//
// A packet ends with TLAST, wherever that comes. What is missing is made up with zeros, so that whatever
// came in, each packet gives the rest of the network exactly one image and, if its header says so, exactly
// one set of weights: nothing behind it gets out of step with the packets.
#ifndef PSCONV_PACKET_PARSER_HPP
#define PSCONV_PACKET_PARSER_HPP

#include "check_sum.hpp"
#include "words.hpp"

namespace psconv {

// Counts the beats of a part of a packet. That a beat is the last is known before it comes, so that no
// comparison of a long counter stands in its way.
//
// \tparam BEATS  of the part
// \tparam BITS   of the counter
template <int BEATS, int BITS> struct Countdown {
  ap_uint<BITS> left;  // behind this beat
  bool last;

  Countdown() : left(BEATS - 1), last(BEATS == 1) {
#pragma HLS INLINE
  }
  void next(bool counts) {
#pragma HLS INLINE
    if (!counts) return;
    last = left == 1;
    left = left - 1;
  }
};

// x: packets. loads: of each packet a beat with bit 0 of its header and, if that is set, LOAD_BEATS beats.
// image: of each packet IMAGE_WORDS words. statuses: one for each packet.
//
// \tparam C  configuration: bits of a beat of x BEAT_BITS, of a word of the image WORD_BITS; beats of the parts of a
//            packet IDENTITY_BEATS, LOAD_BEATS, CHECK_BEATS, IMAGE_WORDS, in counters of COUNT_BITS bits; IDENTITY,
//            of the network whose weights are taken; bits of a status STATUS_BITS, and which is which STATUS_...
// \tparam X  AXI4-Stream beat
template <class C, class X>
void packet_parser(hls::stream<X>& x, hls::stream<ap_uint<C::BEAT_BITS>>& loads,
                   hls::stream<ap_uint<C::WORD_BITS>>& image, hls::stream<ap_uint<C::STATUS_BITS>>& statuses) {
  static bool loaded = false;  // the engines hold weights that came whole, since reset
  // The part of the packet that a beat is of: just one of these is true. Those from `name` to `check` are
  // there only where the header says so; `tail` is behind the image.
  bool header = true, name = false, load = false, check = false, pixels = false, tail = false;
  Countdown<C::IDENTITY_BEATS, C::COUNT_BITS> names;
  Countdown<C::LOAD_BEATS, C::COUNT_BITS> weights;
  Countdown<C::CHECK_BEATS, C::COUNT_BITS> checks;
  Countdown<C::IMAGE_WORDS, C::COUNT_BITS> words;
  bool ended = false;  // TLAST was there
  bool reloading = false, malformed = false, foreign = false, truncated = false, overlong = false;
  bool more = true;
  ap_uint<C::IDENTITY_BEATS * C::BEAT_BITS> identity = C::IDENTITY;
  CheckSum<C::BEAT_BITS> sums;

beats:
  do {
#pragma HLS PIPELINE II = 1
    const bool missing = ended;
    ap_uint<C::BEAT_BITS> beat = 0;
    if (!missing) {
      const X taken = x.read();
      beat = payload<C::BEAT_BITS>(taken);
      ended = taken.last;
    }

    if (header) {
      reloading = beat[0];
      malformed = beat > 1;
      loaded = loaded || reloading;
    }
    if (name) {
      if (!missing && beat != ap_uint<C::BEAT_BITS>(identity)) foreign = true;
      identity = identity >> C::BEAT_BITS;
    }
    if (header || load) loads.write(header ? ap_uint<C::BEAT_BITS>(reloading) : beat);
    if (load) sums.add(beat);
    if (check && beat != sums.take()) loaded = false;
    if (foreign || (missing && (name || load || check))) loaded = false;
    if (pixels) {
      image.write(ap_uint<C::WORD_BITS>(beat));
      if (missing) truncated = true;
    }
    if (tail && !missing) overlong = true;
    if (tail && missing) {
      ap_uint<C::STATUS_BITS> status = 0;
      status[C::STATUS_GOOD] = loaded && !malformed && !truncated && !overlong;
      status[C::STATUS_NO_WEIGHTS] = !loaded;
      status[C::STATUS_RELOADED] = reloading;
      status[C::STATUS_BAD_HEADER] = malformed;
      status[C::STATUS_TRUNCATED] = truncated;
      status[C::STATUS_OVERLONG] = overlong;
      status[C::STATUS_FOREIGN] = foreign;
      statuses.write(status);
      more = false;
    }

    // The part of the next beat.
    const bool named = name && names.last, stored = load && weights.last, checked = check && checks.last,
               filled = pixels && words.last;
    names.next(name);
    weights.next(load);
    checks.next(check);
    words.next(pixels);
    tail = tail || filled;
    pixels = (header && !reloading) || checked || (pixels && !filled);
    check = stored || (check && !checked);
    load = named || (load && !stored);
    name = (header && reloading) || (name && !named);
    header = false;
  } while (more);
}

}  // namespace psconv

#endif
