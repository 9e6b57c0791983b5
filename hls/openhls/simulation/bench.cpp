// SPDX-License-Identifier: Apache-2.0
//
// Drives a design's RTL from files: FOLDER SEED IDLE STALL RESET_AT LIMIT. Compiled once for all designs.
//
// PORT.beats holds what goes into an input, PORT.count how many words an output is to give; PORT.out takes these, and
// PORT.times the cycle of each transfer (8 bytes). An input has nothing to offer with the chance IDLE a cycle, an output
// is not ready with the chance STALL. RESET_AT: a reset before this cycle, and everything from the first word again.
//
// It says, and ends with status 1: that an output did not hold its word until it was taken, that TREADY looks at the
// TVALID of its own port, that there are more words than there should be, or that cycle LIMIT came before the last one.
#include "bench.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

static std::string folder;
static std::uint64_t cycle = 0;

[[noreturn]] static void fail(const std::string& what) {
  std::fprintf(stderr, "cycle %llu: %s\n", (unsigned long long)cycle, what.c_str());
  std::exit(1);
}

static std::string contents(const std::string& name) {
  std::FILE* file = std::fopen((folder + "/" + name).c_str(), "rb");
  if (!file) fail("no file " + name);
  std::string all;
  for (int c; (c = std::fgetc(file)) != EOF;) all.push_back((char)c);
  std::fclose(file);
  return all;
}

static void save(const std::string& name, const void* data, std::size_t bytes) {
  std::FILE* file = std::fopen((folder + "/" + name).c_str(), "wb");
  if (!file || std::fwrite(data, 1, bytes, file) != bytes || std::fclose(file)) fail("cannot write " + name);
}

struct Traffic {
  Port port;
  std::size_t bytes = 0, done = 0, count = 0;
  std::string words, before;
  std::vector<std::uint64_t> times;
  bool waits = false;

  explicit Traffic(const Port& p) : port(p) {
    for (auto& signal : port.payload) bytes += signal.bytes;
    if (port.is_input) {
      words = contents(port.name + ".beats");
      count = words.size() / bytes;
    } else {
      count = std::strtoull(contents(port.name + ".count").c_str(), nullptr, 10);
    }
  }
  std::string sample() const {
    std::string beat;
    for (auto& signal : port.payload) beat.append((const char*)signal.at, signal.bytes);
    return beat;
  }
  void offer() {
    const char* from = &words[done * bytes];
    for (auto& signal : port.payload) {
      std::memcpy(signal.at, from, signal.bytes);
      from += signal.bytes;
    }
    *port.valid = 1;
  }
  void restart() {
    done = 0;
    waits = false;
    times.clear();
    if (port.is_input) {
      *port.valid = 0;
    } else {
      words.clear();
      *port.ready = 0;
    }
  }
};

int main(int, char** arguments) {
  folder = arguments[1];
  std::mt19937_64 random(std::strtoull(arguments[2], nullptr, 10));
  const double idle = std::atof(arguments[3]), stall = std::atof(arguments[4]);
  std::uint64_t reset_at = std::strtoull(arguments[5], nullptr, 10);
  const std::uint64_t limit = std::strtoull(arguments[6], nullptr, 10);
  auto chance = [&](double p) { return std::uniform_real_distribution<>(0, 1)(random) < p; };

  Design design((int)(random() & 0x7fffffff) | 1);
  std::vector<Traffic> all(design.ports.begin(), design.ports.end());
  auto tick = [&] {
    *design.clock = 1;
    design.eval();
    *design.clock = 0;
    design.eval();
  };
  auto reset = [&](int cycles) {
    for (auto& t : all) t.restart();
    *design.reset_n = 0;
    for (int k = 0; k < cycles; ++k) tick();
    *design.reset_n = 1;
  };
  *design.clock = 0;
  *design.reset_n = 0;
  design.eval();
  reset(3);

  for (unsigned quiet = 0; quiet < 100; ++cycle) {
    if (reset_at && cycle == reset_at) {
      reset(1);
      reset_at = 0;
    }
    if (cycle > limit) {
      std::string what = "no end:";
      for (auto& t : all) {
        what += " " + t.port.name + " " + std::to_string(t.done) + "/" + std::to_string(t.count) +
                (*t.port.valid ? " valid" : "") + (*t.port.ready ? " ready" : "");
      }
      fail(what);
    }
    for (auto& t : all) {
      if (!t.port.is_input) {
        *t.port.ready = !chance(stall);
      } else if (!*t.port.valid && t.done < t.count && !chance(idle)) {
        t.offer();
      }
    }
    design.eval();
    if (cycle % 7 == 0) {
      for (auto& t : all) {
        if (!t.port.is_input) continue;
        const unsigned char was = *t.port.ready;
        *t.port.valid ^= 1;
        design.eval();
        if (*t.port.ready != was) fail(t.port.name + "_TREADY depends on its own TVALID");
        *t.port.valid ^= 1;
        design.eval();
      }
    }
    bool complete = !reset_at;
    std::vector<Traffic*> taken;
    for (auto& t : all) {
      const bool valid = *t.port.valid, ready = *t.port.ready;
      if (!t.port.is_input) {
        const std::string word = t.sample();
        if (t.waits && (!valid || word != t.before)) fail(t.port.name + " did not hold its word");
        t.waits = valid && !ready;
        t.before = word;
        if (valid && ready) {
          if (t.done == t.count) fail(t.port.name + " gives more words than the program");
          t.words += word;
        }
      } else if (valid && ready) {
        taken.push_back(&t);
      }
      if (valid && ready) {
        t.times.push_back(cycle);
        ++t.done;
      }
      complete = complete && t.done == t.count;
    }
    tick();
    for (auto* t : taken) *t->port.valid = 0;
    quiet = complete ? quiet + 1 : 0;
  }
  for (auto& t : all) {
    save(t.port.name + ".times", t.times.data(), 8 * t.times.size());
    if (!t.port.is_input) save(t.port.name + ".out", t.words.data(), t.words.size());
  }
}
