// SPDX-License-Identifier: Apache-2.0
//
// How many bits a word has where it is kept, for PandA Bambu: a power of two bytes in a memory, whole bytes
// in a stream.
#ifndef PSCONV_STORAGE_HPP
#define PSCONV_STORAGE_HPP

namespace psconv {

constexpr int at_least(int bits, int size) { return bits <= size ? size : at_least(bits, 2 * size); }
constexpr int stored_bits(int bits) { return at_least(bits, 8); }
constexpr int streamed_bits(int bits) { return (bits + 7) / 8 * 8; }

}  // namespace psconv

#endif
