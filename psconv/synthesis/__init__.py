"""What yosys and nextpnr say of a design: cells by device, operands of multipliers, the clock and what limits it."""
