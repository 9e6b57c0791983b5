"""Writes what the documents say of the program's own definitions: python -m scripts.reference.

Each stands between two marks, `<!-- reference NAME -->` and `<!-- end -->`; a test holds them up to date.
"""

from __future__ import annotations

import re
import types
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from psconv.boards.protocol import KINDS, REASONS, info_fields
from psconv.boards.zynq.registers import REGISTERS, WHOLE
from psconv.flow.config import RunConfig
from psconv.synthesis.targets import Target, known_boards, load_board
from pymodel.common.bounds import Bounds
from pymodel.common.files import write_text
from pymodel.explore.costs import calibration
from pymodel.explore.linear import Fit
from pymodel.explore.streamed_costs import streamed_calibration
from pymodel.explore.technology import Technology, calibrated
from pymodel.explore.unit_costs import unit_calibration
from pymodel.top.status import Status
from pymodel.training.config import TrainConfig
from scripts.claims import accuracy_rows, accuracy_titles, claim_rows
from scripts.layer_places import PLACES
from scripts.places import ROOT

_PLACE = re.compile(r"(?<=<!-- reference )([\w ]+?) -->\n.*?(?=<!-- end -->)", re.DOTALL)
_WORDS = {bool: "true, false", str: "text"}


def status_table() -> str:
    """The bits of a status."""
    return _table(("bit", ""), ([str(flag.bit), flag.meaning] for flag in Status))


def register_table() -> str:
    """The registers of a board's IP, a row for each field."""
    rows = (
        [
            f"0x{register.offset:02x}",
            f"`{register.name}`" if field.name == WHOLE else f"`{register.name}.{field.name}`",
            field.place,
            field.access.value,
            field.meaning + (f"; {field.reset} after a reset" if field.reset else ""),
        ]
        for register in REGISTERS
        for field in register.fields
    )
    return _table(("offset", "register", "bits", "access", ""), rows)


def place_table() -> str:
    """Where each type of layer has something of its own."""
    rows = ([place.rule, place.of, f"`{place.file}`: `{place.name}`", place.what] for place in PLACES)
    return _table(("rule", "of", "where", "what"), rows)


def key_table(model: type[BaseModel]) -> str:
    """Every key of a configuration file: default, values, meaning. Keys inside others are joined by dots."""
    return _table(("key", "default", "values", "meaning"), _rows(model, "", set()))


def board_table() -> str:
    """The boards, and which of their pins are used."""
    rows = []
    for name in known_boards():
        target, board = load_board(name)
        reset = f"{board.reset.pin}, {'low' if board.reset.active_low else 'high'}" if board.reset else "none"
        rows.append(
            [
                f"`{name}`",
                f"{target.description}, speed grade {target.speed_grade}",
                f"{board.clock.pin}, {board.clock.mhz:g} MHz",
                f"{board.uart.rx}, {board.uart.tx}, {board.baud:,} bit/s",
                reset,
                ", ".join(board.leds.pins),
                board.source,
            ]
        )
    return _table(("board", "", "clock", "FPGA receives, sends", "reset while", "LEDs", "pins taken from"), rows)


def frame_table() -> str:
    """The kinds of frames of a board's link."""
    return _table(("kind", "", "what"), ([f"`{kind:#04x}`", kind.name, text] for kind, text in KINDS.items()))


def fault_table() -> str:
    """Why a board may answer with a FAULT."""
    return _table(("reason", "", "what"), ([str(one.value), one.name, text] for one, text in REASONS.items()))


def info_table() -> str:
    """What a board says of itself."""
    return _table(("field", "`struct`", "meaning"), ([name, f"`{code}`", text] for name, code, text in info_fields()))


def cost_model_table(technology: Technology) -> str:
    """How far off the cost model is, of the engines and of each type of unit between them."""
    engines, units = calibration(technology), unit_calibration(technology)
    kinds = [("engines", len(engines.measured), engines.LUT, engines.FF)]
    counts = Counter(record["function"] for record in units.measured.values())
    streamed = streamed_calibration(technology)
    kinds.append(("engines, weights streamed", len(streamed.measured), streamed.LUT, streamed.FF))
    kinds += [(f"`{name}`", counts[name], fit.LUT, fit.FF) for name, fit in units.units.items()]
    rows = (
        [name, str(count), *(f"{error} %" for fit in fits for error in _errors(fit))] for name, count, *fits in kinds
    )
    of = [f"{kind}: {which}" for kind in ("LUT", "FF") for which in ("mean", "worst", "unseen mean", "unseen worst")]
    return _table(("", "measured", *of), rows)


def _errors(fit: Fit) -> tuple[float, ...]:
    return fit.mean_percent, fit.worst_percent, fit.unseen_mean_percent, fit.unseen_worst_percent


CONTENTS: Mapping[str, Callable[[], str]] = {
    "keys of a run": lambda: key_table(RunConfig),
    "keys of a training": lambda: key_table(TrainConfig),
    "keys of a device": lambda: key_table(Target),
    "bits of a status": status_table,
    "places of a layer": place_table,
    "boards": board_table,
    "frames of a board": frame_table,
    "faults of a board": fault_table,
    "info of a board": info_table,
    "registers of a board": register_table,
    "claims that are counts": lambda: _table(("claim", "paper", "theirs", "ours", "by"), claim_rows()),
    "claims of accuracy": lambda: _table(accuracy_titles(), accuracy_rows()),
    **{f"errors for {technology.name}": partial(cost_model_table, technology) for technology in calibrated()},
}


def documented(text: str) -> str:
    """`text` with each place filled anew. Raises KeyError for a name that there is not."""
    return _PLACE.sub(lambda place: f"{place[1]} -->\n{CONTENTS[place[1]]()}", text)


def documents() -> Iterator[Path]:
    """The documents that have such places."""
    return (path for path in sorted((ROOT / "docs").rglob("*.md")) if _PLACE.search(path.read_text(encoding="utf-8")))


def _rows(model: type[BaseModel], prefix: str, seen: set[type[BaseModel]]) -> Iterator[list[str]]:
    """A row for each key; of a model that extends one whose keys are listed already, only its own."""
    known = {key for other in seen if issubclass(model, other) and model is not other for key in other.model_fields}
    seen.add(model)
    for key, field in model.model_fields.items():
        if key in known:
            continue
        inner = [one for one in _parts(field.annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
        named = get_origin(field.annotation) is dict and inner
        name = f"{prefix}{key}" + (".NAME" if named else "")
        if named or not inner:
            values = "keys of `parallelism`, and:" if named else _values(field)
            yield [f"`{name}`", _default(field), values, field.description or ""]
        elif field.description:
            yield [f"`{name}`", _default(field), "keys below", field.description]
        for one in inner:
            yield from _rows(one, f"{name}.", seen)


def _parts(annotation: Any) -> Iterator[Any]:
    """An annotation and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return "none"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _values(field: FieldInfo) -> str:
    """What a key takes, in words."""
    return _described(field.annotation, field.metadata)


def _described(annotation: Any, metadata: list[Any]) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        annotation, *more = inner
        bounds = [one for info in more for one in (info.metadata if isinstance(info, FieldInfo) else [info])]
        return _described(annotation, [*bounds, *metadata])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_described(one, metadata) for one in inner if one is not type(None))
    if origin is list:
        return f"list of: {_described(inner[0], [])}"
    if origin is dict:
        return "a mapping"
    if annotation in (int, float):
        return _range(metadata) or ("an integer" if annotation is int else "a number")
    return _WORDS[annotation]


def _range(metadata: list[Any]) -> str:
    """The bounds among an annotation's metadata, in words; none: empty."""
    found: dict[str, Any] = {}
    for one in metadata:
        for kind, key in ((annotated_types.Ge, "ge"), (annotated_types.Gt, "gt"), (annotated_types.Le, "le")):
            if isinstance(one, kind):
                found[key] = getattr(one, key)
    if "le" not in found or len(found) == 1:
        return ""
    above = "ge" not in found
    return str(Bounds(found["gt" if above else "ge"], found["le"], above=above))


def _table(head: tuple[str, ...], rows: Iterable[list[str]]) -> str:
    """A Markdown table; an asterisk in a cell is itself, but for those in code."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    code = text.split("`")
    return "`".join(part if at % 2 else part.replace("*", "\\*") for at, part in enumerate(code))


def main() -> None:
    """Fills every place in every document."""
    for path in documents():
        write_text(path, documented(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
