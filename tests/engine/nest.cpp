// SPDX-License-Identifier: Apache-2.0
//
// Prints the counters of every iteration of a Nest.
#include <cstdio>

#include "config.hpp"
#include "nest.hpp"

int main() {
  for (psconv::Nest<Config> nest; !nest.done; nest.next()) {
    std::printf("%d %d %d %d %d ", int(nest.pixel), int(nest.block_set), int(nest.step), int(nest.fold),
                int(nest.address));
    std::printf("%d ", nest.first_block_set() ? int(nest.pixel_step()) : -1);
    std::printf("%d %d %d %d ", nest.begins_block_set(), nest.ends_block_set(), nest.ends_pixel(), nest.last());
    std::printf("%d\n", nest.last_block_set_but_one());
  }
}
