"""A byte link to a board: a serial port, or anything else with these methods."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from pymodel.common.errors import ConfigError

Result = TypeVar("Result")
NEEDS_SERIAL = "needs pyserial: pip install 'psconv[board]'"


class Port(Protocol):
    """Bytes to a board and from it."""

    def write(self, data: bytes) -> None:
        """Sends bytes; returns when they are on their way."""

    def read(self, timeout: float) -> bytes:
        """The bytes that have come, at least one; none where none came within `timeout` s."""

    def wait(self, seconds: float) -> None:
        """Lets time pass."""

    def close(self) -> None:
        """Ends it."""


class SerialPort:
    """A serial port of this machine."""

    def __init__(self, device: str, baud: int) -> None:
        """Raises ConfigError: no pyserial, no such port, a port that cannot be used so."""
        try:
            import serial
        except ModuleNotFoundError:
            raise ConfigError(f"--port: {NEEDS_SERIAL}") from None
        try:
            self._port = serial.Serial(device, baud, timeout=0, write_timeout=10, exclusive=True)
        except (serial.SerialException, ValueError, OSError) as error:
            raise ConfigError(f"--port: {device}: {_why(error)}; there are: {', '.join(ports()) or 'none'}") from error
        self.device = device

    def write(self, data: bytes) -> None:
        self._do(lambda: self._port.write(data))

    def read(self, timeout: float) -> bytes:
        def one() -> bytes:
            self._port.timeout = timeout
            first: bytes = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else b""

        return self._do(one)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        self._port.close()

    def _do(self, what: Callable[[], Result]) -> Result:
        import serial

        try:
            return what()
        except (serial.SerialException, OSError) as error:
            raise ConfigError(f"--port: {self.device}: {_why(error)}") from error


def ports() -> list[str]:
    """The serial ports of this machine."""
    from serial.tools import list_ports

    return sorted(port.device for port in list_ports.comports())


def _why(error: Exception) -> str:
    """What the system says, without pyserial's repetition of the port's name."""
    code = getattr(error, "errno", None)
    if isinstance(error, OSError) and code:
        return os.strerror(code)
    return str(error)
