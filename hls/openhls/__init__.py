"""openhls: a small HLS compiler, C++ -> clang -> LLVM -> CIRCT -> SystemVerilog.

It knows `hls::stream`, `ap_int`, `#pragma HLS` and nothing of what the kernels compute. What a user needs is here; it
is imported when it is first asked for, so that `import openhls` loads neither LLVM nor CIRCT:

    compile_hls      C++ to a folder of SystemVerilog
    HlsError         why something cannot be compiled, with the line
    Target           a delay model; load_target reads one, known_targets names those that come with openhls
    Schedule, Ports  what schedule.json and ports.json hold
    simulate         C++ to RTL, and both on the same words: whether they agree
    fingerprint      a digest of all of this compiler that its results depend on
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openhls.backend.targets import Target, known_targets, load_target
    from openhls.common.errors import HlsError
    from openhls.common.fingerprint import fingerprint
    from openhls.driver.compile import CompileResult, compile_hls
    from openhls.results.ports import Ports
    from openhls.results.schedule import Schedule
    from openhls.simulation.compare import Comparison, simulate

__version__ = "0.1.0"
__all__ = [
    "Comparison",
    "CompileResult",
    "HlsError",
    "Ports",
    "Schedule",
    "Target",
    "compile_hls",
    "fingerprint",
    "known_targets",
    "load_target",
    "simulate",
]

_HOMES = {
    "Comparison": "openhls.simulation.compare",
    "CompileResult": "openhls.driver.compile",
    "HlsError": "openhls.common.errors",
    "Ports": "openhls.results.ports",
    "Schedule": "openhls.results.schedule",
    "Target": "openhls.backend.targets",
    "compile_hls": "openhls.driver.compile",
    "fingerprint": "openhls.common.fingerprint",
    "known_targets": "openhls.backend.targets",
    "load_target": "openhls.backend.targets",
    "simulate": "openhls.simulation.compare",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'openhls' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
