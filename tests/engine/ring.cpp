// SPDX-License-Identifier: Apache-2.0
//
// A window set -> what the multipliers work on for each output channel, a line for each fold: from the ring in
// registers, from the ring as a word that turns in a memory, and from the ring in memories.
#include "config.hpp"
#include "operands.hpp"
#include "ring_in_memory.hpp"
#include "words_io.hpp"

using G = psconv::Geometry<Config>;

static void print_operands(const psconv::Ring<Config>& ring) {
  for (int fold = 0; fold < Config::FOLDS; ++fold) {
    for (int j = 0; j < Config::LANES_PER_OUTPUT; ++j) std::printf("%d ", int(psconv::operand<Config>(ring, j, fold)));
    std::printf("\n");
  }
}

int main() {
  hls::stream<G::Window> windows;
  read_words<Config::IN_BITS, G::WINDOW_BITS / Config::IN_BITS>(windows);
#ifdef IN_MEMORY
  using R = psconv::RingInMemory<Config>;
  R::Memories memories;
  R::Channels channels;
  R::start(channels);
  for (int channel = 0; channel < Config::PERIOD; ++channel) R::put(memories, windows.read(), channel, true);
#else
  typename G::Window word = windows.read();
  psconv::Ring<Config> turning;
  psconv::Operands<Config>::load(turning, word);
#endif
  for (int step = 0; step < 2 * Config::PERIOD; ++step) {
    psconv::Ring<Config> ring;
#ifdef IN_MEMORY
    R::get(ring, memories, channels, true);
    R::rotate(channels);
    print_operands(ring);
#else
    word = psconv::rotated<Config>(word);
    psconv::load_ring<Config>(ring, word, 0);
    print_operands(ring);
    print_operands(turning);
    psconv::Operands<Config>::next(turning);
#endif
  }
  return !windows.empty();
}
