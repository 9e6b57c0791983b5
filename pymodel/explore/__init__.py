"""Parallelism of a network's layers, chosen to the optimum: costs, options, solver, frontier.

docs/guide/explore.md has the problem and the proof.
"""
