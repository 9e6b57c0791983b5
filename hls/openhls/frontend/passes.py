"""The optimiser: LLVM passes through llvmlite, in an order that keeps hardware in sight.

Everything is inlined into one process function; loops are unrolled only where the source asks; integers keep their odd
widths. Arrays of which an outer index is constant everywhere are split in between (`partition`), while the C++ array
types are still visible.
"""

from __future__ import annotations

import re
from functools import cache

import llvmlite.binding as llvm

from openhls.frontend.ir import NAME
from openhls.frontend.partition import split_arrays
from openhls.frontend.promises import Promise, has_markers, read_markers, without_markers
from openhls.frontend.structures import split_structures

_OPTIONS = (
    "-unroll-threshold=1",  # 0 would switch off unrolling by pragma, too
    "-pragma-unroll-threshold=100000000",
    "-pragma-unroll-full-max-iterations=1000000",
    "-unroll-max-percent-threshold-boost=100",
    "-simplifycfg-max-small-block-size=0",
    "-unroll-allow-partial=0",
    "-unroll-runtime=0",
    "-unroll-allow-peeling=0",
    "-unroll-max-upperbound=0",
    # Phi-of-ops takes a value of the iteration before for one of this (LLVM 22.1, nested loops): wrong code.
    "-enable-phi-of-ops=false",
)
_DEVIRTUALISE = ("instruction_combine", "simplify_cfg", "new_gvn", "instruction_combine")
MOST_INDIRECTIONS = 8  # functions that call functions through pointers, one in the other
_PROMOTE = ("sroa",)
_UNROLL = (
    "sroa",
    "simplify_cfg",
    "loop_simplify",
    "lcssa",
    "loop_rotate",
    "loop_unroll",
    "sccp",
)
# No simplify_cfg between a simplified condition and loop_rotate: where the body asks what the loop's end asks, it ends
# the loop in the middle, and the rotation makes a second copy of all that is before: of a read, say.
_CLEAN = (
    "sroa",
    "instruction_combine",
    "loop_simplify",
    "lcssa",
    "loop_rotate",
    "loop_unroll",
    "simplify_cfg",
    "sroa",
    "instruction_combine",
    "simplify_cfg",
    "new_gvn",
    "sccp",
    "instruction_combine",
    "simplify_cfg",
    "aggressive_dce",
    "sroa",
    "instruction_combine",
    "new_gvn",
    "dead_store_elimination",
    "loop_simplify",
    "simplify_cfg",
    "instruction_combine",
    "aggressive_dce",
    "instruction_namer",
)


# A pass that asks whether such a call is needed looks at all others about the same variable, and an unrolled loop has
# as many as iterations: without them the time of the clean-up grows with the loop, not with its square.
_LIFETIMES = re.compile(r"^  call void @llvm\.lifetime\.[\w.]+\(.*\n", re.MULTILINE)


@cache
def _target() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for option in _OPTIONS:
        llvm.set_option("openhls", option)
    return llvm.Target.from_default_triple().create_target_machine()


def _run(module: llvm.ModuleRef, function: str, names: tuple[str, ...]) -> None:
    builder = llvm.create_pass_builder(_target(), llvm.create_pipeline_tuning_options(2))
    manager = llvm.create_new_function_pass_manager()
    for name in names:
        getattr(manager, f"add_{name}_pass")()
    manager.run(module.get_function(function), builder)


_ODD = r"i(?:6[5-9]|[7-9]\d|1[01]\d|12[0-7])"
_RETURNED = re.compile(rf"^  %retval = alloca {_ODD}(?=,)", re.MULTILINE)
_RETURN_STORE = re.compile(rf"^  store ({_ODD}) (\S+), ptr %retval(?=,)", re.MULTILINE)


def widen_returns(text: str) -> str:
    """Let a _BitInt of 65 to 127 bits be returned through 16 whole bytes of memory.

    clang stores its 9 to 16 bytes and loads two i64 for the registers of the calling convention; SROA does not see
    through the bytes missing in between, and every such function would leave an array in memory.
    """
    text = _RETURNED.sub("  %retval = alloca i128", text)
    count = 0

    def widened(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        type_, value = match.groups()
        return f"  %retval.whole{count} = zext {type_} {value} to i128\n  store i128 %retval.whole{count}, ptr %retval"

    return _RETURN_STORE.sub(widened, text)


def parse(text: str) -> llvm.ModuleRef:
    """Textual IR -> module, told that every integer width is a native one.

    With the host's list of native widths, instcombine would widen an i24 and merge neighbouring bytes.
    """
    _target()
    return llvm.parse_assembly(re.sub(r'(target datalayout = "[^"]*?)-n\d+(?::\d+)*', r"\1", text, count=1))


def promote(text: str, function: str) -> str:
    """A printed module with the local variables of one function made values: what `dataflow` reads of a network.

    Loops with UNROLL become the calls that they stand for.
    """
    module = parse(text)
    _run(module, function, _PROMOTE)
    if len(list(module.get_function(function).blocks)) > 1:
        _run(module, function, (*_UNROLL, "simplify_cfg"))
    return str(module)


def _inline(module: llvm.ModuleRef) -> None:
    manager = llvm.create_new_module_pass_manager()
    manager.add_global_dead_code_eliminate_pass()
    manager.add_always_inliner_pass()
    manager.add_global_dead_code_eliminate_pass()
    manager.run(module, llvm.create_pass_builder(_target(), llvm.create_pipeline_tuning_options(2)))


def _callees(module: llvm.ModuleRef, function: str) -> set[str]:
    """The functions of the module that a function still calls; "" for a call through a pointer."""
    defined = {f.name for f in module.functions if not f.is_declaration and f.name != function}
    called = re.findall(rf"\bcall [^\n(]*?({NAME})\(", str(module.get_function(function))) if defined else []
    return {"" if name[0] == "%" else name[1:].strip('"') for name in called} & {"", *defined}


def _in_pieces(text: str) -> str:
    """Arrays and structures taken apart, as long as there is an array in a structure in an array."""
    while (members := split_structures(text)) != text:
        text = split_arrays(members)
    return split_arrays(text)


def _inlined(text: str, function: str) -> llvm.ModuleRef:
    """The module with all that a function calls in it."""
    module = parse(text)
    for other in module.functions:
        if other.is_declaration:
            continue
        if other.name == function:
            other.linkage = "external"
        else:
            other.add_function_attribute("alwaysinline")
            other.linkage = "internal"
    _inline(module)
    return module


def optimise(text: str, function: str) -> tuple[str, list[Promise]]:
    """A printed module and the process function in it -> (that function alone, flat and simplified; its promises).

    Raises HlsError: a pragma that cannot be carried out.
    """
    promises: list[Promise] = []
    if has_markers(text):  # read where pointers are values, of a copy: what is compiled never has them
        copy = _inlined(text, function)
        _run(copy, function, _PROMOTE)
        promises = read_markers(str(copy), function)
    module = _inlined(without_markers(text), function)
    _run(module, function, _UNROLL)
    for _ in range(MOST_INDIRECTIONS):
        if not (called := _callees(module, function)):
            break
        if "" in called:
            _run(module, function, _DEVIRTUALISE)
        _inline(module)
        _run(module, function, _UNROLL)
    module = parse(_LIFETIMES.sub("", _in_pieces(str(module))))
    _run(module, function, _CLEAN)
    return str(module), promises
