"""`#pragma HLS ...` read where Vitis HLS reads it, in one preprocessed translation unit.

Each pragma, with each of its options, is carried out or refused with its line: nothing is read over. `rewrite` turns
preprocessed text (line markers, pragmas still in place) into text that clang compiles. UNROLL becomes clang's own loop
pragma in front of its loop; DATAFLOW, INLINE, STREAM and what is said about an array (ARRAY_PARTITION, BIND_STORAGE)
become calls of marker functions, found again in the IR by `dataflow` and `promises`. So clang itself says whether a
variable is in scope, and an array is the same whatever it is called where the pragma stands: a static, a member, an
argument. Pragmas that only tell a compiler what to assume are checked, and not used: what this one needs, it proves.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from openhls.common.errors import HlsError, Location
from openhls.common.places import shown

DATAFLOW_MARKER = "__openhls_dataflow"
INLINE_MARKER = "__openhls_inline"
KEEP_MARKER = "__openhls_keep"  # INLINE off
STREAM_MARKER = "__openhls_stream"
ARRAY_MARKER = "__openhls_array"
ABOUT_ARRAYS = "__openhls_about"  # the function around it
MARKER_DECLARATIONS = " ".join(
    f"""
extern "C" void {DATAFLOW_MARKER}(); extern "C" void {STREAM_MARKER}(const volatile void *, int);
extern "C" void {ARRAY_MARKER}(const volatile void *, int, unsigned long, unsigned long, unsigned long);
extern "C" void {KEEP_MARKER}(); extern "C" constexpr void {INLINE_MARKER}() {{}}
template <class T> struct __openhls_type {{
  static constexpr int rank = 0; static constexpr unsigned long size(int) {{ return sizeof(T); }}
  static const volatile void *at(T &x) {{ return &x; }} }};
template <class T, unsigned long N> struct __openhls_type<T[N]> {{
  static constexpr int rank = 1 + __openhls_type<T>::rank;
  static constexpr unsigned long size(int d) {{ return d ? __openhls_type<T>::size(d - 1) : sizeof(T[N]); }}
  static const volatile void *at(T (&x)[N]) {{ return &x; }} }};
template <class T> struct __openhls_type<T *> {{
  static constexpr int rank = 1 + __openhls_type<T>::rank;
  static constexpr unsigned long size(int d) {{ return d ? __openhls_type<T>::size(d - 1) : ~0ul; }}
  static const volatile void *at(T *x) {{ return x; }} }};
template <class T> struct __openhls_type<T *const> : __openhls_type<T *> {{}};
template <class T> struct __openhls_type<T &> : __openhls_type<T> {{}};
template <int K, int D, class T> constexpr void {ABOUT_ARRAYS}(T &x) {{
  typedef __openhls_type<T> type;
  constexpr unsigned long size = type::size(0), low = D ? type::size(D) : 0, high = D ? type::size(D - 1) : size;
  if (!__builtin_is_constant_evaluated()) {ARRAY_MARKER}(type::at(x), K, size, low, high); }}
""".split()
)  # functions evaluated at compile time may have pragmas, and processes inline everything

STORAGE = {"bram": "bram", "lutram": "lutram", "uram": "uram", "auto": None}
MEMORY_TYPES = ("ram_1p", "ram_2p", "ram_s2p", "ram_t2p", "rom_1p", "rom_2p", "rom_np")

_FLAG = "flag"  # an option without a value
_TEXT = "text"  # with any value: a variable, an expression
_OPTIONS: dict[str, dict[str, str | tuple[str, ...]]] = {
    "ARRAY_PARTITION": {
        "variable": _TEXT,
        "type": ("complete", "block", "cyclic"),
        "complete": _FLAG,
        "block": _FLAG,
        "cyclic": _FLAG,
        "factor": _TEXT,
        "dim": _TEXT,
    },
    "BIND_STORAGE": {"variable": _TEXT, "type": MEMORY_TYPES, "impl": tuple(STORAGE), "latency": _TEXT},
    "DATAFLOW": {},
    "DEPENDENCE": {
        "variable": _TEXT,
        "class": ("array", "pointer"),
        "array": _FLAG,
        "pointer": _FLAG,
        "type": ("inter", "intra"),
        "inter": _FLAG,
        "intra": _FLAG,
        "direction": ("raw", "war", "waw"),
        "raw": _FLAG,
        "war": _FLAG,
        "waw": _FLAG,
        "distance": _TEXT,
        "dependent": ("true", "false"),
        "true": _FLAG,
        "false": _FLAG,
    },
    "INLINE": {"off": _FLAG},
    "INTERFACE": {"mode": _TEXT, "port": _TEXT, "axis": _FLAG, "ap_ctrl_none": _FLAG},
    "LOOP_FLATTEN": {"off": _FLAG},
    "LOOP_TRIPCOUNT": {"min": _TEXT, "max": _TEXT, "avg": _TEXT},
    "PIPELINE": {"ii": _TEXT, "off": _FLAG, "rewind": _FLAG, "style": ("stp", "flp", "frp"), "enable_flush": _FLAG},
    "STREAM": {"variable": _TEXT, "depth": _TEXT, "type": ("fifo", "pipo", "shared", "unsync")},
    "UNROLL": {"factor": _TEXT},
}
KNOWN = tuple(_OPTIONS)
_ALTERNATIVES: dict[str, list[tuple[str, ...]]] = {  # options of one meaning: a pragma has one of them at most
    "ARRAY_PARTITION": [("type", "complete", "block", "cyclic")],
    "DEPENDENCE": [
        ("class", "array", "pointer"),
        ("type", "inter", "intra"),
        ("direction", "raw", "war", "waw"),
        ("dependent", "true", "false"),
    ],
    "INTERFACE": [("mode", "axis", "ap_ctrl_none")],
    "PIPELINE": [("ii", "off")],
}
PARTITION, STORED = 0, 1  # the marker's codes: a partition; BIND_STORAGE from here on
_INSIDE = "put it on the first line of the loop's (or function's) body"
_OF_LOOPS = ("LOOP_FLATTEN", "LOOP_TRIPCOUNT", "UNROLL")
_OF_LOOPS_AND_FUNCTIONS = ("DATAFLOW", "PIPELINE")

_LINE_MARKER = re.compile(r'^#(?: |line )\s*(\d+) "((?:[^"\\]|\\.)*)"')
_PRAGMA = re.compile(r"^\s*#\s*pragma\s+HLS\b(.*)$", re.IGNORECASE)
_BLANK = re.compile(r"(?:\s+|#[^\n]*)*")
_TOKEN = re.compile(
    r"""(?P<raw>R"(?P<delimiter>[^()\s\\"]*)\(.*?\)(?P=delimiter)") | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<char>(?<![0-9a-fA-F])'(?:[^'\\\n]|\\.)+') 
      | (?P<word>(?:[^\W\d]|\$|\\u[0-9a-fA-F]{4})(?:\w|\$|\\u[0-9a-fA-F]{4})*)
      | (?P<mark>[{}();]) | (?P<hash>^[ \t]*\#[^\n]*)""",
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class PortMode:
    """An INTERFACE pragma; the function in whose braces `first`..`last` it stands has the argument."""

    port: str
    loc: Location
    first: int
    last: int


@dataclass
class Directives:
    """What the pragmas of a translation unit say that is not in the text for clang."""

    ports: list[PortMode] = field(default_factory=list)
    notes: list[tuple[Location, str]] = field(default_factory=list)  # where Vitis HLS does something else
    names: dict[Location, str] = field(default_factory=dict)  # the pragma of a line

    def blame(self, error: HlsError) -> HlsError:
        """What clang says about the text that stands for a pragma, in the pragma's name."""
        name = self.names.get(error.loc) if error.loc else None
        if name is None:
            return error
        own = re.search(r"static assertion failed[^:]*?(?:'.*')?: (HLS .*)", error.message)
        return HlsError(own[1] if own else f"HLS {name}: {error.message}", error.loc)


@dataclass
class _Scope:
    """A pair of braces: what it belongs to and where."""

    kind: str  # "loop", "function" or "block"
    start: int  # offset of the `for`/`while`, or of the brace
    loc: Location
    is_do: bool
    outside: tuple[int, int | None, bool]  # open where it begins: parentheses, a loop, whether behind its header
    pragmas: dict[str, tuple[dict[str, str], Location]] = field(default_factory=dict)
    ports: list[tuple[str, Location]] = field(default_factory=list)
    loops: list[Location] = field(default_factory=list)  # inside, at any depth, that stay loops


def parse_options(text: str, loc: Location) -> tuple[str, dict[str, str]]:
    """`NAME a=b c ...` -> (NAME, {"a": "b", "c": ""}); a value may be an expression, up to the next `word=` or flag.

    Raises HlsError: a pragma or an option that is not known, given twice, or with a value that it does not take.
    """
    words = text.split(None, 1)
    if not words:
        raise HlsError("empty #pragma HLS", loc, f"known: {', '.join(KNOWN)}")
    name, rest = words[0].upper(), words[1] if len(words) > 1 else ""
    if name not in _OPTIONS:
        raise HlsError(f"unknown pragma HLS {name}", loc, f"known: {', '.join(sorted(KNOWN))}")
    known, found = _OPTIONS[name], []
    for part in re.split(r"\s+(?=[A-Za-z_]\w*\s*=(?!=))", " " + rest):
        key, equals, value = part.partition("=")
        if not (equals and re.fullmatch(r"\s*\w+\s*", key)):
            found += [(flag.lower(), "") for flag in part.split()]
            continue
        value, flags = value.split(), []
        while len(value) > 1 and re.fullmatch(r"[A-Za-z_]\w*", value[-1]) and re.search(r"[\w)\]]$", value[-2]):
            flags.append((value.pop().lower(), ""))
        found += [(key.strip().lower(), " ".join(value)), *flags]
    options: dict[str, str] = {}
    for key, value in found:
        _check_option(name, key, value, loc)
        if key in options:
            raise HlsError(f"HLS {name}: '{key}' is given twice", loc)
        options[key] = value if known[key] == _TEXT else value.lower()
    for same in _ALTERNATIVES.get(name, ()):
        if len(both := [key for key in same if key in options]) > 1:
            raise HlsError(f"HLS {name}: '{both[0]}' and '{both[1]}' contradict each other", loc, "write one of them")
    return name, options


def _check_option(name: str, key: str, value: str, loc: Location) -> None:
    known = _OPTIONS[name]
    wanted = known.get(key)
    if wanted is None:
        raise HlsError(f"HLS {name} has no option '{key}'", loc, f"known: {', '.join(known) or 'none'}")
    if wanted == _FLAG:
        if value:
            raise HlsError(f"HLS {name}: '{key}' takes no value", loc)
    elif not value:
        raise HlsError(f"HLS {name}: '{key}=' lacks its value", loc)
    elif wanted != _TEXT and value.lower() not in wanted:
        raise HlsError(f"HLS {name}: {key}={value} is not known", loc, f"known: {', '.join(wanted)}")


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
        head = 0  # offset of what a brace may belong to
        closed_do = False  # the token before closed the braces of a do
        for token in _TOKEN.finditer(self.text):
            while upcoming and upcoming[0] <= token.start():
                here, upcoming = upcoming[1], next(lines, None)
            if token["hash"]:
                if pragma := _PRAGMA.match(token["hash"]):
                    if loop is not None and depth == 0:
                        raise HlsError("a pragma between a loop's header and its body", here, _INSIDE)
                    self._pragma(pragma[1].strip(), token.start(), token.end(), here, stack)
                continue
            word, mark = token["word"], token["mark"]
            if word and (spelt := plain(word)) != word:
                self.edits.append((token.start(), token.end(), spelt))
            was_do, closed_do = closed_do, False
            if word in ("for", "while", "do") and depth == 0 and not (word == "while" and was_do):
                if loop is not None and after_header:
                    self._bare(loop, stack)
                loop, after_header = token.start(), word == "do"
            elif mark == "(":
                depth += 1
            elif mark == ")":
                depth -= 1
                after_header = after_header or (loop is not None and depth == 0)
            elif mark == "{":
                is_loop = loop is not None and after_header and depth == 0
                kind = "loop" if is_loop else "block"
                if not is_loop and not _in_code(stack) and self._is_function(head, token.start(), last_mark):
                    kind = "function"
                start = loop if is_loop and loop is not None else token.start()
                if kind == "function":
                    blank = _BLANK.match(self.text, head)
                    start = blank.end() if blank else head
                outside = (depth, None, False) if is_loop else (depth, loop, after_header)
                is_do = is_loop and self.text.startswith("do", start)
                stack.append(_Scope(kind, start, self._at(start), is_do, outside))
                loop, depth, after_header = None, 0, False
            elif mark == "}" and stack:
                scope = stack.pop()
                self._close(scope, here, stack)
                depth, loop, after_header = scope.outside
                closed_do = scope.is_do
            elif after_header and loop is not None and (word or mark == ";"):
                self._bare(loop, stack)
                loop = None
            if mark:
                last_mark = mark
                head = token.end() if mark in "{};" and depth == 0 else head
        text = self.text
        for start, end, replacement in sorted(self.edits, reverse=True):
            text = text[:start] + replacement + text[end:]
        return f"{MARKER_DECLARATIONS}\n{text}", self.directives

    def _is_function(self, head: int, brace: int, last_mark: str) -> bool:
        """Whether a brace outside any function opens a function's body."""
        before = self.text[head:brace]
        return last_mark == ")" or not re.search(r"\b(?:namespace|struct|class|union|enum|extern)\b|=", before)

    def _at(self, offset: int) -> Location:
        """The line of an offset."""
        return self.places[bisect_right(self.places, offset, key=lambda place: place[0]) - 1][1]

    def _bare(self, loop: int, stack: list[_Scope]) -> None:
        """Note a loop without braces, in which no pragma can stand."""
        if stack:
            stack[-1].loops.append(self._at(loop))

    def _pragma(self, text: str, start: int, end: int, loc: Location, stack: list[_Scope]) -> None:
        name, options = parse_options(plain(text), loc)
        if not _in_code(stack):
            raise HlsError(f"HLS {name} outside a function", loc)
        kind = stack[-1].kind
        if name in _OF_LOOPS and kind != "loop":
            raise HlsError(f"HLS {name} does not stand in the braces of a loop", loc, _INSIDE)
        if name in _OF_LOOPS_AND_FUNCTIONS and kind == "block":
            raise HlsError(f"HLS {name} stands in the braces of neither a loop nor a function", loc, _INSIDE)
        self._once(name, options, loc, stack[-1])
        self.directives.names[loc] = name
        self.edits.append((start, end, getattr(self, f"_{name.lower()}")(options, loc, stack[-1])))

    def _once(self, name: str, options: dict[str, str], loc: Location, scope: _Scope) -> None:
        """Refuse what contradicts another pragma of the same braces."""
        if name in (*_OF_LOOPS, *_OF_LOOPS_AND_FUNCTIONS, "INLINE"):
            others, before = scope.pragmas.setdefault(name, (options, loc))
            if others != options:
                raise HlsError(f"HLS {name} contradicts that of line {before.line}", loc, "write one of them")
            if {"DATAFLOW", "PIPELINE"} <= scope.pragmas.keys():
                raise HlsError("DATAFLOW and PIPELINE contradict each other", loc, "write one of them")

    # What each pragma becomes; the text replaces the pragma in its line
    def _unroll(self, options: dict[str, str], loc: Location, scope: _Scope) -> str:
        if "factor" in options:
            raise HlsError(
                "partial unrolling (factor=) is not supported",
                loc,
                "split the loop in two and unroll the inner one",
            )
        edit = f'\n#pragma clang loop unroll(full)\n# {scope.loc.line} "{_quoted(scope.loc.file)}"\n'
        if (scope.start, scope.start, edit) not in self.edits:
            self.edits.append((scope.start, scope.start, edit))
        return ""

    def _pipeline(self, options: dict[str, str], loc: Location, scope: _Scope) -> str:
        if "off" in options:
            raise HlsError("every loop is pipelined with II=1", loc, "write `#pragma HLS PIPELINE II=1`")
        interval = options.get("ii", "1")
        if interval.isdigit() and int(interval) != 1:
            raise HlsError("every loop is pipelined with II=1", loc, "write `#pragma HLS PIPELINE II=1`")
        return "" if interval.isdigit() else _assert(f"({interval}) == 1", "HLS PIPELINE: every loop has II=1")

    def _dataflow(self, options: dict[str, str], loc: Location, scope: _Scope) -> str:
        return f"{DATAFLOW_MARKER}();"

    def _inline(self, options: dict[str, str], loc: Location, scope: _Scope) -> str:
        return f"if (!__builtin_is_constant_evaluated()) {KEEP_MARKER}();" if options else f"{INLINE_MARKER}();"

    def _stream(self, options: dict[str, str], loc: Location, scope: _Scope) -> str:
        if options.get("type", "fifo") != "fifo" or "depth" not in options:
            raise HlsError(
                "HLS STREAM makes a FIFO of a stated depth",
                loc,
                "write `#pragma HLS STREAM variable=s depth=2`",
            )
        variable = _need("STREAM", options, "variable", loc)
        depth = f"({options['depth']})"
        whole = _assert(f"{depth} >= 1 && {depth} == int{depth}", "HLS STREAM: depth= is no positive number")
        return f"{whole} {STREAM_MARKER}(&({variable}), int{depth});"

    def _loop_flatten(self, options: dict[str, str], loc: Location, scope: _Scope) -> str:
        if options:
            raise HlsError("every nest of loops is flattened", loc, "leave out LOOP_FLATTEN off")
        return ""

    def _loop_tripcount(self, options: dict[str, str], loc: Location, scope: _Scope) -> str:
        """What a report may say of a loop: numbers of iterations, in ascending order."""
        values = [f"({options[key]})" for key in ("min", "avg", "max") if key in options]
        if not values:
            raise HlsError("HLS LOOP_TRIPCOUNT needs min= or max=", loc)
        ascending = " && ".join(f"{a} <= {b}" for a, b in zip(["0", *values], values, strict=False))
        return _assert(ascending, "HLS LOOP_TRIPCOUNT: not 0 <= min <= avg <= max")

    def _dependence(self, options: dict[str, str], loc: Location, scope: _Scope) -> str:
        text = ""
        if "distance" in options:
            text += _assert(f"({options['distance']}) >= 1", "HLS DEPENDENCE: distance= is less than 1")
        if "variable" in options:
            text += _assert_array("DEPENDENCE", options["variable"])
        return text

    def _interface(self, options: dict[str, str], loc: Location, scope: _Scope) -> str:
        port = _need("INTERFACE", options, "port", loc)
        wanted = "ap_ctrl_none" if port == "return" else "axis"
        mode = options.get("mode", "").lower() or next((m for m in ("axis", "ap_ctrl_none") if m in options), "")
        if mode != wanted:
            raise HlsError(
                f"INTERFACE {mode} port={port} is not supported",
                loc,
                "streams are `axis`, the function itself (port=return) is `ap_ctrl_none`",
            )
        if scope.kind != "function":
            raise HlsError("HLS INTERFACE does not stand in the braces of a function", loc, "put it below its header")
        scope.ports.append((port, loc))
        return ""

    def _array_partition(self, options: dict[str, str], loc: Location, scope: _Scope) -> str:
        variable = _need("ARRAY_PARTITION", options, "variable", loc)
        if "complete" not in options and options.get("type") != "complete":
            raise HlsError(
                "only complete partitioning is supported",
                loc,
                "write `#pragma HLS ARRAY_PARTITION variable=a complete`",
            )
        if "factor" in options:
            raise HlsError("HLS ARRAY_PARTITION: a complete one has no factor=", loc)
        dimension = options.get("dim", "1")
        if not dimension.isdigit():
            raise HlsError(f"ARRAY_PARTITION dim={dimension} is not a number", loc)
        return _assert_array("ARRAY_PARTITION", variable, int(dimension)) + (
            f"{ABOUT_ARRAYS}<{PARTITION}, {int(dimension)}>({variable});"
        )

    def _bind_storage(self, options: dict[str, str], loc: Location, scope: _Scope) -> str:
        variable = _need("BIND_STORAGE", options, "variable", loc)
        if options.get("latency", "-1") != "-1":
            raise HlsError("HLS BIND_STORAGE: the schedule chooses the latency", loc, "leave out latency=")
        kind, impl = options.get("type", "ram_s2p"), options.get("impl", "auto")
        code = STORED + MEMORY_TYPES.index(kind) * len(STORAGE) + list(STORAGE).index(impl)
        return _assert_array("BIND_STORAGE", variable) + f"{ABOUT_ARRAYS}<{code}, 0>({variable});"

    def _close(self, scope: _Scope, end: Location, stack: list[_Scope]) -> None:
        self.directives.ports += [PortMode(port, loc, scope.loc.line, end.line) for port, loc in scope.ports]
        if pipeline := scope.pragmas.get("PIPELINE"):
            for loop in scope.loops:
                self.directives.notes.append(
                    (
                        loop,
                        (
                            f"under the PIPELINE of line {pipeline[1].line} Vitis HLS unrolls this loop; here it "
                            "stays a loop, an iteration a cycle; write UNROLL in it for what Vitis HLS does"
                        ),
                    )
                )
            if "UNROLL" in scope.pragmas:
                self.directives.notes.append((pipeline[1], "the loop is unrolled: nothing is left for PIPELINE"))
        if stack:
            stays = [scope.loc] if scope.kind == "loop" and "UNROLL" not in scope.pragmas else []
            stack[-1].loops += [*stays, *scope.loops]


def _assert(condition: str, message: str) -> str:
    return f'static_assert({condition}, "{_quoted(message)}");'


def _assert_array(name: str, variable: str, dimension: int = 1) -> str:
    what = "is no array" if dimension < 2 else f"has no dimension {dimension}"
    rank = f"__openhls_type<decltype({variable})>::rank"
    return _assert(f"{rank} >= {max(1, dimension)}", f"HLS {name}: '{variable}' {what}")


def storage(code: int) -> tuple[str, str]:
    """The marker's code of a BIND_STORAGE -> (type, impl)."""
    kind, impl = divmod(code - STORED, len(STORAGE))
    return MEMORY_TYPES[kind], list(STORAGE)[impl]


def plain(text: str) -> str:
    """Identifiers in the letters that LLVM, SystemVerilog and file names share: `a$b` -> `a__u0024b`.

    A program has no name with two underscores of its own: they are reserved to the compiler.
    """
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), text)
    return re.sub(r"[$]|[^\W\x00-\x7f]", lambda m: f"__u{ord(m[0]):04x}", text)


def _in_code(stack: list[_Scope]) -> bool:
    return any(scope.kind != "block" for scope in stack)


def _quoted(file: str) -> str:
    return file.replace("\\", "\\\\").replace('"', '\\"')


def _need(name: str, options: dict[str, str], key: str, loc: Location) -> str:
    if not options.get(key):
        raise HlsError(f"HLS {name} needs {key}=", loc)
    return options[key]


def rewrite(text: str) -> tuple[str, Directives]:
    """Preprocessed C++ -> (C++ that clang compiles, what the pragmas say besides).

    Raises:
        HlsError: a pragma that is unknown, stands in the wrong place or asks for what is not supported.
    """
    return _Rewriter(text).run()
