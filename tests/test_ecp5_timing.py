"""Clocks that the delay model of the ECP5 promises are met when the RTL is placed and routed."""

from __future__ import annotations

from pathlib import Path

import pytest
from openhls import compile_hls

from psconv.synthesis.place_route import place_and_route
from psconv.synthesis.targets import load_target

# The largest of four elements of 16 channels, as pooling has it, behind a FIFO of two wide words.
LARGEST = """
#include "ap_int.h"
#include "hls_stream.h"
void windows(hls::stream<ap_uint<512>>& x, hls::stream<ap_uint<512>>& y) {
#pragma HLS PIPELINE II = 1
  y.write(x.read());
}
void reduce(hls::stream<ap_uint<512>>& x, hls::stream<ap_uint<128>>& y) {
#pragma HLS PIPELINE II = 1
  const ap_uint<512> window = x.read();
  ap_uint<128> word = 0;
  for (int channel = 0; channel < 16; ++channel) {
#pragma HLS UNROLL
    ap_int<8> best = window.range(channel * 8 + 7, channel * 8);
    for (int tap = 1; tap < 4; ++tap) {
#pragma HLS UNROLL
      const int at = (tap * 16 + channel) * 8;
      const ap_int<8> value = window.range(at + 7, at);
      if (value > best) best = value;
    }
    word.range(channel * 8 + 7, channel * 8) = best;
  }
  y.write(word);
}
void top(hls::stream<ap_uint<512>>& x, hls::stream<ap_uint<128>>& y) {
#pragma HLS DATAFLOW
  hls::stream<ap_uint<512>> between;
#pragma HLS STREAM variable = between depth = 2
  windows(x, between);
  reduce(between, y);
}
"""


@pytest.mark.slow
def test_comparisons_behind_a_wide_fifo_meet_their_clock(tmp_path: Path) -> None:
    """Both cost more than their logic: a carry that leaves its chain, and an address with hundreds of readers."""
    kernel = tmp_path / "largest.cpp"
    kernel.write_text(LARGEST)
    made = compile_hls([kernel], "top", target="ecp5", clock_ns=10.0, out=tmp_path / "rtl")
    (reduce,) = (process for process in made.schedule.processes if process.name == "reduce")
    placed = place_and_route(made.rtl, "top", load_target("ulx3s_85f"), 10.0)
    assert placed["met"], (placed["fmax_mhz"], reduce.longest_stage_ns, placed["critical_path_ns_by_element"])
