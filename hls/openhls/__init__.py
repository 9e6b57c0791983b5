"""openhls: a small HLS compiler, C++ -> clang -> LLVM -> CIRCT -> SystemVerilog.

It knows `hls::stream`, `ap_int`, `#pragma HLS` and nothing of what the kernels compute.
"""
