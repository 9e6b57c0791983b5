"""The engine of one layer: its shape, its words and ROMs, its C++, its processes and their timing, its memories."""
