"""psconv: periodic pre-defined sparse convolution (pSConv) on FPGAs, from a quantised network to checked RTL."""

__version__ = "0.1.0"
