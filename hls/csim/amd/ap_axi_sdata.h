// SPDX-License-Identifier: Apache-2.0
//
// ap_axiu / ap_axis for C simulation with AMD's published ap_types, which lack this header: the members and
// names of the Vitis HLS type. Without side channels (TUSER, TID, TDEST): the engine has none.
#ifndef PSCONV_CSIM_AMD_AP_AXI_SDATA_H
#define PSCONV_CSIM_AMD_AP_AXI_SDATA_H

#include "ap_int.h"

template <int D, int U, int TI, int TD> struct ap_axiu {
  static_assert(D > 0 && D % 8 == 0, "TDATA is a whole number of bytes");
  static_assert(U == 0 && TI == 0 && TD == 0, "TUSER, TID and TDEST are not supported");
  ap_uint<D> data;
  ap_uint<D / 8> keep;
  ap_uint<D / 8> strb;
  ap_uint<1> last;
};

template <int D, int U, int TI, int TD> struct ap_axis {
  static_assert(D > 0 && D % 8 == 0, "TDATA is a whole number of bytes");
  static_assert(U == 0 && TI == 0 && TD == 0, "TUSER, TID and TDEST are not supported");
  ap_int<D> data;
  ap_uint<D / 8> keep;
  ap_uint<D / 8> strb;
  ap_uint<1> last;
};

#endif
