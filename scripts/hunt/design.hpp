// SPDX-License-Identifier: Apache-2.0
//
// A design as simulate_kernel.cpp drives it: a port is an AXI4-Stream of one payload.
#ifndef PSCONV_HUNT_DESIGN_HPP
#define PSCONV_HUNT_DESIGN_HPP

#include <cstddef>
#include <vector>

struct Port {
  const char* name;
  bool is_input;
  unsigned char *valid, *ready;
  void* data;
  std::size_t bytes;
};

struct Design {
  explicit Design(int seed);
  void eval();
  unsigned char *clock, *reset_n;
  std::vector<Port> ports;
};

#endif
