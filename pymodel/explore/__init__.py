"""Parallelism of a network's layers, chosen to the optimum: costs, options, solver, frontier (docs/explore.md)."""
