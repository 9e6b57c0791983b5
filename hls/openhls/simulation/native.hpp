// SPDX-License-Identifier: Apache-2.0
//
// Calls a top natively on words from files: its arguments are streams, in the order of `names`. PORT.given holds the
// words of an input, PORT.made takes those of an output, both in whole little-endian bytes; PORT.left says how many
// words of an input were not read.
#ifndef OPENHLS_SIMULATION_NATIVE_HPP
#define OPENHLS_SIMULATION_NATIVE_HPP

#include <cstdio>
#include <cstdlib>

#include "hls_stream.h"

namespace openhls_native {

inline std::FILE* opened(const char* port, const char* suffix, const char* mode) {
  char name[1024];
  std::snprintf(name, sizeof name, "%s.%s", port, suffix);
  std::FILE* file = std::fopen(name, mode);
  if (!file) {
    std::perror(name);
    std::exit(1);
  }
  return file;
}

template <class T> struct Port {
  static constexpr int bytes = (hls::payload<T>::width + 7) / 8;
  typedef unsigned _BitInt(8 * bytes + 8) wide;
  const char* name;
  bool is_input;
  hls::stream<T> stream;

  Port(const char* n, bool input) : name(n), is_input(input), stream(n) {
    if (!is_input) return;
    std::FILE* file = opened(name, "given", "rb");
    for (int c; (c = std::fgetc(file)) >= 0;) {
      wide word = (wide)(unsigned)c;
      for (int b = 1; b < bytes; ++b) word |= (wide)(unsigned)std::fgetc(file) << (8 * b);
      stream.write(hls::payload<T>::unpack((typename hls::payload<T>::bits)word));
    }
    std::fclose(file);
  }
  void finish() {
    std::FILE* file = opened(name, is_input ? "left" : "made", "wb");
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

template <class... T> struct Types {};

template <class Top, class... P> void call(Top top, const Name*, int runs, Types<>, P&... ports) {
  for (int r = 0; r < runs; ++r) top(ports.stream...);
  (ports.finish(), ...);
}

template <class Top, class T, class... Rest, class... P>
void call(Top top, const Name* names, int runs, Types<T, Rest...>, P&... ports) {
  Port<T> port(names->name, names->is_input);
  call(top, names + 1, runs, Types<Rest...>(), ports..., port);
}

template <class... T> void drive(void (*top)(hls::stream<T>&...), const Name* names, int runs) {
  call(top, names, runs, Types<T...>());
}

template <class... A> void drive(void (*)(A...), const Name*, int) {
  static_assert(sizeof...(A) == ~0ull, "only a top whose arguments are all hls::stream<T>& can be called natively");
}

}  // namespace openhls_native

#endif
