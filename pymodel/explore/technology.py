"""The technologies of devices that there is a cost model for: what costs depend on beside the fitted coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pymodel.common.errors import ConfigError
from pymodel.engine.memories import LutRam

FOLDER = Path(__file__).with_name("calibration")  # of the fitted models


@dataclass(frozen=True)
class Technology:
    """One silicon and one library of yosys.

    families: of devices, as constraints/ calls them. lut_ram: RAM of look-up tables. multiplier_bits: of the wide side
    of a DSP block. device: the one of constraints/ that the model is calibrated on, for its clock. ultra_ram: whether
    its devices may have UltraRAM. like: the technology whose model says what the measurements of this one leave open,
    where it is calibrated on a sample.
    """

    name: str
    families: tuple[str, ...]
    lut_ram: LutRam
    multiplier_bits: int
    device: str
    ultra_ram: bool = False
    like: Technology | None = None

    @property
    def calibration(self) -> Path:
        """The file of the engines' model."""
        return FOLDER / f"{self.name}.yaml"

    @property
    def streamed_calibration(self) -> Path:
        """The file of the model of engines whose weights are streamed."""
        return FOLDER / f"{self.name}_streamed.yaml"

    @property
    def unit_calibration(self) -> Path:
        """The file of the models of the units between them."""
        return FOLDER / f"{self.name}_units.yaml"

    @property
    def calibrations(self) -> dict[str, Path]:
        """The file of each of its models, by the script of scripts/ that makes it."""
        return {
            "calibrate_costs": self.calibration,
            "calibrate_units": self.unit_calibration,
            "calibrate_streamed": self.streamed_calibration,
        }


ULTRASCALE_PLUS = Technology(
    "ultrascale_plus", ("zynq_uplus", "virtex_uplus"), LutRam(14, 7, 8), 27, "zcu104", ultra_ram=True
)
SERIES_7 = Technology("series_7", ("zynq7000",), LutRam(6, 3, 4), 25, "pynq_z2", like=ULTRASCALE_PLUS)
TECHNOLOGIES = {technology.name: technology for technology in (ULTRASCALE_PLUS, SERIES_7)}


def calibrated() -> list[Technology]:
    """The technologies all of whose models have been measured and fitted."""
    return [one for one in TECHNOLOGIES.values() if all(path.exists() for path in one.calibrations.values())]


def technology_of(family: str) -> Technology:
    """The technology of a family of devices.

    Raises ConfigError for a family that there is no cost model for, with the commands that make one.
    """
    known = calibrated()
    for technology in known:
        if family in technology.families:
            return technology
    families = [one for technology in known for one in technology.families]
    devices = [technology.device for technology in known]
    missing = [technology.name for technology in TECHNOLOGIES.values() if family in technology.families]
    if missing:
        how, name = f"calibrate {missing[0]}", missing[0]
    else:
        how, name = "describe a technology of that family in pymodel/explore/technology.py and calibrate it", "NAME"
    commands = ", ".join(f"python -m scripts.{script} {name}" for script in ULTRASCALE_PLUS.calibrations)
    raise ConfigError(
        f"target: family: must be one of {', '.join(families)} for the cost model, got {family!r}; choose another "
        f"device, such as {' or '.join(devices)}, or {how}: {commands}"
    )
