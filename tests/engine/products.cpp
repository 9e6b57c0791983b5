// SPDX-License-Identifier: Apache-2.0
//
// DotProducts (hls/engine/products.hpp) of the configuration that is compiled in against plain sums of products, for
// every weight and activation where they are few enough, else for random ones with extremes among them.
#include <cstdio>
#include <random>

#include "config.hpp"
#include "products.hpp"

using C = engine_config;
using G = psconv::Geometry<C>;

static const int LANES = C::LANES_PER_OUTPUT, WEIGHTS = G::OUTPUTS * LANES;
static const int BITS = WEIGHTS * C::WEIGHT_BITS + LANES * C::IN_BITS;  // of all operands together
static const int EXHAUSTIVE = 24;
static const long long TRIALS = 1 << (BITS <= EXHAUSTIVE ? BITS : 18);

static int sign_extended(unsigned long long bits, int width) {
  const int value = int(bits & ((1u << width) - 1));
  return value - (value >> (width - 1) << width);
}

// Half of the time an extreme, or a number next to zero.
static int drawn(std::mt19937& random, int width) {
  const int least = -(1 << (width - 1));
  const int often[] = {least, least, least + 1, -least - 1, -1, 0, 1, least};
  return random() & 1 ? often[random() % 8] : sign_extended(random(), width);
}

int main() {
  std::mt19937 random(1);
  for (long long trial = 0; trial < TRIALS; ++trial) {
    unsigned long long rest = trial;
    auto next = [&](int width) {
      const int value = BITS <= EXHAUSTIVE ? sign_extended(rest, width) : drawn(random, width);
      rest >>= width;
      return value;
    };
    typename G::Weights weights = 0;
    int weight[WEIGHTS], activation[LANES];
    for (int at = 0; at < WEIGHTS; ++at) {
      weight[at] = next(C::WEIGHT_BITS);
      weights.range((at + 1) * C::WEIGHT_BITS - 1, at * C::WEIGHT_BITS) = ap_int<C::WEIGHT_BITS>(weight[at]);
    }
    psconv::Ring<C> ring;
    for (int j = 0; j < LANES; ++j) ring[j][0][0] = activation[j] = next(C::IN_BITS);

    // Every now and then all are at the extreme that fills the fields.
    if (BITS > EXHAUSTIVE && trial % 16 == 0) {
      weights = 0;
      for (int at = 0; at < WEIGHTS; ++at) {
        weight[at] = trial % 32 && at >= LANES ? drawn(random, C::WEIGHT_BITS) : -(1 << (C::WEIGHT_BITS - 1));
        weights.range((at + 1) * C::WEIGHT_BITS - 1, at * C::WEIGHT_BITS) = ap_int<C::WEIGHT_BITS>(weight[at]);
      }
      for (int j = 0; j < LANES; ++j) ring[j][0][0] = activation[j] = -(1 << (C::IN_BITS - 1));
    }

    psconv::Accumulators<C> dot;
    psconv::DotProducts<C>::of(weights, ring, 0, dot);
    for (int k = 0; k < G::OUTPUTS; ++k) {
      int expected = 0;
      for (int j = 0; j < LANES; ++j) expected += weight[k * LANES + j] * activation[j];
      if (int(dot[k]) != expected) {
        std::printf("trial %lld, output %d: %d, expected %d\n", trial, k, int(dot[k]), expected);
        return 1;
      }
    }
  }
  std::printf("%lld trials of 2^%d, group %d\n", TRIALS, BITS, psconv::Packing<C>::GROUP);
  return 0;
}
