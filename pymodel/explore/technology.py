"""The technologies of devices that there is a cost model for: what costs depend on beside the fitted coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pymodel.common.errors import ConfigError
from pymodel.engine.memories import LutRam

_CALIBRATION = Path(__file__).with_name("calibration")


@dataclass(frozen=True)
class Technology:
    """One silicon and one library of yosys.

    families: of devices, as constraints/ calls them. lut_ram: RAM of look-up tables. multiplier_bits: of the wide side
    of a DSP block. device: the one of constraints/ that the model is calibrated on, for its clock.
    """

    name: str
    families: tuple[str, ...]
    lut_ram: LutRam
    multiplier_bits: int
    device: str

    @property
    def calibration(self) -> Path:
        """The file of the engines' model."""
        return _CALIBRATION / f"{self.name}.yaml"

    @property
    def streamed_calibration(self) -> Path:
        """The file of the model of engines whose weights are streamed; not every technology has one."""
        return _CALIBRATION / f"{self.name}_streamed.yaml"

    @property
    def unit_calibration(self) -> Path:
        """The file of the models of the units between them."""
        return _CALIBRATION / f"{self.name}_units.yaml"


ULTRASCALE_PLUS = Technology("ultrascale_plus", ("zynq_uplus", "virtex_uplus"), LutRam(14, 7, 8), 27, "zcu104")
TECHNOLOGIES = {technology.name: technology for technology in (ULTRASCALE_PLUS,)}


def technology_of(family: str) -> Technology:
    """The technology of a family of devices. Raises ConfigError for one that there is no cost model for."""
    for technology in TECHNOLOGIES.values():
        if family in technology.families:
            return technology
    known = [one for technology in TECHNOLOGIES.values() for one in technology.families]
    devices = [technology.device for technology in TECHNOLOGIES.values()]
    raise ConfigError(
        f"target: family: must be one of {', '.join(known)} for the cost model, got {family!r}; choose another device, "
        f"such as {' or '.join(devices)}"
    )
