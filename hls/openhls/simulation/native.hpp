// SPDX-License-Identifier: Apache-2.0
//
// Calls a top natively on words from files: its arguments are streams, in the order of `names`. PORT.given holds the
// words of an input, PORT.made takes those of an output, both in whole little-endian bytes; PORT.left says how many
// words of an input were not read.
#ifndef OPENHLS_SIMULATION_NATIVE_HPP
#define OPENHLS_SIMULATION_NATIVE_HPP

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "hls_stream.h"

namespace openhls_native {

inline std::FILE* opened(const std::string& name, const char* mode) {
  std::FILE* file = std::fopen(name.c_str(), mode);
  if (!file) {
    std::perror(name.c_str());
    std::exit(1);
  }
  return file;
}

template <class T> struct Port {
  static constexpr int bytes = (hls::payload<T>::width + 7) / 8;
  typedef unsigned _BitInt(8 * bytes + 8) wide;
  std::string name;
  bool is_input;
  hls::stream<T> stream;

  Port(const char* n, bool input) : name(n), is_input(input), stream(n) {
    if (!is_input) return;
    std::FILE* file = opened(name + ".given", "rb");
    for (int c; (c = std::fgetc(file)) >= 0;) {
      wide word = (wide)(unsigned)c;
      for (int b = 1; b < bytes; ++b) word |= (wide)(unsigned)std::fgetc(file) << (8 * b);
      stream.write(hls::payload<T>::unpack((typename hls::payload<T>::bits)word));
    }
    std::fclose(file);
  }
  void finish() {
    std::FILE* file = opened(name + (is_input ? ".left" : ".made"), "wb");
    if (is_input) std::fprintf(file, "%zu", (std::size_t)stream.size());
    while (!is_input && !stream.empty()) {
      const wide word = (wide)hls::payload<T>::pack(stream.read());
      for (int b = 0; b < bytes; ++b) std::fputc((int)((word >> (8 * b)) & (wide)255), file);
    }
    std::fclose(file);
  }
};

struct Name {
  const char* name;
  bool is_input;
};

template <class... T, std::size_t... K>
void drive(void (*top)(hls::stream<T>&...), const Name* names, int runs, std::index_sequence<K...>) {
  std::tuple<std::unique_ptr<Port<T>>...> ports{std::make_unique<Port<T>>(names[K].name, names[K].is_input)...};
  for (int r = 0; r < runs; ++r) top(std::get<K>(ports)->stream...);
  (std::get<K>(ports)->finish(), ...);
}

template <class... T> void drive(void (*top)(hls::stream<T>&...), const Name* names, int runs) {
  drive(top, names, runs, std::index_sequence_for<T...>());
}

template <class... A> void drive(void (*)(A...), const Name*, int) {
  static_assert(sizeof...(A) == ~0ull, "only a top whose arguments are all hls::stream<T>& can be called natively");
}

}  // namespace openhls_native

#endif
