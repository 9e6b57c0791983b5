"""`#pragma HLS ...` read where Vitis HLS reads it, in one preprocessed translation unit.

`rewrite` turns preprocessed text (line markers, pragmas still in place) into text that clang compiles: UNROLL becomes
clang's own loop pragma in front of its loop, DATAFLOW, INLINE and STREAM become calls of marker functions that
`dataflow` finds in the IR, and what is a promise about a variable (ARRAY_PARTITION, BIND_STORAGE, INTERFACE) is kept in
a `Directives` to be checked or applied later. Pragmas that only relax what a compiler may assume are accepted and not
used: what this compiler needs, it proves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .errors import HlsError, Location
from .places import shown

DATAFLOW_MARKER = "__openhls_dataflow"
INLINE_MARKER = "__openhls_inline"
STREAM_MARKER = "__openhls_stream"
MARKER_DECLARATIONS = (  # functions evaluated at compile time may be INLINE, and processes inline everything
    f'extern "C" void {DATAFLOW_MARKER}(); extern "C" void {STREAM_MARKER}(const volatile void *, int);'
    f' extern "C" constexpr void {INLINE_MARKER}() {{}}'
)

ACCEPTED = ("LOOP_FLATTEN", "LOOP_TRIPCOUNT", "DEPENDENCE")  # no effect here
KNOWN = (
    "ARRAY_PARTITION",
    "BIND_STORAGE",
    "DATAFLOW",
    "INLINE",
    "INTERFACE",
    "PIPELINE",
    "STREAM",
    "UNROLL",
    *ACCEPTED,
)
STORAGE = {"bram": "bram", "lutram": "lutram", "uram": "uram", "srl": "lutram", "auto": None}
MEMORY_TYPES = ("ram_1p", "ram_2p", "ram_s2p", "ram_t2p", "rom_1p", "rom_2p", "rom_np")

_LINE_MARKER = re.compile(r'^#(?: |line )\s*(\d+) "((?:[^"\\]|\\.)*)"')
_PRAGMA = re.compile(r"^\s*#\s*pragma\s+HLS\b(.*)$", re.IGNORECASE)
_TOKEN = re.compile(
    r"""(?P<raw>R"(?P<delimiter>[^()\s\\"]*)\(.*?\)(?P=delimiter)") | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<char>(?<![0-9a-fA-F])'(?:[^'\\\n]|\\.)+') 
      | (?P<word>(?:[^\W\d]|\$|\\u[0-9a-fA-F]{4})(?:\w|\$|\\u[0-9a-fA-F]{4})*)
      | (?P<mark>[{}();]) | (?P<hash>^[ \t]*\#[^\n]*)""",
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Promise:
    """A pragma about one variable: it speaks of the variable of that name in the scope `first`..`last` of `file`."""

    kind: str  # "partition", "storage" or "interface"
    variable: str
    value: str | int | None  # the dimension (0: all), the storage, the interface mode
    loc: Location
    first: int
    last: int


@dataclass
class Directives:
    """What the pragmas of a translation unit promise about variables."""

    promises: list[Promise] = field(default_factory=list)

    def about(self, kind: str, variable: str, declared: Location | None, in_function: bool) -> Promise | None:
        """The promise about a variable declared at `declared`: the one in whose scope it lies.

        Else, for a global one, any about its name: a pragma stands in a function that uses it.
        """
        named = [p for p in self.promises if p.kind == kind and p.variable == variable]
        inside = [
            p
            for p in named
            if declared and p.loc.file == declared.file and p.first <= declared.line <= p.last
        ]
        return next(iter(inside or (() if in_function else named)), None)


@dataclass
class _Scope:
    """A pair of braces: what it belongs to and where."""

    kind: str  # "loop", "function" or "block"
    start: int  # offset of the `for`/`while`, or of the brace
    first: int  # line
    pragmas: list[tuple[str, dict[str, str], Location]] = field(default_factory=list)


def parse_options(text: str, loc: Location) -> tuple[str, dict[str, str]]:
    """`NAME a=b c ...` -> (NAME, {"a": "b", "c": ""}); a value may be an expression, up to the next `word=` or flag."""
    words = text.split(None, 1)
    if not words:
        raise HlsError("empty #pragma HLS", loc, f"known: {', '.join(KNOWN)}")
    rest = words[1] if len(words) > 1 else ""
    options: dict[str, str] = {}
    for part in re.split(r"\s+(?=[A-Za-z_]\w*\s*=(?!=))", " " + rest):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        if equals and re.fullmatch(r"\s*\w+\s*", key):
            first, *flags = value.split() if key.strip().lower() not in ("depth",) else [value.strip()]
            options[key.strip().lower()] = first
        else:
            flags = part.split()
        options.update({flag.lower(): "" for flag in flags})
    return words[0].upper(), options


class _Rewriter:
    """One pass over the text: finds the scopes, then says what each pragma becomes."""

    def __init__(self, text: str):
        self.text = text
        self.edits: list[tuple[int, int, str]] = []  # start, end, replacement
        self.directives = Directives()
        self.places = self._places()

    def _places(self) -> list[tuple[int, Location]]:
        """(offset, location) of the start of every line."""
        places, file, line, offset = [], "<source>", 1, 0
        for text in self.text.splitlines(keepends=True):
            places.append((offset, Location(file, line)))
            if marker := _LINE_MARKER.match(text):
                line, file = int(marker[1]), shown(re.sub(r"\\(.)", r"\1", marker[2]))
            else:
                line += 1
            offset += len(text)
        return places

    def run(self) -> tuple[str, Directives]:
        lines = iter(self.places)
        here = next(lines, (0, Location("<source>", 1)))[1]
        upcoming = next(lines, None)
        stack: list[_Scope] = []
        loop: int | None = None  # offset of a loop keyword whose statement has not begun
        depth = 0  # open parentheses
        after_header = False  # the loop's parentheses are closed
        last_mark = ""
        for token in _TOKEN.finditer(self.text):
            while upcoming and upcoming[0] <= token.start():
                here, upcoming = upcoming[1], next(lines, None)
            if token["hash"]:
                if pragma := _PRAGMA.match(token["hash"]):
                    self._pragma(pragma[1].strip(), token.start(), token.end(), here, stack)
                continue
            word, mark = token["word"], token["mark"]
            if word and (plain := _plain(word)) != word:
                self.edits.append((token.start(), token.end(), plain))
            if word in ("for", "while", "do") and depth == 0:
                loop, after_header = token.start(), word == "do"
            elif mark == "(":
                depth += 1
            elif mark == ")":
                depth -= 1
                after_header = after_header or (loop is not None and depth == 0)
            elif mark == "{" and depth == 0:
                is_loop = loop is not None and after_header
                kind = (
                    "loop" if is_loop else "function" if last_mark == ")" and not _in_code(stack) else "block"
                )
                stack.append(_Scope(kind, loop if is_loop and loop is not None else token.start(), here.line))
                loop = None
            elif mark == "}" and depth == 0 and stack:
                self._close(stack.pop(), here)
            elif after_header and loop is not None and (word or mark == ";"):
                loop = None  # a loop without braces
            if mark:
                last_mark = mark
        text = self.text
        for start, end, replacement in sorted(self.edits, reverse=True):
            text = text[:start] + replacement + text[end:]
        return f"{MARKER_DECLARATIONS}\n{text}", self.directives

    def _pragma(self, text: str, start: int, end: int, loc: Location, stack: list[_Scope]) -> None:
        name, options = parse_options(_plain(text), loc)
        if name not in KNOWN:
            raise HlsError(f"unknown pragma HLS {name}", loc, f"known: {', '.join(sorted(KNOWN))}")
        self.edits.append((start, end, ""))
        if name in ACCEPTED:
            return
        if not stack:
            raise HlsError(f"HLS {name} outside a function", loc)
        if name == "UNROLL":
            self._unroll(options, loc, stack)
        elif name == "PIPELINE":
            if options.get("ii", "1") != "1" or "off" in options:
                raise HlsError("every loop is pipelined with II=1", loc, "write `#pragma HLS PIPELINE II=1`")
            _only(name, options, ("ii", "rewind", "style", "enable_flush"), loc)
        elif name == "DATAFLOW":
            _only(name, options, (), loc)
            self.edits[-1] = (start, end, f"{DATAFLOW_MARKER}();")
        elif name == "INLINE":
            _only(name, options, ("off",), loc)
            if not options:
                self.edits[-1] = (start, end, f"{INLINE_MARKER}();")
        elif name == "STREAM":
            _only(name, options, ("variable", "depth", "type"), loc)
            if options.get("type", "fifo") != "fifo" or "depth" not in options:
                raise HlsError(
                    "HLS STREAM makes a FIFO of a stated depth",
                    loc,
                    "write `#pragma HLS STREAM variable=s depth=2`",
                )
            variable = _need(name, options, "variable", loc)
            self.edits[-1] = (start, end, f"{STREAM_MARKER}(&({variable}), (int)({options['depth']}));")
        else:
            stack[-1].pragmas.append((name, options, loc))

    def _unroll(self, options: dict[str, str], loc: Location, stack: list[_Scope]) -> None:
        if "factor" in options:
            raise HlsError(
                "partial unrolling (factor=) is not supported",
                loc,
                "split the loop in two and unroll the inner one",
            )
        _only("UNROLL", options, ("skip_exit_check",), loc)
        if stack[-1].kind != "loop":
            raise HlsError(
                "HLS UNROLL does not stand in the braces of a loop",
                loc,
                "put it on the first line of the loop's body",
            )
        start = stack[-1].start
        index = max(i for i, (offset, _) in enumerate(self.places) if offset <= start)
        where = self.places[index][1]
        edit = f'\n#pragma clang loop unroll(full)\n# {where.line} "{_quoted(where.file)}"\n'
        if (start, start, edit) not in self.edits:
            self.edits.append((start, start, edit))

    def _close(self, scope: _Scope, end: Location) -> None:
        for name, options, loc in scope.pragmas:
            self.directives.promises.append(_promise(name, options, loc, scope.first, end.line))


def _promise(name: str, options: dict[str, str], loc: Location, first: int, last: int) -> Promise:
    if name == "ARRAY_PARTITION":
        _only(name, options, ("variable", "complete", "dim", "type"), loc)
        if "complete" not in options and options.get("type") != "complete":
            raise HlsError(
                "only complete partitioning is supported",
                loc,
                "write `#pragma HLS ARRAY_PARTITION variable=a complete`",
            )
        dimension = options.get("dim", "1")
        if not dimension.isdigit():
            raise HlsError(f"ARRAY_PARTITION dim={dimension} is not a number", loc)
        return Promise("partition", _variable(name, options, loc), int(dimension), loc, first, last)
    if name == "BIND_STORAGE":
        _only(name, options, ("variable", "type", "impl", "latency"), loc)
        kind, impl = options.get("type", "ram_1p").lower(), options.get("impl", "auto").lower()
        if kind not in MEMORY_TYPES or impl not in STORAGE:
            raise HlsError(
                f"BIND_STORAGE type={kind} impl={impl} is not known",
                loc,
                f"type: {', '.join(MEMORY_TYPES)}; impl: {', '.join(STORAGE)}",
            )
        return Promise("storage", _variable(name, options, loc), STORAGE[impl], loc, first, last)
    modes = [flag for flag, value in options.items() if not value]
    if "mode" in options:
        modes.append(options["mode"].lower())
    port = _need(name, options, "port", loc)
    wanted = "ap_ctrl_none" if port == "return" else "axis"
    if modes != [wanted]:
        raise HlsError(
            f"INTERFACE {' '.join(modes)} port={port} is not supported",
            loc,
            "streams are `axis`, the function itself (port=return) is `ap_ctrl_none`",
        )
    return Promise("interface", port, wanted, loc, first, last)


def _plain(text: str) -> str:
    """Identifiers in the letters that LLVM, SystemVerilog and file names share: `a$b` -> `a__u0024b`.

    A program has no name with two underscores of its own: they are reserved to the compiler.
    """
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), text)
    return re.sub(r"[$]|[^\W\x00-\x7f]", lambda m: f"__u{ord(m[0]):04x}", text)


def _in_code(stack: list[_Scope]) -> bool:
    return any(scope.kind != "block" for scope in stack)


def _quoted(file: str) -> str:
    return file.replace("\\", "\\\\").replace('"', '\\"')


def _only(name: str, options: dict[str, str], allowed: tuple[str, ...], loc: Location) -> None:
    if unknown := sorted(set(options) - set(allowed)):
        raise HlsError(
            f"HLS {name} has no option '{unknown[0]}'", loc, f"known: {', '.join(allowed) or 'none'}"
        )


def _need(name: str, options: dict[str, str], key: str, loc: Location) -> str:
    if not options.get(key):
        raise HlsError(f"HLS {name} needs {key}=", loc)
    return options[key]


def _variable(name: str, options: dict[str, str], loc: Location) -> str:
    return _need(name, options, "variable", loc).split("::")[-1].split(".")[-1]


def rewrite(text: str) -> tuple[str, Directives]:
    """Preprocessed C++ -> (C++ that clang compiles, the promises about variables).

    Raises:
        HlsError: a pragma that is unknown, stands in the wrong place or asks for what is not supported.
    """
    return _Rewriter(text).run()
