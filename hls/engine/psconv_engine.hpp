// SPDX-License-Identifier: Apache-2.0
//
// Top for one layer. A call takes the beats of one image and gives the beats of its output image; in hardware
// it runs for ever (ap_ctrl_none), one image after the other. TLAST, TKEEP and TSTRB of the input are not
// looked at: the engine counts beats.
#ifndef PSCONV_PSCONV_ENGINE_HPP
#define PSCONV_PSCONV_ENGINE_HPP

#include "ports.hpp"

using InputBeat = psconv::AxiBeat<INPUT_BITS>;
using OutputBeat = psconv::AxiBeat<OUTPUT_BITS>;

void psconv_engine(hls::stream<InputBeat>& x, hls::stream<OutputBeat>& y);

#endif
