"""Boards: what stands between a design and the pins, or the processor, of a board."""
