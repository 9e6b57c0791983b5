// SPDX-License-Identifier: Apache-2.0
//
// Calls a top natively on words from files: its arguments are streams and arrays of streams. PORT.given holds the
// words of an input, PORT.made takes those of an output, both in whole little-endian bytes; PORT.left says how many
// words of an input were not read.
#ifndef OPENHLS_SIMULATION_NATIVE_HPP
#define OPENHLS_SIMULATION_NATIVE_HPP

#include <cstdio>
#include <cstdlib>
#include <new>

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

template <class T> void fill(hls::stream<T>& stream, const char* port) {
  const int bytes = (hls::payload<T>::width + 7) / 8;
  typedef unsigned _BitInt(8 * bytes + 8) wide;
  std::FILE* file = opened(port, "given", "rb");
  for (int c; (c = std::fgetc(file)) >= 0;) {
    wide word = (wide)(unsigned)c;
    for (int b = 1; b < bytes; ++b) word |= (wide)(unsigned)std::fgetc(file) << (8 * b);
    stream.write(hls::payload<T>::unpack((typename hls::payload<T>::bits)word));
  }
  std::fclose(file);
}

template <class T> void finish(hls::stream<T>& stream, const char* port, bool is_input) {
  const int bytes = (hls::payload<T>::width + 7) / 8;
  typedef unsigned _BitInt(8 * bytes + 8) wide;
  std::FILE* file = opened(port, is_input ? "left" : "made", "wb");
  if (is_input) std::fprintf(file, "%zu", (std::size_t)stream.size());
  while (!is_input && !stream.empty()) {
    const wide word = (wide)hls::payload<T>::pack(stream.read());
    for (int b = 0; b < bytes; ++b) std::fputc((int)((word >> (8 * b)) & (wide)255), file);
  }
  std::fclose(file);
}

struct Name {
  const char* name;
  bool is_input;
};

// A stream, or an array of streams: of which words.
template <class U> struct Streams {
  static constexpr bool none = true;
};
template <class T> struct Streams<hls::stream<T>> {
  typedef T word;
  static constexpr bool none = false;
};
template <class U, std::size_t N> struct Streams<U[N]> : Streams<U> {};

// An argument of the top: its streams stand one after the other.
template <class A> struct Argument {
  static constexpr bool none = true;
};
template <class U> struct Argument<U&> {
  typedef Streams<U> streams;
  static constexpr bool none = streams::none;
  template <class T> static U& of(hls::stream<T>* first) { return *reinterpret_cast<U*>(first); }
};
template <class U> struct Argument<U*> {
  typedef Streams<U> streams;
  static constexpr bool none = streams::none;
  template <class T> static U* of(hls::stream<T>* first) { return reinterpret_cast<U*>(first); }
};

template <class... A> struct Arguments {};

template <class Top, class... P> void call(Top top, const Name*, const int*, int runs, Arguments<>, P... given) {
  for (int r = 0; r < runs; ++r) top(given()...);
}

template <class Top, class A, class... Rest, class... P>
void call(Top top, const Name* names, const int* sizes, int runs, Arguments<A, Rest...>, P... given) {
  typedef typename Argument<A>::streams::word T;
  const int size = *sizes;
  hls::stream<T>* const streams = static_cast<hls::stream<T>*>(::operator new(size * sizeof(hls::stream<T>)));
  for (int n = 0; n < size; ++n) {
    new (streams + n) hls::stream<T>(names[n].name);
    if (names[n].is_input) fill(streams[n], names[n].name);
  }
  call(top, names + size, sizes + 1, runs, Arguments<Rest...>(), given...,
       [streams]() -> A { return Argument<A>::of(streams); });
  for (int n = 0; n < size; ++n) finish(streams[n], names[n].name, names[n].is_input);
}

// names: of all streams, in the order of the arguments. sizes: how many streams each argument has.
template <class... A> void drive(void (*top)(A...), const Name* names, const int* sizes, int runs) {
  static_assert(!(Argument<A>::none || ...), "only a top of streams, or arrays of streams, can be called natively");
  if constexpr (!(Argument<A>::none || ...)) call(top, names, sizes, runs, Arguments<A...>());
}

}  // namespace openhls_native

#endif
