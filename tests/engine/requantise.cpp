// SPDX-License-Identifier: Apache-2.0
//
// Sums of SUM_BITS bits -> output activations, a line each.
#include "requantise.hpp"
#include "config.hpp"
#include "words_io.hpp"

int main() {
  for (long long sum; read_number(sum);)
    std::printf("%d\n", int(psconv::requantise<Config>(ap_int<Config::SUM_BITS>(sum))));
}
