"""AMD Zynq boards: a design behind AXI4-Stream and AXI4-Lite as Vivado's users know them, and a driver for PYNQ."""
