"""Where the files of a run lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pymodel.common.files import remove_partial

DESIGNS = "designs"  # a key of config.json


@dataclass(frozen=True)
class Layout:
    """The folder that a user names with --out (docs/reference/interfaces.md lists its files)."""

    root: Path

    def golden(self, layer: str) -> Path:
        return self.root / "golden" / f"{layer}.npz"

    def csim(self, layer: str) -> Path:
        return self.root / "csim" / f"{layer}.npz"

    def synth(self, layer: str) -> Path:
        return self.root / "synth" / layer

    def cosim(self, layer: str) -> Path:
        return self.root / "cosim" / f"{layer}.npz"

    def simulation(self, layer: str) -> Path:
        """Cycles, errors and times of the simulations whose outputs are in `cosim`."""
        return self.root / "cosim" / f"{layer}.json"

    def build(self, layer: str) -> Path:
        """Scratch of the simulator: binaries, logs, waveforms."""
        return self.root / "build" / layer

    def resources(self, layer: str) -> Path:
        return self.root / "resources" / f"{layer}.json"

    def vendor(self, tool: str, layer: str) -> Path:
        """Project of an HLS tool of the user (vitis, bambu)."""
        return self.root / tool / layer

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def config(self) -> Path:
        """What the files are of: the resolved configuration and, under DESIGNS, the names of its layers or network."""
        return self.root / "config.json"

    def sweep(self) -> None:
        """Remove what a kill left half written. Nobody else may be writing here."""
        remove_partial(self.root)
        for folder in ("golden", "csim", "synth", "cosim", "build", "resources", "report"):
            remove_partial(self.root / folder, below=True)
