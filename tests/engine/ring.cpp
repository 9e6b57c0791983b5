// SPDX-License-Identifier: Apache-2.0
//
// A window set -> what the multipliers work on for each output channel, one after the other, a line for each fold: from
// the ring in registers, from the ring as a word that turns in a memory, and from the ring in memories.
#include "config.hpp"
#include "operands.hpp"
#include "ring_in_memory.hpp"
#include "words_io.hpp"

using G = psconv::Geometry<Config>;

static void print_operands(const psconv::Ring<Config>& ring, int rotation, int pixel) {
  for (int fold = 0; fold < Config::FOLDS; ++fold) {
    for (int j = 0; j < Config::LANES_PER_OUTPUT; ++j) {
      std::printf("%d ", int(psconv::operand<Config>(ring, rotation, pixel, j, fold)));
    }
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
  const typename G::Window window = windows.read();
  typename G::Window word = psconv::rotated<Config, 1>(window);
  psconv::Ring<Config> turning;
  psconv::Operands<Config>::load(turning, window);
#endif
  for (int step = 0; step < Config::STEPS; ++step) {
    psconv::Ring<Config> ring;
#ifdef IN_MEMORY
    R::get(ring, memories, channels, true);
    R::rotate(channels);
    for (int n = 0; n < Config::ROTATIONS * Config::TX; ++n) print_operands(ring, n / Config::TX, n % Config::TX);
#else
    psconv::load_ring<Config>(ring, word, 0);
    for (int n = 0; n < Config::ROTATIONS * Config::TX; ++n) {
      print_operands(ring, n / Config::TX, n % Config::TX);
      print_operands(turning, n / Config::TX, n % Config::TX);
    }
    word = psconv::rotated<Config, Config::ROTATIONS>(word);
    psconv::Operands<Config>::next(turning);
#endif
  }
  return !windows.empty();
}
