"""The tests. A package, so that its name is this folder whatever is installed: some wheels bring a `tests` too."""
