// SPDX-License-Identifier: Apache-2.0
//
// C simulation: csim INPUT OUTPUT runs a top (PSCONV_TOP of top.hpp) on whole images; csim alone, as the HLS
// tools call it in their own C simulation and C/RTL co-simulation, takes x.dat (and w.dat) and compares the
// outputs with y.dat.
//
// INPUT holds the beats of the images one after the other, each as its bytes of TDATA, least significant
// first; OUTPUT gets the output beats alike. Exits with 1 and a line on stderr if a file cannot be read or
// written, INPUT is no whole number of images, the top gives a wrong number of beats, wrong TLAST, TKEEP
// or TSTRB, or an output differs from y.dat.
//
// A network whose weights are loaded (PSCONV_PACKETS) takes packets of any number of beats in the place of
// images; INPUT has that number before the beats of each, in four bytes, least significant first.
//
// A network with layers whose weights come by ports of their own (PSCONV_WEIGHT_PORTS) is run as csim INPUT
// OUTPUT WEIGHTS: the weight beats of the images, of each image those of one port after the other, as bytes
// of TDATA. Where WEIGHTS ends before the images do, it is given again from its start.
//
// A network with several outputs (PSCONV_OUTPUTS) has a port for each; OUTPUT gets, of each image, the beats of one
// port after the other.
//
// The streams carry AXI4-Stream beats, or plain words where a tool has no side channels (hls/bambu).
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "top.hpp"

// Ends the program: a line on stderr, formatted as by printf.
__attribute__((format(printf, 1, 2))) static void fail(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  std::fprintf(stderr, "csim: ");
  std::vfprintf(stderr, format, arguments);
  std::fprintf(stderr, "\n");
  va_end(arguments);
  std::exit(1);
}

// A file's bytes. C++'s containers and files take as long to compile as all the rest; they are left out.
class Bytes {
 public:
  Bytes() {}
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes() { std::free(bytes_); }

  std::size_t size() const { return size_; }
  const unsigned char& operator[](std::size_t i) const { return bytes_[i]; }

  void push_back(unsigned char byte) {
    reserve(size_ + 1);
    bytes_[size_++] = byte;
  }

  void read(const char* path) {
    std::FILE* const file = std::fopen(path, "rb");
    if (!file) fail("cannot read %s", path);
    std::size_t count = 0;
    do {
      reserve(size_ + (1 << 16));
      count = std::fread(bytes_ + size_, 1, 1 << 16, file);
      size_ += count;
    } while (count);
    if (std::ferror(file)) fail("cannot read %s", path);
    std::fclose(file);
  }

  void write(const char* path) const {
    std::FILE* const file = std::fopen(path, "wb");
    if (!file || std::fwrite(bytes_, 1, size_, file) != size_ || std::fclose(file)) fail("cannot write %s", path);
  }

 private:
  void reserve(std::size_t size) {
    if (size <= capacity_) return;
    capacity_ = 2 * size;
    bytes_ = static_cast<unsigned char*>(std::realloc(bytes_, capacity_));
    if (!bytes_) fail("no memory");
  }

  unsigned char* bytes_ = nullptr;
  std::size_t size_ = 0, capacity_ = 0;
};

static const int IN_BYTES = psconv::whole_bytes(INPUT_BITS) / 8;

#ifdef PSCONV_OUTPUTS
template <int BITS> using Output = psconv::AxiBeat<BITS>;
static const int POSITION_BYTES = 1;  // beats have no one size: positions in y.dat are those of bytes
#else
#define PSCONV_OUTPUTS(PORT) PORT(y, OUTPUT_BITS, OUTPUT_WORDS)
#define PSCONV_OUTPUT_ARGUMENTS y
template <int> using Output = OutputBeat;
static const int POSITION_BYTES = psconv::whole_bytes(OUTPUT_BITS) / 8;
#endif

template <int BYTES, class Beat> static void send_bytes(hls::stream<Beat>& x, const unsigned char* bytes, bool last) {
  ap_uint<8 * BYTES> word = 0;
  for (int i = 0; i < BYTES; ++i) word.range(8 * i + 7, 8 * i) = ap_uint<8>(bytes[i]);
  psconv::send(x, word, last);
}

#ifdef PSCONV_WEIGHT_PORTS
// Sends the weights of an image by one port, from `at` on, which moves behind them.
template <int BITS>
static void send_weights(hls::stream<psconv::AxiBeat<BITS>>& port, int words, const Bytes& weights, std::size_t& at) {
  const int bytes = psconv::whole_bytes(BITS) / 8;
  if (at + std::size_t(words) * bytes > weights.size()) fail("WEIGHTS is not a whole number of images");
  for (int word = 0; word < words; ++word, at += bytes)
    send_bytes<psconv::whole_bytes(BITS) / 8>(port, &weights[at], word == words - 1);
}
#endif

template <int, int W> void check_sides(const ap_uint<W>&, bool, int) {}  // a word has none
template <int BYTES, class Beat> void check_sides(const Beat& beat, bool last, int position) {
  if (beat.last.to_int() != int(last)) fail("TLAST is wrong at output beat %d", position);
  const ap_uint<BYTES> all = -1;
  if (beat.keep != all || beat.strb != all) fail("TKEEP or TSTRB is not all ones at output beat %d", position);
}

// Beats of what stands in the input at `at`, which moves to the first of them.
static int beats_at(const Bytes& input, std::size_t& at) {
#ifdef PSCONV_PACKETS
  if (at + 4 > input.size()) fail("the number of beats of a packet is cut short");
  const int beats = input[at] | input[at + 1] << 8 | input[at + 2] << 16 | input[at + 3] << 24;
  at += 4;
#else
  const int beats = INPUT_WORDS;
#endif
  if (at + std::size_t(beats) * IN_BYTES > input.size()) fail("the input is not a whole number of images");
  return beats;
}

// The beats of an image, its number `image`, that came out of one port.
template <int BYTES, class Beat> static void append(Bytes& output, hls::stream<Beat>& y, int beats, int image) {
  for (int n = 0; n < beats; ++n) {
    if (y.empty()) fail("the top gave too few beats");
    const Beat beat = y.read();
    check_sides<BYTES>(beat, n == beats - 1, image * beats + n);
    ap_uint<8 * BYTES> word = psconv::payload<8 * BYTES>(beat);
    for (int i = 0; i < BYTES; ++i)
      output.push_back(static_cast<unsigned char>(ap_uint<8>(word.range(8 * i + 7, 8 * i)).to_int()));
  }
  if (!y.empty()) fail("the top gave too many beats");
}

static void compare(const Bytes& output, const Bytes& expected) {
  if (output.size() != expected.size()) fail("y.dat has another number of output beats");
  for (std::size_t i = 0; i < output.size(); ++i) {
    if (output[i] != expected[i])
      fail("output beat %d, byte %d: %d instead of %d", int(i / POSITION_BYTES), int(i % POSITION_BYTES),
           int(output[i]), int(expected[i]));
  }
  std::printf("csim: %u output beats, all as expected\n", unsigned(output.size() / POSITION_BYTES));
}

int main(int argc, char** argv) {
#ifdef PSCONV_WEIGHT_PORTS
  if (argc != 1 && argc != 4) fail("usage: csim [INPUT OUTPUT WEIGHTS]");
  Bytes weights;
  weights.read(argc > 1 ? argv[3] : "w.dat");
  std::size_t next_weight = 0;
#define PSCONV_STREAM(name, bits, words) hls::stream<psconv::AxiBeat<bits>> name;
  PSCONV_WEIGHT_PORTS(PSCONV_STREAM)
#define PSCONV_SEND(name, bits, words) send_weights<bits>(name, words, weights, next_weight);
#define PSCONV_EMPTY(name, bits, words) \
  if (!name.empty()) fail("the top left beats of " #name " unread");
#define PSCONV_ARGUMENT(name, bits, words) name,
#else
  if (argc != 1 && argc != 3) fail("usage: csim [INPUT OUTPUT]");
#endif
  Bytes input, output;
  input.read(argc > 1 ? argv[1] : "x.dat");
  hls::stream<InputBeat> x;  // no names: to Bambu the argument is a file to read from
#define PSCONV_SINK(name, bits, words) hls::stream<Output<bits>> name;
  PSCONV_OUTPUTS(PSCONV_SINK)
#define PSCONV_APPEND(name, bits, words) append<psconv::whole_bytes(bits) / 8>(output, name, words, image);
  int image = 0;
  for (std::size_t at = 0; at < input.size(); ++image) {
    const int beats = beats_at(input, at);
    for (int beat = 0; beat < beats; ++beat, at += IN_BYTES) send_bytes<IN_BYTES>(x, &input[at], beat == beats - 1);
#ifdef PSCONV_WEIGHT_PORTS
    if (next_weight == weights.size()) next_weight = 0;
    PSCONV_WEIGHT_PORTS(PSCONV_SEND)
    PSCONV_TOP(x, PSCONV_WEIGHT_PORTS(PSCONV_ARGUMENT) PSCONV_OUTPUT_ARGUMENTS);
    PSCONV_WEIGHT_PORTS(PSCONV_EMPTY)
#else
    PSCONV_TOP(x, PSCONV_OUTPUT_ARGUMENTS);
#endif
    if (!x.empty()) fail("the top left input beats unread");
    PSCONV_OUTPUTS(PSCONV_APPEND)
  }

  if (argc == 1) {
    Bytes expected;
    expected.read("y.dat");
    compare(output, expected);
    return 0;
  }
  output.write(argv[2]);
  return 0;
}
