"""What a network costs on paper: parameters, multiply-accumulates, storage, memory traffic, energy."""
