"""Networks as PyTorch modules, with periodic sparse convolutions, and the baselines to read them beside."""
