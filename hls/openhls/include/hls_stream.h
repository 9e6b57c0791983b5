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
// No containers: their headers take longer to compile than the kernel does.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
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
  stream() : stream("hls::stream") {}
  explicit stream(const char* name) {
    std::size_t length = 0;
    while (name[length]) ++length;
    name_ = new char[length + 1];
    for (std::size_t i = 0; i <= length; ++i) name_[i] = name[i];
  }
  // A std::string, whose header need not be known here. Characters that are no constant are no String.
  template <class String, class = decltype(static_cast<const String*>(nullptr)->c_str())>
  explicit stream(const String& name) : stream(name.c_str()) {}
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  ~stream() {
    clear(first_);
    clear(unused_);
    delete[] name_;
  }

  T read() {
    if (!first_) {
      std::fprintf(stderr, "hls::stream: read of the empty stream '%s'\n", name_);
      std::abort();
    }
    Node* const node = first_;
    first_ = node->next;
    node->next = unused_;
    unused_ = node;
    --size_;
    return node->word;
  }
  void read(T& x) { x = read(); }
  void write(const T& x) {
    Node* node = unused_;
    if (node) {
      unused_ = node->next;
      node->word = x;
      node->next = nullptr;
    } else {
      node = new Node{x, nullptr};
    }
    (first_ ? last_->next : first_) = node;
    last_ = node;
    ++size_;
  }
  void operator>>(T& x) { read(x); }
  void operator<<(const T& x) { write(x); }
  bool empty() const { return !first_; }
  std::size_t size() const { return size_; }

 private:
  struct Node {
    T word;
    Node* next;
  };
  static void clear(Node* node) {
    while (node) {
      Node* const next = node->next;
      delete node;
      node = next;
    }
  }

  char* name_;
  Node* first_ = nullptr;
  Node* last_ = nullptr;
  Node* unused_ = nullptr;  // read, and to be written again
  std::size_t size_ = 0;
};

#endif

}  // namespace hls

#endif
