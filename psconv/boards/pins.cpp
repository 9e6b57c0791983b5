// Drives the pins of a board in simulation: its clock, and its serial line bit by bit at the baud rate. What is sent and
// received goes through standard input and output, so that the host's program talks to the simulated board.
//
// Arguments: clock cycles of a bit, seed. Commands, numbers in 4 bytes, little endian:
//   'W' n bytes      to be sent, behind what waits already
//   'R' n            run until a byte comes, but at most n cycles; answer: number of bytes, bytes
//   'E' flip lost    from now on flip a bit (start and stop bits, too), lose a byte with this probability * 2^-32
//   'B' n            hold the reset button for n cycles
//   'C'              answer: cycles so far (8 bytes)
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

namespace {

template <typename Top> void press(Top& top, bool down) {
  if constexpr (requires { top.button; }) top.button = down != BUTTON_ACTIVE_LOW;
}

class Line {
 public:
  Line(VerilatedContext& context, double cycles_of_bit, unsigned seed)
      : top_(&context), cycles_of_bit_(cycles_of_bit), random_(seed) {
    top_.rx = 1;
    press(top_, false);
  }

  void send(uint8_t byte) {
    if (!happens(lost_)) waiting_.push_back(byte);
  }

  // One cycle of the clock.
  void step() {
    drive();
    top_.clk = 0;
    top_.eval();
    top_.clk = 1;
    top_.eval();
    ++cycle_;
    listen();
  }

  void hold_button(uint32_t cycles) {
    press(top_, true);
    for (uint32_t k = 0; k < cycles; ++k) step();
    press(top_, false);
  }

  void errors(uint32_t flip, uint32_t lost) { flip_ = flip, lost_ = lost; }
  uint64_t cycles() const { return cycle_; }
  std::vector<uint8_t> received;

 private:
  bool happens(uint32_t chance) { return chance != 0 && random_() < chance; }

  void drive() {
    if (sent_ == 0) {
      if (waiting_.empty()) return;
      bits_ = 0x200u | waiting_.front() << 1;  // start bit, byte, stop bit
      waiting_.pop_front();
      for (int k = 0; k < 10; ++k) bits_ ^= unsigned(happens(flip_)) << k;
      begin_ = double(cycle_);
      sent_ = 10;
      top_.rx = bits_ & 1;
    }
    int now = int((double(cycle_) - begin_) / cycles_of_bit_);
    if (now >= 10)
      sent_ = 0, top_.rx = 1;
    else
      top_.rx = bits_ >> now & 1;
  }

  void listen() {
    if (state_ < 0) {
      if (top_.tx) return;
      state_ = 0;
      next_ = double(cycle_) + cycles_of_bit_ / 2;
    } else if (double(cycle_) >= next_) {
      unsigned bit = top_.tx ^ unsigned(happens(flip_));
      next_ += cycles_of_bit_;
      if (state_ >= 1 && state_ <= 8) byte_ = byte_ >> 1 | bit << 7;
      if (state_ == 9) {
        if (bit && !happens(lost_)) received.push_back(uint8_t(byte_));  // a host drops a byte without a stop bit
        state_ = -1;
      } else {
        state_ = state_ == 0 && bit ? -1 : state_ + 1;
      }
    }
  }

  Vtop top_;
  double cycles_of_bit_;
  std::mt19937 random_;
  std::deque<uint8_t> waiting_;
  uint64_t cycle_ = 0;
  uint32_t flip_ = 0, lost_ = 0;
  unsigned bits_ = 0, byte_ = 0;
  double begin_ = 0, next_ = 0;
  int sent_ = 0, state_ = -1;
};

uint32_t number() {
  uint8_t b[4];
  if (std::fread(b, 1, 4, stdin) != 4) std::exit(0);
  return b[0] | b[1] << 8 | b[2] << 16 | uint32_t(b[3]) << 24;
}

void tell(uint64_t value, int bytes) {
  for (int k = 0; k < bytes; ++k) std::putchar(int(value >> 8 * k & 0xff));
}

}  // namespace

int main(int argc, char** argv) {
  auto context = std::make_unique<VerilatedContext>();
  context->commandArgs(argc, argv);
  Line line(*context, std::atof(argv[1]), unsigned(std::atoi(argv[2])));
  for (int command; (command = std::getchar()) != EOF;) {
    if (command == 'W') {
      for (uint32_t left = number(); left; --left) line.send(uint8_t(std::getchar()));
    } else if (command == 'R') {
      for (uint32_t left = number(); left && line.received.empty(); --left) line.step();
      tell(line.received.size(), 4);
      for (uint8_t byte : line.received) std::putchar(byte);
      line.received.clear();
    } else if (command == 'E') {
      uint32_t flip = number();
      line.errors(flip, number());
    } else if (command == 'B') {
      line.hold_button(number());
    } else if (command == 'C') {
      tell(line.cycles(), 8);
    }
    std::fflush(stdout);
  }
  return 0;
}
