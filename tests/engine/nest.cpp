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
    std::printf("%d %d %d %d\n", nest.begins_block_set(), nest.ends_block_set(), nest.ends_pixel(), nest.last());
  }
}
