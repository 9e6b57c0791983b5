// SPDX-License-Identifier: Apache-2.0
//
// How many bits a word has where it is kept: as many as it needs. A tool that wants more has a header of its
// own in the place of this one.
#ifndef PSCONV_STORAGE_HPP
#define PSCONV_STORAGE_HPP

namespace psconv {

constexpr int stored_bits(int bits) { return bits; }    // in an array that is a memory
constexpr int streamed_bits(int bits) { return bits; }  // in a stream inside an engine

}  // namespace psconv

#endif
