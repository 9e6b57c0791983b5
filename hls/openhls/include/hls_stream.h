// SPDX-License-Identifier: Apache-2.0
//
// hls::stream<T>: an unbounded FIFO in C simulation; for the open HLS flow (__SYNTHESIS__) a volatile cell
// whose loads and stores the compiler keeps in order, drops none of, and turns into the reads and writes of a
// FIFO.
//
// T is an ap_int, ap_uint or built-in integer, or a structure that specialises hls::payload (ap_axi_sdata.h
// does). Not promised: empty() and size() in synthesis (the flow compiles Kahn networks: reads block),
// full(), non-blocking access, copies of a stream, thread safety.
#ifndef OPENHLS_HLS_STREAM_H
#define OPENHLS_HLS_STREAM_H

#include "ap_int.h"

#ifndef __SYNTHESIS__
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#endif

namespace hls {

// How a T travels: `width` bits, packed and unpacked.
template <class T> struct payload {
  static_assert(ap_detail::operand<T>::integer,
                "a stream carries integers, or structures that specialise hls::payload");
  static constexpr int width = ap_detail::operand<T>::width;
  typedef unsigned _BitInt(width) bits;
  static constexpr bits pack(const T& x) { return (bits)ap_detail::operand<T>::value(x); }
  static constexpr T unpack(bits x) { return T(ap_uint<width>(x)); }
};

#ifdef __SYNTHESIS__

template <class T> class stream {
 public:
  stream() = default;
  explicit stream(const char*) {}
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;

  __attribute__((always_inline)) T read() { return payload<T>::unpack(cell); }
  __attribute__((always_inline)) void read(T& x) { x = payload<T>::unpack(cell); }
  __attribute__((always_inline)) void write(const T& x) { cell = payload<T>::pack(x); }
  __attribute__((always_inline)) void operator>>(T& x) { read(x); }
  __attribute__((always_inline)) void operator<<(const T& x) { write(x); }

 private:
  volatile typename payload<T>::bits cell;
};

#else

template <class T> class stream {
 public:
  stream() : name_("hls::stream") {}
  explicit stream(const std::string& name) : name_(name) {}
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;

  T read() {
    if (words_.empty()) {
      std::fprintf(stderr, "hls::stream: read of the empty stream '%s'\n", name_.c_str());
      std::abort();
    }
    T x = words_.front();
    words_.pop_front();
    return x;
  }
  void read(T& x) { x = read(); }
  void write(const T& x) { words_.push_back(x); }
  void operator>>(T& x) { read(x); }
  void operator<<(const T& x) { write(x); }
  bool empty() const { return words_.empty(); }
  std::size_t size() const { return words_.size(); }

 private:
  std::string name_;
  std::deque<T> words_;
};

#endif

}  // namespace hls

#endif
