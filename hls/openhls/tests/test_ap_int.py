"""include/ap_int.h against AMD's published header: every operator, constructor, conversion and method.

One program (ap_int/rules.hpp and a main with the types that are to be compared) is compiled with both; what it
prints must be equal: types of results, hashes of values. What ours refuses is named in docs/ap_int.md and
tested here.
"""

from __future__ import annotations

import importlib.util
import random
import subprocess
from pathlib import Path

import pytest

from openhls.frontend.clang import HEADERS
from openhls.system.zig import PROGRAM, QUICKLY

RULES = Path(__file__).parent / "ap_int"
BORDERS = (1, 8, 16, 31, 32, 33, 63, 64, 65, 127, 128, 129, 200, 256)
NUMBERS = (
    "bool",
    "char",
    "signed char",
    "unsigned char",
    "short",
    "unsigned short",
    "int",
    "unsigned",
    "long",
    "unsigned long",
    "long long",
    "unsigned long long",
)


def amd_include() -> Path | None:
    """Folder of AMD's ap_types headers, which come inside the hls4ml wheel; None where that is not installed."""
    spec = importlib.util.find_spec("hls4ml")  # finds the package without importing it
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "templates" / "vivado" / "ap_types"
    return folder if (folder / "ap_int.h").is_file() else None


AMD = amd_include()
COMMANDS = {
    "clang": (*PROGRAM, *QUICKLY, f"-I{HEADERS}"),
    # Their default constructors mask bits that were never set; inlined, that is reported in our lines.
    "amd": ("g++", "-O0", "-Wno-maybe-uninitialized", "-Wno-uninitialized", "-isystem", str(AMD)),
}
amd = pytest.mark.skipif(AMD is None, reason="AMD's ap_types (hls4ml) are not installed")


def compile_with(compiler: str, source: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMANDS[compiler], "-std=c++17", "-w", "-DNDEBUG", f"-I{RULES}", *options, str(source)]
    return subprocess.run(command, capture_output=True, text=True)


def lines_of(compiler: str, statements: list[str], folder: Path, *options: str) -> list[str]:
    """What the program of these statements prints."""
    source, program = folder / "rules.cpp", folder / f"rules_{compiler}"
    body = "".join(f"  {statement};\n" for statement in statements)
    source.write_text(f'#include "rules.hpp"\nint main(int n, char** v) {{\n  if (n > 1) wanted = v[1];\n{body}}}\n')
    built = compile_with(compiler, source, *options, "-o", str(program))
    assert built.returncode == 0, built.stderr[-4000:]
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()


# For operations of ours alone: C++'s own on bits shift by negative amounts, too.
SANITIZE = ("-fsanitize=undefined", "-fno-sanitize-recover=undefined")


def compare(statements: list[str], folder: Path, *options: str) -> None:
    """Where AMD's header has an operation, ours, compiled with these options, has the same type and values."""
    theirs = lines_of("amd", statements, folder)
    ours = lines_of("clang", statements, folder, *options)
    assert len(theirs) == len(ours) > 0
    differ = [(a, b) for a, b in zip(theirs, ours, strict=True) if a != b and " -> none" not in a]
    assert not differ, "\n".join(f"AMD:  {a}\nours: {b}" for a, b in differ[:20])


def operand(kind: str, width: int, sign: bool) -> str:
    text = f"<{width}, {str(bool(sign)).lower()}>"
    return f"Named<{kind[5:]}{text}>" if kind.startswith("Named") else f"{kind}{text}"


def random_operand(rng: random.Random) -> str:
    """A word, a place in one or a concatenation of any width."""
    kind = rng.choice(("Word", "Const", "Range", "Bit", "NamedRange", "NamedBit", "Concat"))
    if kind == "Concat":
        parts = [
            operand(rng.choice(("Word", "NamedRange", "NamedBit")), rng.choice(BORDERS[:-2]), rng.random() < 0.5)
            for _ in range(2)
        ]
        return f"Concat<{', '.join(parts)}>"
    return operand(kind, rng.choice((2, 3, 5, *BORDERS)), rng.random() < 0.5)


def is_comparable(left: str, right: str) -> bool:
    """Where AMD's header differs for const words, or refers to what is gone (docs/ap_int.md)."""
    return not (left.startswith("Const") and right.startswith("Concat")) and not (
        left.startswith(("Bit", "NamedBit", "Named<Bit")) and right.startswith("Const")
    )


@amd
def test_words_and_places(tmp_path: Path) -> None:
    """A few of each sort, at small widths exhaustively and at the borders of C's types."""
    compare(
        [
            "pair<Word<3, true>, Word<2, false>>()",
            "pair<Word<2, false>, Word<3, true>>()",
            "pair<Word<32, true>, Word<33, false>>()",
            "pair<Word<65, false>, Word<64, true>>()",
            "pair<Range<5, true>, Word<4, true>>()",
            "pair<Word<4, false>, Bit<5, true>>()",
            "pair<Bit<3, true>, Number<int>>()",
            "pair<Number<int>, Word<7, false>>()",
            "pair<Word<9, true>, Number<unsigned char>>()",
            "pair<Concat<Word<3, true>, Named<Range<5, false>>>, Number<int>>()",
            "single<Word<3, true>>()",
            "single<Range<33, true>>()",
            "methods<5, true>()",
            "methods<70, false>()",
            "strings<33, true>()",
        ],
        tmp_path,
    )


@amd
@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_all_words_of_up_to_five_bits(part: int, tmp_path: Path) -> None:
    words = [operand("Word", width, sign) for width in range(1, 6) for sign in (False, True)]
    pairs = [f"pair<{a}, {b}>()" for a in words for b in words]
    compare(pairs[part::5], tmp_path, *SANITIZE)


@amd
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_random_words_up_to_256_bits(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    words = [operand("Word", rng.choice(BORDERS), rng.random() < 0.5) for _ in range(40)]
    compare([f"pair<{a}, {b}>()" for a, b in zip(words[::2], words[1::2], strict=True)], tmp_path, *SANITIZE)


@amd
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_random_places_and_concatenations(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    pairs = [(random_operand(rng), random_operand(rng)) for _ in range(20)]
    compare([f"pair<{a}, {b}>()" for a, b in pairs if is_comparable(a, b)], tmp_path)


@amd
@pytest.mark.slow
@pytest.mark.parametrize("half", range(2))
def test_built_in_numbers(half: int, tmp_path: Path) -> None:
    rng = random.Random(half)
    statements = []
    for number in NUMBERS[half::2]:
        for _ in range(3):
            other = random_operand(rng)
            pair = (other, f"Number<{number}>") if rng.random() < 0.6 else (f"Number<{number}>", other)
            statements.append(f"pair<{', '.join(pair)}>()")
    compare(statements, tmp_path)


@amd
@pytest.mark.slow
def test_all_methods(tmp_path: Path) -> None:
    compare(
        [
            f"{what}<{width}, {sign}>()"
            for width in (1, 2, 4, 5, 31, 32, 33, 64, 65, 129)
            for sign in ("true", "false")
            for what in ("methods", "strings")
            if what == "methods" or width >= 32
        ]
        + [
            f"single<{operand(kind, width, sign)}>()"
            for kind in ("Word", "Range", "Bit", "Const")
            for width in (1, 2, 3, 5, 31, 33, 64, 65, 128)
            for sign in (False, True)
        ],
        tmp_path,
        *SANITIZE,
    )


def test_remainders_of_long_words(tmp_path: Path) -> None:
    """AMD's long division is wrong in places; the remainder is C's, of a negative divisor beside an unsigned dividend
    as of a large one."""
    rng = random.Random(3)
    lines, expected = [], []
    for _ in range(40):
        (wa, sa), (wb, sb) = ((rng.choice((40, 64, 65, 127, 128, 129, 200)), rng.random() < 0.5) for _ in range(2))
        a, b = rng.getrandbits(wa), rng.getrandbits(rng.randint(1, wb)) or 1
        if rng.random() < 0.5:
            b = (1 << wb) - b
        x, y = (v - (1 << w) if s and v >> (w - 1) else v for v, w, s in ((a, wa, sa), (b, wb, sb)))
        if sa != sb and (wa > wb if not sa else wb > wa):  # the wider is unsigned: so is the division
            x, y = (v % (1 << (max(wa, wb) + 1)) for v in (x, y))
            right = x % y
        elif not sa and y < 0:
            right = x
        else:
            right = abs(x) % abs(y) * (-1 if x < 0 else 1)
        width = min(wa, wb + (not sb and sa))
        lines.append(
            f'  show({"ap_int" if sa else "ap_uint"}<{wa}>("{a:x}", 16) % '
            f'{"ap_int" if sb else "ap_uint"}<{wb}>("{b:x}", 16));'
        )
        expected.append(f"{width} {right % (1 << width):0{width}b}")
    source = tmp_path / "remainders.cpp"
    source.write_text(
        '#include "ap_int.h"\n#include <cstdio>\ntemplate <class T> void show(const T& x) {\n'
        '  std::printf("%d ", T::width);\n  for (int i = T::width; i-- > 0;) std::putchar(48 + x.test(i));\n'
        '  std::puts("");\n}\nint main() {\n' + "\n".join(lines) + "\n}\n"
    )
    built = compile_with("clang", source, "-fsanitize=undefined", "-fno-sanitize-recover", "-o", str(tmp_path / "r"))
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([tmp_path / "r"], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == expected


# What AMD's header compiles and ours does not: (statement, the start of the message).
REFUSED = (
    ("bool b = w(3, 0).and_reduce();", "reduction of a range"),
    ("bool b = w.range(3, 0).or_reduce();", "reduction of a range"),
    ("bool b = w(3, 0).xor_reduce();", "reduction of a range"),
    ("w(3, 0) |= s;", "an assignment with an operator to a range"),
    ("w(3, 0) &= w(7, 4);", "an assignment with an operator to a range"),
    ("auto r = w(3, 0); r += s;", "an assignment with an operator to a range"),
    ("auto r = w[3]; r ^= s;", "AMD's header has no assignment with an operator to a bit"),
    ("bool b = wide.to_bool();", "to_bool() of more than 64 bits"),
    ("bool b = wide.nand_reduce();", "nand_reduce() of more than 64 bits"),
    ("bool b = s.xor_reduce();", "xor_reduce() and xnor_reduce() of an ap_int of odd width"),
    ("bool b = s.xnor_reduce();", "xor_reduce() and xnor_reduce() of an ap_int of odd width"),
    ("swide.lrotate(3);", "AMD's simulation rotates no ap_int of more than 64 bits"),
    ("swide.rrotate(3);", "AMD's simulation rotates no ap_int of more than 64 bits"),
    ("w = ap_uint<8>(1.5);", "no floating point in an ap_int"),
    ("w = 2.0f;", "no floating point in an ap_int"),
)
_REFUSAL = """#include "ap_int.h"
void f(ap_uint<8> w, ap_int<7> s, ap_uint<65> wide, ap_int<65> swide) {
STATEMENTS
}
"""


@pytest.mark.parametrize(("statement", "message"), REFUSED)
def test_what_is_refused_says_why(statement: str, message: str, tmp_path: Path) -> None:
    source = tmp_path / "refused.cpp"
    source.write_text(_REFUSAL.replace("STATEMENTS", statement))
    built = compile_with("clang", source, "-fsyntax-only")
    assert built.returncode != 0 and f": {message}" in built.stderr, built.stderr


@amd
def test_what_is_refused_is_right_in_amds(tmp_path: Path) -> None:
    """Or the list would name what nobody can write."""
    source = tmp_path / "refused.cpp"
    source.write_text(_REFUSAL.replace("STATEMENTS", "\n".join(f"{{ {text} }}" for text, _ in REFUSED)))
    built = compile_with("amd", source, "-fsyntax-only")
    assert built.returncode == 0, built.stderr[-2000:]


@pytest.mark.parametrize("text", ["0x1g", "12a", "0b12", "", "-", "0x12345678901234567", "99999999999999999999"])
def test_a_string_of_wrong_digits_is_no_constant(text: str, tmp_path: Path) -> None:
    source = tmp_path / "string.cpp"
    source.write_text(f'#include "ap_int.h"\nconstexpr ap_uint<16> word("{text}");\n')
    built = compile_with("clang", source, "-fsyntax-only")
    assert "wrong_digits_in_a_string" in built.stderr


def test_a_stream_takes_any_name_and_gives_its_words_in_order(tmp_path: Path) -> None:
    """A literal, characters that the program wrote, a std::string; words that are read leave room for others."""
    source, program = tmp_path / "named.cpp", tmp_path / "named"
    source.write_text("""#include <string>
#include "hls_stream.h"
int main() {
  char written[2] = {'b', 0};
  char* const pointer = written;
  hls::stream<int> none, a("a"), b(written), also(pointer), c(std::string("c"));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 5; ++i) b << 10 * round + i;
    for (int i = 0; i < 4 + round / 2; ++i) std::printf("%d ", b.read());
  }
  std::printf("%d %d\\n", (int)b.size(), (int)(none.empty() && a.empty() && also.empty() && c.empty()));
  for (int i = 0; i < 2; ++i) b.read();
}
""")
    built = compile_with("clang", source, "-o", str(program))
    assert not built.returncode, built.stderr
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    written = [10 * round_ + i for round_ in range(3) for i in range(5)][:13]
    assert done.stdout == f"{' '.join(map(str, written))} 2 1\n"
    assert done.returncode == 0, done.stderr
