"""Training, quantisation and sweeps in PyTorch; a bundle comes out."""
