"""The names of layers as names in C++ and SystemVerilog: as they are where they mean nothing else there.

A name that is a macro, reserved, or one that a network's top makes for something else gets the layer's number before
it: the network keeps its names, and is built whatever they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from openhls.backend.keywords import RESERVED as SYSTEMVERILOG

IN_PORT, OUT_PORT = "x", "y"  # of every top

# Of all versions of C++ that a tool may compile for.
_CPP = frozenset(
    """alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class
    co_await co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype default
    delete do double dynamic_cast else enum explicit export extern false float for friend goto if inline int long
    mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register
    reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast struct switch
    template this thread_local throw true try typedef typeid typename typeof union unsigned using virtual void volatile
    wchar_t while xor xor_eq""".split()
)
# Macros of the C and C++ libraries, of compilers and of POSIX that do not begin with capitals; those are a rule.
_MACROS = frozenset(
    """alloca assert be16toh be32toh be64toh complex errno fpclassify getc h_addr htobe16 htobe32 htobe64 htole16
    htole32 htole64 htonl htons i386 imaginary isalnum_l isalpha_l isascii isascii_l isblank_l iscanonical
    iscntrl_l isdigit_l iseqsig isfinite isgraph_l isgreater isgreaterequal isinf isless islessequal
    islessgreater islower_l isnan isnormal isprint_l ispunct_l issignaling isspace_l issubnormal isunordered
    isupper_l isxdigit_l iszero le16toh le32toh le64toh linux major makedev math_errhandling minor ntohl ntohs
    offsetof pthread_cleanup_pop pthread_cleanup_push putc sched_priority setjmp signbit sigsetjmp stderr stdin
    stdout strdupa strndupa toascii toascii_l tolower tolower_l toupper toupper_l unix va_arg va_copy va_end
    va_start
    """.split()
)
# What the top, its namespaces and its clock are called; names that begin with one of these and _ are made, too.
_OURS = frozenset(
    f"""ap ap_clk ap_rst ap_rst_n aclk aresetn clk clock hls image input network parser psconv reset response rst
    rst_n statuses std units w {IN_PORT} {OUT_PORT}""".split()
)
_CAPITALS = re.compile(r"[A-Z]([A-Z0-9_]|$)")  # EOF, M_PIf32
_NUMBERED = re.compile(r"l\d+(_|$)")


def identifiers(layers: Sequence[str]) -> dict[str, str]:
    """The identifier of each layer: no two are the same, and none is one of these with _ and something behind it.

    So a name that is made of one of them and a suffix is never another layer's.
    """
    return {
        name: f"l{at}_{name}" if _means_something(name) or any(_begins(name, other) for other in layers) else name
        for at, name in enumerate(layers)
    }


def _begins(name: str, other: str) -> bool:
    return name.startswith(f"{other}_")


def _means_something(name: str) -> bool:
    own = any(name == other or _begins(name, other) for other in _OURS)
    macro = _CAPITALS.match(name) or name in _MACROS
    return own or bool(macro) or name in _CPP or name in SYSTEMVERILOG or "__" in name or bool(_NUMBERED.match(name))
