"""Measurements: `python -m scripts bench NAME` runs one, prints its tables and writes them with machine and versions.

A benchmark is a module here with

    PACKAGES                       names of the installed packages that its numbers depend on
    run(folder, progress)          -> list[Table]; scratch and plots go to `folder`, `progress(text)` says what is next

and a line in BENCHMARKS. What it prints is what was just measured; docs/measurements/performance.md shows such tables.
"""

from __future__ import annotations

# Name -> what it measures. In the order in which `python -m scripts bench all` runs them.
BENCHMARKS = {
    "golden": "golden model against onnxruntime's dense int8, whole ResNet18",
    "training": "training steps over a periodic support against dense ones, layers of ResNet18 and whole steps",
    "recipes": "what each recipe of a training does to accuracy, one at a time, and 4 bits, on a small network",
    "robust": "networks trained on attacked images, their weights in fixed places or moved: accuracy under attack",
    "mixture": "mixture normalisation against batch norm: steps to an accuracy, and what one Gaussian costs",
    "versus": "periodic engine against dense and against an index beside each weight, at equal multipliers",
    "clock": "Fmax of engines on an ECP5 after place and route, and the critical paths in lines of C++",
    "packing": "engines with several products in each multiplier: resources and cycles, from the whole flow",
    "width": "look-up tables a lane, from one rotation of the ring to a period of them, and of several pixels",
    "tools": "compile time, simulators and the steps' caches for layers of ResNet18, against the aims",
    "growth": "time and cells against lanes, weights, pixels and batch, with exponents and plots",
    "utilisation": "how much of the multipliers' time is useful, per layer and over whole networks, fill included",
    "peer": "NNgen's engines beside ours on the same layers: multipliers, resources, cycles",
    "energy": "storage, traffic and energy of the papers' networks by weight format: a model",
    "networks": "whole networks as one top, from nothing: exactness, seconds, resources beside the device, memory bits",
}

# Those whose packages no other part of the project needs, and the optional extra of pyproject.toml that brings them.
OPTIONAL = {"peer": "peer"}
