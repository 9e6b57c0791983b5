"""The emitted modules against each other, in their final text: what an instance means is what its module is.

Text by text every module may be right and the design wrong all the same: a name that stands for another module than the
one that was meant, a port of another width. So after emission, of every design: each module is there once, and each but
the top is instantiated; an instance names every port of its module once and none besides; each input is given an
expression of its width, each output drives a net of its width or is marked as unused; every net of a module has exactly
one driver.

It reads the SystemVerilog that this compiler writes (CIRCT's and that of `primitives`), not any other: modules without
parameters, ports by name, nets declared before or after use, one statement that drives a net as a whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from openhls.common.errors import InternalError

_COMMENT = re.compile(r"//[^\n]*|\(\*.*?\*\)", re.S)
_MODULE = re.compile(r"\bmodule\s+(\w+)\s*\((.*?)\);(.*?)\bendmodule\b", re.S)
_PORT = re.compile(r"(?:(input|output)\s+)?(?:wire\s+)?(?:signed\s+)?(\[\d+:0\])?\s*(\w+)")
_NET = re.compile(r"^ *(?:wire|reg|logic)\s+(?:signed\s+)?((?:\[\d+:0\])*)\s*(\w[^;=]*)(=?)", re.M)
_MEMORY = re.compile(r"\b(\w+) \[0:\d+\];")
_ASSIGN = re.compile(r"^ *assign\s+(\w+)\s*=", re.M)
_TARGET = re.compile(r"(?:[;)]|\b(?:begin|else|end))\s*(\w+)(?:\[[^\]]*\])?\s*<=")
_INSTANCE = re.compile(r"^ *(\w+)\s+(\w+)\s*\(\s*(\..*?)\s*\);", re.M | re.S)
_CONNECTION = re.compile(r"\.(\w+)\s*\(")
_TOKEN = re.compile(r"\d+'s?[bdh][0-9a-fA-F]+|\$?\w+|'0|<<<|>>>|[<>=!]=|<<|>>|&&|\|\||\S")
_UNUSED = "/* unused */"  # what CIRCT writes at an output that nobody wants
_KEYWORDS = frozenset(("module", "begin", "else", "if", "for", "always_ff", "initial", "assign"))


@dataclass(frozen=True)
class _Port:
    direction: str
    width: int


@dataclass(frozen=True)
class _Instance:
    module: str
    label: str
    connections: list[tuple[str, str]]  # port, expression


@dataclass
class _Module:
    name: str
    ports: dict[str, _Port]
    nets: dict[str, list[int]]  # packed dimensions, the outermost first; ports included
    initialised: frozenset[str]  # memories that begin with contents: the only nets that need no driver
    drivers: Counter[str] = field(default_factory=Counter)
    instances: list[_Instance] = field(default_factory=list)


def add(modules: dict[str, str], name: str, text: str) -> None:
    """Add a module to others, in place. Raises InternalError: another one has its name."""
    if modules.setdefault(name, text) != text:
        raise InternalError(f"two different modules would be called '{name}'")


def check(modules: Mapping[str, str], top: str) -> None:
    """Check the SystemVerilog of a design, by module name. Raises InternalError."""
    found = {name: _read(name, text) for name, text in modules.items()}
    used = {top}
    for module in found.values():
        for instance in module.instances:
            if instance.module not in found:
                what = f"instance '{instance.label}' of the module '{instance.module}', which is not there"
                raise _fault(module, what)
            used.add(instance.module)
            _check_instance(module, instance, found[instance.module])
        _check_drivers(module)
    if unused := sorted(found.keys() - used):
        raise InternalError(f"no instance of the module '{unused[0]}'")


def _fault(module: _Module, what: str) -> InternalError:
    return InternalError(f"in the module '{module.name}': {what}")


def _check_instance(module: _Module, instance: _Instance, of: _Module) -> None:
    where = f"instance '{instance.label}' of '{of.name}'"
    given = Counter(port for port, _ in instance.connections)
    if wrong := sorted((given - Counter(of.ports.keys())).keys()):
        what = "has no such port" if wrong[0] not in of.ports else "is connected twice"
        raise _fault(module, f"{where}: port '{wrong[0]}' {what}")
    if missing := sorted(of.ports.keys() - given.keys()):
        raise _fault(module, f"{where}: port '{missing[0]}' is not connected")
    for name, expression in instance.connections:
        port = of.ports[name]
        if expression == _UNUSED and port.direction == "output":
            continue
        if expression in ("", _UNUSED):
            raise _fault(module, f"{where}: port '{name}' is not connected")
        try:
            width = Width(module.nets, expression).whole()
        except _UnreadableError as error:
            raise _fault(module, f"{where}: port '{name}': {error}") from None
        if width != port.width:
            raise _fault(module, f"{where}: port '{name}' has {port.width} bits, '{expression}' has {width}")
        if port.direction == "output":
            if expression not in module.nets:
                raise _fault(module, f"{where}: output '{name}' drives '{expression}', which is no net")
            module.drivers[expression] += 1


def _check_drivers(module: _Module) -> None:
    for net in module.nets:
        count = module.drivers[net]
        if count != 1 and not (count == 0 and net in module.initialised):
            raise _fault(module, f"'{net}' has {count or 'no'} driver{'s' if count > 1 else ''}")
    if unknown := sorted(module.drivers.keys() - module.nets.keys()):
        raise _fault(module, f"'{unknown[0]}' is driven, but not declared")


# -- reading -----------------------------------------------------------------------------------------------------------


def _read(name: str, text: str) -> _Module:
    found = _MODULE.findall(_COMMENT.sub("", text))
    if [n for n, _, _ in found] != [name]:
        raise InternalError(f"the text of the module '{name}' defines {', '.join(n for n, _, _ in found) or 'nothing'}")
    [(_, header, body)] = found
    initialised = frozenset(n for n in _MEMORY.findall(body) if re.search(rf"\b{n}\[\w[^]]*\] = ", body))
    module = _Module(name, dict(_ports(name, header)), {}, initialised)
    for port, is_ in module.ports.items():
        module.nets[port] = [is_.width]
        module.drivers[port] += is_.direction == "input"
    for dimensions, names, assigned in _NET.findall(body):
        for declared in names.split(","):
            net = declared.split("[")[0].strip()
            if net in module.nets:
                raise _fault(module, f"'{net}' is declared twice")
            module.nets[net] = [int(d) + 1 for d in re.findall(r"\[(\d+):0\]", dimensions)] or [1]
            module.drivers[net] += bool(assigned)
    module.drivers.update(_ASSIGN.findall(body))
    for process in body.split("always_ff")[1:]:
        module.drivers.update(set(_TARGET.findall(process)))
    for kind, label, connections in _INSTANCE.findall(body):
        if kind not in _KEYWORDS:
            module.instances.append(_Instance(kind, label, list(_connections(connections))))
    return module


def _ports(module: str, header: str) -> Iterator[tuple[str, _Port]]:
    """Ports; one that says neither direction nor width has those of the one before it."""
    seen: set[str] = set()
    direction = dimension = ""
    for text in header.split(","):
        match = _PORT.fullmatch(text.strip())
        if match is None or match[3] in seen:
            raise InternalError(f"in the module '{module}': the port '{text.strip()}' is unreadable or there twice")
        direction, dimension = (match[1], match[2]) if match[1] else (direction, match[2] or dimension)
        seen.add(match[3])
        yield match[3], _Port(direction, int(dimension[1:-3]) + 1 if dimension else 1)


def _connections(text: str) -> Iterator[tuple[str, str]]:
    end = 0
    while match := _CONNECTION.search(text, end):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield match[1], " ".join(text[match.end() : end - 1].split())


# -- widths of expressions ---------------------------------------------------------------------------------------------

_BINARY = (  # the weakest first
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("==", "!="),
    ("<", "<=", ">", ">="),
    ("<<", ">>", "<<<", ">>>"),
    ("+", "-"),
    ("*", "/", "%"),
)
_ONE_BIT = ("||", "&&", "==", "!=", "<", "<=", ">", ">=")


class _UnreadableError(Exception):
    """An expression with a name that is not declared, or of a form that is not written here."""


class Width:
    """Bits of an expression, as IEEE 1800 counts them where nothing around it widens it."""

    def __init__(self, nets: Mapping[str, list[int]], expression: str):
        self.nets, self.expression = nets, expression
        self.tokens: list[str] = _TOKEN.findall(expression)
        self.at = 0

    def whole(self) -> int:
        width = self._choice()
        if self.at != len(self.tokens):
            raise self._unreadable()
        return width

    def _unreadable(self) -> _UnreadableError:
        return _UnreadableError(f"'{self.expression}' is not understood")

    def _next(self, wanted: str | None = None) -> str:
        if self.at == len(self.tokens) or wanted not in (None, self.tokens[self.at]):
            raise self._unreadable()
        self.at += 1
        return self.tokens[self.at - 1]

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _choice(self) -> int:
        width = self._binary(0)
        if self._peek() != "?":
            return width
        self._next()
        true = self._choice()
        self._next(":")
        return max(true, self._choice())

    def _binary(self, level: int) -> int:
        if level == len(_BINARY):
            return self._unary()
        width = self._binary(level + 1)
        while self._peek() in _BINARY[level]:
            operator = self._next()
            right = self._binary(level + 1)
            if operator in _ONE_BIT:
                width = 1
            elif "<<" not in operator and ">>" not in operator:
                width = max(width, right)
        return width

    def _unary(self) -> int:
        if (operator := self._peek()) in ("~", "-", "!", "&", "|", "^"):
            self._next()
            width = self._unary()
            return width if operator in ("~", "-") else 1
        return self._operand()

    def _operand(self) -> int:
        token = self._next()
        if token == "(":
            width = self._choice()
            self._next(")")
            return width
        if token in ("$signed", "$unsigned"):
            return self._operand()
        if token == "{":
            return self._joined()
        if "'" in token:
            return int(token.split("'")[0])
        if token.isdigit():
            return 32
        if token not in self.nets:
            raise _UnreadableError(f"'{token}' is not declared")
        return self._selected(self.nets[token])

    def _joined(self) -> int:
        """Behind an opening brace: a concatenation, or a repetition."""
        if self._peek().isdigit():
            count = int(self._next())
            self._next("{")
            width = count * self._joined()
            self._next("}")
            return width
        width = self._choice()
        while self._peek() == ",":
            self._next()
            width += self._choice()
        self._next("}")
        return width

    def _selected(self, dimensions: list[int]) -> int:
        width = dimensions[-1]
        for size in dimensions[:-1]:
            width *= size
        outer = list(dimensions)
        while self._peek() == "[":
            self._next()
            size = outer.pop(0) if outer else 1
            width //= size
            if self._peek().isdigit() and self.tokens[self.at + 1 : self.at + 2] == [":"]:
                high, _, low = int(self._next()), self._next(), int(self._next())
                width *= high - low + 1
            else:
                self._choice()
            self._next("]")
        return width
