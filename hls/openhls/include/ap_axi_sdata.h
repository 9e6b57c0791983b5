// SPDX-License-Identifier: Apache-2.0
//
// ap_axiu<D, 0, 0, 0> / ap_axis<D, 0, 0, 0>: one beat of an AXI4-Stream: data, keep, strb, last.
//
// On an hls::stream the fields travel as one word, from bit 0 up: data, keep, strb, last. Not promised: the
// side channels user, id and dest (their widths must be 0), get_/set_ accessors, default values of the
// fields.
#ifndef OPENHLS_AP_AXI_SDATA_H
#define OPENHLS_AP_AXI_SDATA_H

#include "ap_int.h"
#include "hls_stream.h"

namespace ap_detail {

template <class Data, int D, int U, int TI, int TD> struct axi_beat {
  static_assert(U == 0 && TI == 0 && TD == 0,
                "ap_axiu: the user, id and dest channels are not supported (widths 0)");
  Data data;
  ap_uint<(D + 7) / 8> keep;
  ap_uint<(D + 7) / 8> strb;
  ap_uint<1> last;
};

template <class Beat, int D> struct axi_payload {
  static constexpr int bytes = (D + 7) / 8, width = D + 2 * bytes + 1;
  typedef unsigned _BitInt(width) bits;
  static constexpr bits pack(const Beat& x) {
    return (bits)(unsigned _BitInt(D))x.data.V | (bits)x.keep.V << D | (bits)x.strb.V << (D + bytes) |
           (bits)x.last.V << (D + 2 * bytes);
  }
  static constexpr Beat unpack(bits x) {
    Beat beat{};
    beat.data = ap_uint<D>((unsigned _BitInt(D))x);
    beat.keep = ap_uint<bytes>((unsigned _BitInt(bytes))(x >> D));
    beat.strb = ap_uint<bytes>((unsigned _BitInt(bytes))(x >> (D + bytes)));
    beat.last = ap_uint<1>((unsigned _BitInt(1))(x >> (D + 2 * bytes)));
    return beat;
  }
};

}  // namespace ap_detail

template <int D, int U, int TI, int TD> struct ap_axiu : ap_detail::axi_beat<ap_uint<D>, D, U, TI, TD> {};
template <int D, int U, int TI, int TD> struct ap_axis : ap_detail::axi_beat<ap_int<D>, D, U, TI, TD> {};

namespace hls {
template <int D, int U, int TI, int TD>
struct payload<ap_axiu<D, U, TI, TD>> : ap_detail::axi_payload<ap_axiu<D, U, TI, TD>, D> {};
template <int D, int U, int TI, int TD>
struct payload<ap_axis<D, U, TI, TD>> : ap_detail::axi_payload<ap_axis<D, U, TI, TD>, D> {};
}  // namespace hls

#endif
