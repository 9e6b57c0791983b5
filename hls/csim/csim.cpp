// SPDX-License-Identifier: Apache-2.0
//
// C simulation: csim INPUT OUTPUT runs the engine on whole images.
//
// INPUT holds the beats of the images one after the other, each as its bytes of TDATA, least significant
// first; OUTPUT gets the output beats alike. Exits with 1 and a line on stderr if a file cannot be read or
// written, INPUT is no whole number of images, or the engine gives a wrong number of beats, or wrong TLAST,
// TKEEP or TSTRB.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "psconv_engine.hpp"

typedef psconv::Geometry<EngineConfig> G;
typedef std::vector<unsigned char> Bytes;

static const int IN_BYTES = psconv::whole_bytes(G::BEAT_BITS) / 8;
static const int OUT_BYTES = psconv::whole_bytes(G::GROUP_BITS) / 8;
static const int IN_BEATS = EngineConfig::HEIGHT * G::ROW_BEATS;
static const int GROUPS = (EngineConfig::STEPS + EngineConfig::PERIOD - 1) / EngineConfig::PERIOD;
static const int OUT_BEATS = G::PIXELS * GROUPS;

static void fail(const std::string& message) {
  std::fprintf(stderr, "csim: %s\n", message.c_str());
  std::exit(1);
}

static InputBeat input_beat(const unsigned char* bytes, bool last) {
  InputBeat beat;
  for (int i = 0; i < IN_BYTES; ++i) beat.data.range(8 * i + 7, 8 * i) = ap_uint<8>(bytes[i]);
  beat.keep = -1;
  beat.strb = -1;
  beat.last = last;
  return beat;
}

static void append(Bytes& output, const OutputBeat& beat, bool last) {
  const std::string position = std::to_string(output.size() / OUT_BYTES);
  if (beat.last.to_int() != int(last)) fail("TLAST is wrong at output beat " + position);
  const ap_uint<OUT_BYTES> all = -1;
  if (beat.keep != all || beat.strb != all) fail("TKEEP or TSTRB is not all ones at output beat " + position);
  for (int i = 0; i < OUT_BYTES; ++i)
    output.push_back(static_cast<unsigned char>(ap_uint<8>(beat.data.range(8 * i + 7, 8 * i)).to_int()));
}

int main(int argc, char** argv) {
  if (argc != 3) fail("usage: csim INPUT OUTPUT");
  std::ifstream source(argv[1], std::ios::binary);
  if (!source) fail(std::string("cannot read ") + argv[1]);
  const Bytes input((std::istreambuf_iterator<char>(source)), std::istreambuf_iterator<char>());
  const std::size_t image_bytes = std::size_t(IN_BEATS) * IN_BYTES;
  if (input.size() % image_bytes != 0) fail(std::string(argv[1]) + " is not a whole number of images");

  Bytes output;
  hls::stream<InputBeat> x("x");
  hls::stream<OutputBeat> y("y");
  for (std::size_t image = 0; image < input.size() / image_bytes; ++image) {
    for (int beat = 0; beat < IN_BEATS; ++beat)
      x.write(input_beat(&input[image * image_bytes + std::size_t(beat) * IN_BYTES], beat == IN_BEATS - 1));
    psconv_engine(x, y);
    if (!x.empty()) fail("the engine left input beats unread");
    for (int beat = 0; beat < OUT_BEATS; ++beat) {
      if (y.empty()) fail("the engine gave too few beats");
      append(output, y.read(), beat == OUT_BEATS - 1);
    }
    if (!y.empty()) fail("the engine gave too many beats");
  }

  std::ofstream sink(argv[2], std::ios::binary);
  sink.write(reinterpret_cast<const char*>(output.data()), static_cast<std::streamsize>(output.size()));
  if (!sink.flush()) fail(std::string("cannot write ") + argv[2]);
  return 0;
}
