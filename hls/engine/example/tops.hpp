// SPDX-License-Identifier: Apache-2.0
//
// Two tops: one engine, and two engines one behind the other. A call takes an image and gives its outputs,
// pixel by pixel; in hardware they run for ever, one image after the other.
#ifndef TOPS_HPP
#define TOPS_HPP

#include "layers.hpp"

#include "geometry.hpp"

using ImageBeat = psconv::AxiBeat<psconv::Geometry<FirstLayer>::BEAT_BITS>;     // 4 channels of a pixel
using FeatureBeat = psconv::AxiBeat<psconv::Geometry<FirstLayer>::GROUP_BITS>;  // likewise
using ScoreBeat = psconv::AxiBeat<psconv::Geometry<SecondLayer>::GROUP_BITS>;   // one of 2 channels of a pixel

void one_engine(hls::stream<ImageBeat>& x, hls::stream<FeatureBeat>& y);
void two_engines(hls::stream<ImageBeat>& x, hls::stream<ScoreBeat>& y);

#endif
