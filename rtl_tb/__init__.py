"""Cocotb benches for AXI4-Stream designs: the same bench for the RTL of any HLS tool, told apart by ports.json.

The beats move in SystemVerilog that Verilator compiles together with the design; cocotb starts, supervises and
judges.

ports        names, clock and reset of a design; the naming rules of the HLS tools
sv/          source, sink, protocol checker, probe and run control; the template of the top around a design
harness      that top, from ports.json
records      the binary files between Python and sv/
build        Verilator: a design and its bench become a simulator
runner       `simulate`: build, run, result
job          what a run is told
bench        the cocotb test (runs inside the simulator)
progress     how far a run is
result       what a run came to
scoreboard   recorded beats and words against expected ones, in order
watchdog     who waits for whom when nothing moves
processes    child processes that never outlive this one
"""
