"""The rules of AXI4-Stream (Arm IHI 0051A, 2.2 and 2.7) that a design must keep at its outputs."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_ERRORS = 20


@dataclass
class OutputMonitor:
    """Watches one output stream of the design, edge by edge.

    Rules: TVALID is 0 or 1; once high it stays so until TREADY; the payload (TDATA, TLAST, TKEEP, TSTRB)
    holds meanwhile and has no X or Z; every byte of a beat is kept; TVALID is low in reset.
    """

    name: str
    roles: tuple[str, ...]
    errors: list[str] = field(default_factory=list)
    error_count: int = 0
    _keeps: int = field(init=False)  # TKEEP and TSTRB stand behind the other roles
    _held: tuple[str, ...] | None = None  # payload of a beat that is offered and not yet taken

    def __post_init__(self) -> None:
        self._keeps = sum(role in ("TDATA", "TLAST") for role in self.roles)

    def sample(self, cycle: int, valid: int, ready: int, payload: tuple[str, ...]) -> bool:
        """One edge out of reset. `payload` is read for every offered beat; false if it is unusable."""
        if valid == -1:
            return self._fail(cycle, "TVALID is X or Z")
        if self._held is not None:
            if not valid:
                self._held = None
                return self._fail(cycle, "TVALID fell before TREADY: the offered beat is withdrawn")
            if payload != self._held:
                changed = [
                    role for role, old, new in zip(self.roles, self._held, payload, strict=True) if old != new
                ]
                self._fail(cycle, f"{', '.join(changed)} changed while the beat waited for TREADY")
        self._held = None if ready or not valid else payload
        return self._payload_sound(cycle, payload) if valid else True

    def sample_reset(self, cycle: int, valid: int) -> None:
        """One edge in reset (not the first: a synchronous reset needs that one to act)."""
        self._held = None
        if valid != 0:
            self._fail(cycle, "TVALID is not low in reset")

    def _payload_sound(self, cycle: int, payload: tuple[str, ...]) -> bool:
        if "".join(payload).isdigit() and "0" not in "".join(payload[self._keeps :]):
            return True
        for role, value in zip(self.roles, payload, strict=True):
            if role in ("TKEEP", "TSTRB") and "0" in value:
                self._fail(cycle, f"{role} marks bytes as not part of the beat: 0b{value}")
            if not value.isdigit():
                self._fail(cycle, f"{role} has X or Z bits: 0b{value}")
        return False

    def _fail(self, cycle: int, text: str) -> bool:
        self.error_count += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(f"protocol: {self.name}, cycle {cycle}: {text}")
        return False
