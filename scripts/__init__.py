"""What is run on this repository: measurements, campaigns of random inputs, calibration. Not installed."""
