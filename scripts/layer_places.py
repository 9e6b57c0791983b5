"""The places of a type of layer: tests/network/test_layer_types.py tries them, docs/guide/extending.md lists them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A rule of layers, and where each type of layer has its own.

    where: module and object, `pymodel.network.topology:Layer`. what: stands there. of: the layers that need it.
    """

    rule: str
    where: str
    what: str
    of: str = "every layer"

    @property
    def file(self) -> str:
        """The module as a file of this repository."""
        return self.where.partition(":")[0].replace(".", "/") + ".py"

    @property
    def name(self) -> str:
        """The object in it."""
        return self.where.partition(":")[2]


WEIGHTED = "layers with weights"

PLACES = (
    Place("shape", "pymodel.network.topology:Layer", "its class: keys, `out_shape`, an `op`; and its entry in `Layer`"),
    Place("integers", "pymodel.golden.model:_whole", "its integer operation; `pymodel/golden/ops.py` defines it"),
    Place(
        "kernel",
        "pymodel.golden.model:_by_kernel",
        "the same by the compiled kernel; else numpy computes it",
    ),
    Place("formats", "pymodel.network.bundle:Bundle._check_unweighted", "which formats of inputs and output it allows"),
    Place("generated weights", "pymodel.network.random_bundle:random_bundle", "a network that is not trained"),
    Place("module", "pymodel.nn.build:_module", "its torch module"),
    Place("folding", "pymodel.training.fold:fold_batch_norm", "what of batch norm goes into its weights"),
    Place("calibration", "pymodel.training.calibrate:_shared_formats", "whether its output has a format of its own"),
    Place("fixed point", "pymodel.training.fixed_point:FixedPointNetwork", "the golden model's integers in torch"),
    Place("complexity", "pymodel.counts.complexity:_layer", "its parameters and multiply-accumulates", WEIGHTED),
    Place("storage", "pymodel.counts.storage:network_storage", "bits of its weights, format by format", WEIGHTED),
    Place("traffic", "pymodel.counts.traffic:fitted_shape", "the engine whose traffic is counted", WEIGHTED),
    Place("engine", "pymodel.engine.shape_of:engine_shape", "the engine that computes it", WEIGHTED),
    Place("hardware", "pymodel.top.dataflow:_Builder._layer", "its unit"),
    Place("C++", "pymodel.top.units:Unit", "a unit's constants; its function is a header of `hls/engine`"),
    Place("cycles", "pymodel.top.units:Unit.processes", "its processes as openhls schedules them"),
    Place("memory", "pymodel.top.memory:memories_of", "its memories as openhls builds them"),
    Place("campaigns", "scripts.hunt.integers:_output", "an independent answer for `python -m scripts hunt`"),
    Place("onnxruntime", "scripts.benchmarks.golden:onnx_session", "its form in ONNX, of layers that ResNet18 has"),
)
