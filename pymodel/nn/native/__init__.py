"""The compiled kernel of convolutions over a periodic support, in floating point, with their gradients."""
