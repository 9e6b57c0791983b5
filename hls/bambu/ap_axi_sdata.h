// SPDX-License-Identifier: Apache-2.0
//
// Bambu has no AXI4-Stream beats with side channels: its streams carry plain words, and this name is declared
// only.
#ifndef PSCONV_BAMBU_AP_AXI_SDATA_H
#define PSCONV_BAMBU_AP_AXI_SDATA_H

template <int D, int U, int TI, int TD> struct ap_axiu;

#endif
