// SPDX-License-Identifier: Apache-2.0
//
// Images, pixel by pixel -> the outputs of a top of hls/engine/example, a line a beat: TLAST, then its numbers.
#include "example/tops.hpp"
#include "words_io.hpp"

#ifdef TWO
using OutputBeat = ScoreBeat;
static const int OUTPUTS = 1, BEATS = 32;
#else
using OutputBeat = FeatureBeat;
static const int OUTPUTS = 4, BEATS = 16;
#endif

int main() {
  hls::stream<ap_uint<32>> words;
  read_words<8, 4>(words);
  while (!words.empty()) {
    hls::stream<ImageBeat> x;
    hls::stream<OutputBeat> y;
    for (int pixel = 0; pixel < 16; ++pixel) psconv::send(x, words.read(), pixel == 15);
#ifdef TWO
    two_engines(x, y);
#else
    one_engine(x, y);
#endif
    for (int beat = 0; beat < BEATS; ++beat) {
      const OutputBeat made = y.read();
      std::printf("%d ", int(made.last));
      print_word<8>(psconv::payload<8 * OUTPUTS>(made));
    }
    if (!x.empty() || !y.empty()) return 1;
  }
}
