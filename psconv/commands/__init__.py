"""What commands do that are no step of a run: explore, fits, compare, pack-weights, storage and energy."""
