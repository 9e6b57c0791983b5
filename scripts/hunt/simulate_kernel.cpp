// SPDX-License-Identifier: Apache-2.0
//
// Drives a kernel's RTL from files under random stalls: FOLDER SEED IDLE STALL LIMIT. Compiled once; a design's own
// file defines what `Design` declares. Input words come from PORT.in, output words go to PORT.out until PORT.count are
// there; a word is as many bytes as the port has.
#include "design.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

static std::string folder;
static unsigned long long cycle = 0;
[[noreturn]] static void fail(const std::string& what) {
  std::fprintf(stderr, "cycle %llu: %s\n", cycle, what.c_str());
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

struct Traffic {
  Port port;
  std::string words, held;  // held: an output that was not taken must stay as it is
  std::size_t count = 0, done = 0;
};

int main(int, char** arguments) {
  folder = arguments[1];
  std::mt19937_64 random(std::strtoull(arguments[2], nullptr, 10));
  const double idle = std::atof(arguments[3]), stall = std::atof(arguments[4]);
  const unsigned long long limit = std::strtoull(arguments[5], nullptr, 10);
  auto chance = [&](double p) { return std::uniform_real_distribution<>(0, 1)(random) < p; };

  Design design((int)(random() & 0x7fffffff) | 1);
  std::vector<Traffic> all;
  for (const Port& port : design.ports) {
    Traffic traffic{port, {}, {}};
    if (port.is_input) {
      traffic.words = contents(std::string(port.name) + ".in");
      traffic.count = traffic.words.size() / port.bytes;
    } else {
      traffic.count = std::strtoull(contents(std::string(port.name) + ".count").c_str(), nullptr, 10);
    }
    all.push_back(traffic);
  }
  auto tick = [&] {
    *design.clock = 1;
    design.eval();
    *design.clock = 0;
    design.eval();
  };
  *design.clock = 0;
  *design.reset_n = 0;
  for (auto& t : all) (t.port.is_input ? *t.port.valid : *t.port.ready) = 0;
  design.eval();
  for (int k = 0; k < 3; ++k) tick();
  *design.reset_n = 1;

  for (unsigned quiet = 0; quiet < 100; ++cycle) {
    if (cycle > limit) {
      std::string what = "no end:";
      for (auto& t : all) {
        what += " " + std::string(t.port.name) + " " + std::to_string(t.done) + "/" + std::to_string(t.count);
      }
      fail(what);
    }
    for (auto& t : all) {
      if (!t.port.is_input) {
        *t.port.ready = !chance(stall);
      } else if (!*t.port.valid && t.done < t.count && !chance(idle)) {
        std::memcpy(t.port.data, &t.words[t.done * t.port.bytes], t.port.bytes);
        *t.port.valid = 1;
      }
    }
    design.eval();
    bool complete = true;
    std::vector<Port> taken;
    for (auto& t : all) {
      const std::string word((const char*)t.port.data, t.port.bytes);
      if (!t.port.is_input) {
        const bool changed = !t.held.empty() && (!*t.port.valid || word != t.held);
        if (changed) fail(std::string(t.port.name) + " did not hold its word");
        t.held = *t.port.valid && !*t.port.ready ? word : "";
      }
      if (*t.port.valid && *t.port.ready) {
        if (t.done++ == t.count) fail(std::string(t.port.name) + " gives more words than the program");
        if (t.port.is_input) taken.push_back(t.port);
        else t.words += word;
      }
      complete = complete && t.done == t.count;
    }
    tick();
    for (auto& port : taken) *port.valid = 0;
    quiet = complete ? quiet + 1 : 0;
  }
  for (auto& t : all) {
    if (t.port.is_input) continue;
    std::FILE* file = std::fopen((folder + "/" + t.port.name + ".out").c_str(), "wb");
    std::fwrite(t.words.data(), 1, t.words.size(), file);
    std::fclose(file);
  }
}
