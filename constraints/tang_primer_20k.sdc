# Clock of the engine as a block of its own (out of context); the board's pins stand in its YAML file.
create_clock -name ap_clk -period 20.0 [get_ports {ap_clk}]
