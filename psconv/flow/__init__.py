"""A run: its configuration and inputs, the designs that it makes, and the steps from golden model to resources."""
