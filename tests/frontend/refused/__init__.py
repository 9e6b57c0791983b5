"""Models that cannot be built: `make_model`, the SHAPE of an image, and what must be TOLD, line by line."""
