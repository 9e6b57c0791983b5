// SPDX-License-Identifier: Apache-2.0
//
// What a top for one layer has at its ports: bits of a word, and words of an image.
#ifndef PSCONV_PORTS_HPP
#define PSCONV_PORTS_HPP

#include "engine_config.hpp"
#include "geometry.hpp"

static const int INPUT_BITS = psconv::Geometry<EngineConfig>::BEAT_BITS;
static const int OUTPUT_BITS = psconv::Geometry<EngineConfig>::GROUP_BITS;
static const int INPUT_WORDS = EngineConfig::HEIGHT * psconv::Geometry<EngineConfig>::ROW_BEATS;
static const int OUTPUT_WORDS = psconv::Geometry<EngineConfig>::PIXELS * psconv::Geometry<EngineConfig>::GROUPS;

#endif
