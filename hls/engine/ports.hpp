// SPDX-License-Identifier: Apache-2.0
//
// What a top for one layer has at its ports: bits of a word, and words of an image.
#ifndef PSCONV_PORTS_HPP
#define PSCONV_PORTS_HPP

#include "engine_config.hpp"
#include "geometry.hpp"

using EngineGeometry = psconv::Geometry<EngineConfig>;

static const int INPUT_BITS = EngineGeometry::BEAT_BITS;
static const int OUTPUT_BITS = EngineGeometry::GROUP_BITS;
static const int INPUT_WORDS = EngineConfig::HEIGHT * EngineConfig::WIDTH * EngineConfig::BLOCK_SETS;
static const int OUTPUT_WORDS = EngineGeometry::PIXELS * EngineGeometry::GROUPS;

#endif
