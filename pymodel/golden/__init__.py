"""The golden model: exact integers of every layer, by numpy or by a compiled kernel."""
