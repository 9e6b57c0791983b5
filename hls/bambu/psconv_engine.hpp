// SPDX-License-Identifier: Apache-2.0
//
// Top for one layer as PandA Bambu takes it: TDATA, TVALID and TREADY are all that its `axis` ports have, so
// that the streams carry plain words instead of beats. It finds its top by a name without C++'s mangling.
#ifndef PSCONV_PSCONV_ENGINE_HPP
#define PSCONV_PSCONV_ENGINE_HPP

#include "ports.hpp"

using InputBeat = ap_uint<psconv::whole_bytes(INPUT_BITS)>;
using OutputBeat = ap_uint<psconv::whole_bytes(OUTPUT_BITS)>;

extern "C" void psconv_engine(hls::stream<InputBeat>& x, hls::stream<OutputBeat>& y);

#endif
