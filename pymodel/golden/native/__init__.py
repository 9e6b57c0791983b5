"""The golden model's compiled kernel, optional: numpy computes the same where there is none."""
