// SPDX-License-Identifier: Apache-2.0
//
// A design as bench.cpp drives it. What a design's own file defines of it is made of ports.json.
#ifndef OPENHLS_SIMULATION_BENCH_HPP
#define OPENHLS_SIMULATION_BENCH_HPP

#include <cstddef>
#include <string>
#include <vector>

struct Signal {
  void* at;
  std::size_t bytes;
};

struct Port {  // an AXI4-Stream
  std::string name;
  bool is_input;
  unsigned char *valid, *ready;
  std::vector<Signal> payload;
};

struct Design {
  explicit Design(int seed);
  void eval();
  unsigned char *clock, *reset_n;
  std::vector<Port> ports;
};

#endif
