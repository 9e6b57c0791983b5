# Clock of the engine as a block of its own (out of context); the board's pins belong to the design around it.
create_clock -name ap_clk -period 10.0 [get_ports ap_clk]
