"""Cocotb benches for AXI4-Stream designs: the same bench for the RTL of any HLS tool, told apart by
ports.json.

ports        names, clock and reset of a design; the naming rules of the HLS tools
axis         source and sink: a beat per cycle, with random idle cycles and back-pressure
protocol     the rules of AXI4-Stream that a design must keep
scoreboard   received beats against expected ones, in order
watchdog     ends a run that makes no progress and says who waits for whom
bench        the cocotb test that joins them (runs inside the simulator)
runner       Verilator build and run: `simulate`
"""
