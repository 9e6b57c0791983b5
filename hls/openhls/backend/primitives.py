"""SystemVerilog of the small modules the pipelines are wired to: multipliers, memories, FIFOs.

Plain synthesisable text that yosys, Verilator and the vendors' tools read alike. A multiplier and a FIFO have a name
made of all that their text depends on: equal ones share a module, no two others have one name. Two underscores keep
these names apart from those of processes (TOP_PROCESS): no name of a C++ program has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from openhls.backend.storage import fifo_in_block

_FRONT = 4  # words between a FIFO's block memory and its output register: cycles from a pop to the word that follows
_UNCHECKED = ", no_rw_check"  # yosys need not make the old word of an edge that writes the same one
_CONSTANT_BITS = 32768  # of one literal; Verilator takes up to 65536
_WIDE = 512  # bits of a word of which Verilator's C++ for the loop has more lines than for its words one by one


def address_bits(depth: int) -> int:
    """Bits of an address; a memory of one word has one too."""
    return max(1, (depth - 1).bit_length())


def _following(pointer: str, words: int) -> str:
    """The address after the one in `pointer`, round a memory."""
    bits = address_bits(words)
    if words == 1:
        return "1'd0"
    one = f"{pointer} + {bits}'d1"
    return one if words == 1 << bits else f"({pointer} == {bits}'d{words - 1}) ? {bits}'d0 : {one}"


def _module(name: str, header: str, ports: Iterable[str], body: str) -> str:
    comment = "\n".join(f"// {line}".rstrip() for line in header.strip().splitlines())
    return f"{comment}\nmodule {name} (\n  " + ",\n  ".join(ports) + f"\n);\n{body.rstrip()}\nendmodule\n"


def _vector(bits: int) -> str:
    return f"[{bits - 1}:0]"


def _clocked(statements: Iterable[str], enable: str | None = None) -> str:
    lines = [f"    {s}" if enable is None else f"      {s}" for s in statements]
    if enable is not None:
        lines = [f"    if ({enable}) begin", *lines, "    end"]
    return "\n".join(["  always_ff @(posedge clk) begin", *lines, "  end"]) + "\n"


def _contents(words: Sequence[int] | None, width: int, memory: str = "mem") -> str:
    """The words as a few long constants that loops copy into `memory`; wide words one by one.

    An assignment per narrow word takes Verilator's C++ compiler several times as long, and so do unrolled loops. Of a
    wide word the loop has a statement for each 32 bits.
    """
    if words is None:
        return ""
    if width > _WIDE:
        lines = [f"    {memory}[{at}] = {width}'h{word:x};\n" for at, word in enumerate(words)]
        return "".join(["  initial begin\n", *lines, "  end\n"])
    pragma = "    // verilator unroll_disable\n"
    if not any(words):
        return f"  initial begin\n{pragma}    for (int k = 0; k < {len(words)}; k++) {memory}[k] = '0;\n  end\n"
    size = max(1, _CONSTANT_BITS // width)
    constants, loops = [], []
    for number, first in enumerate(range(0, len(words), size)):
        chunk = words[first : first + size]
        digits = "".join(f"{word:0{width}b}" for word in reversed(chunk))
        bits = len(digits)
        part = f"{memory.upper()}_{number}"
        constants.append(f"  localparam logic {_vector(bits)} {part} = {bits}'h{int(digits, 2):x};\n")
        word = f"{part}[{width} * k +: {width}]"
        loops.append(f"    for (int k = 0; k < {len(chunk)}; k++) {memory}[{first} + k] = {word};\n")
    return "".join([*constants, "  initial begin\n", *(pragma + loop for loop in loops), "  end\n"])


@dataclass(frozen=True)
class Multiplier:
    """A signed product with a registered output and, where wanted, registered inputs."""

    a_bits: int
    b_bits: int
    p_bits: int
    a_registered: bool
    b_registered: bool
    held: bool  # has clock enables, for the issue stages

    def name(self, top: str) -> str:
        marks = "a" * self.a_registered + "b" * self.b_registered + "e" * self.held
        return f"{top}__mul_{self.a_bits}x{self.b_bits}_{self.p_bits}" + (f"_{marks}" if marks else "")

    def verilog(self, name: str) -> str:
        a, b, p = self.a_bits, self.b_bits, self.p_bits
        ports = ["input  wire clk"]
        ports += ["input  wire en_in", "input  wire en_out"] if self.held else []
        ports += [
            f"input  wire signed {_vector(a)} a",
            f"input  wire signed {_vector(b)} b",
            f"output wire signed {_vector(p)} p",
        ]
        body = ""
        for side, bits, registered in (("a", a, self.a_registered), ("b", b, self.b_registered)):
            if registered:
                body += f"  logic signed {_vector(bits)} {side}_q;\n"
                body += _clocked([f"{side}_q <= {side};"], "en_in" if self.held else None)
        left, right = ("a_q" if self.a_registered else "a"), ("b_q" if self.b_registered else "b")
        full = a + b
        if p < full:
            body += f"  wire signed {_vector(full)} full = {left} * {right};\n"
            body += f"  wire _unused = &{{1'b0, full{_vector(full)[:-2]}{p}]}};\n"
            product = f"full[{p - 1}:0]"
        else:
            product = f"{left} * {right}"
        body += f"  logic signed {_vector(p)} p_q;\n"
        body += _clocked([f"p_q <= {product};"], "en_out" if self.held else None)
        body += "  assign p = p_q;\n"
        return _module(
            name,
            "Signed product, one register behind it"
            + (" and in front where it saves one outside" if self.a_registered or self.b_registered else "")
            + ": one DSP block up to its width.\nNo reset: the surrounding pipeline knows what is valid.",
            ports,
            body,
        )


@dataclass(frozen=True)
class Rom:
    """Constant words, read in one or two cycles. column: bits that are a memory of their own; None: all of them."""

    width: int
    depth: int
    style: str
    latency: int
    held: bool
    contents: tuple[int, ...]
    column: int | None = None

    def verilog(self, name: str) -> str:
        ports = ["input  wire clk"]
        ports += [f"input  wire en{k + 1}" for k in range(self.latency)] if self.held else []
        ports += [f"input  wire {_vector(address_bits(self.depth))} raddr", f"output wire {_vector(self.width)} rdata"]
        # yosys has no distributed ROM by that name; "logic" is what it and Synplify call it
        attribute = 'rom_style = "block"' if self.style == "block" else 'syn_romstyle = "logic"'
        sources: list[str] = []
        column, body = self.column or self.width, ""
        for low in range(0, self.width, column):
            bits, memory = min(column, self.width - low), "mem" if column >= self.width else f"mem{low // column}"
            body += f"  (* {attribute} *) logic {_vector(bits)} {memory} [0:{self.depth - 1}];\n"
            body += _contents([word >> low & (1 << bits) - 1 for word in self.contents], bits, memory)
            sources.insert(0, f"{memory}[raddr]")
        source = sources[0] if len(sources) == 1 else f"{{{', '.join(sources)}}}"
        for k in range(self.latency):
            body += f"  logic {_vector(self.width)} read{k + 1};\n"
            body += _clocked([f"read{k + 1} <= {source};"], f"en{k + 1}" if self.held else None)
            source = f"read{k + 1}"
        body += f"  assign rdata = {source};\n"
        return _module(
            name,
            f"ROM, {self.latency} cycle(s) from address to data. Addresses beyond the last word give any value.",
            ports,
            body,
        )


@dataclass(frozen=True)
class Ram:
    """One read port (one cycle), one write port. What an edge reads that writes the same word: the new word where it
    forwards, the old one where it collides, elsewhere nothing that anybody looks at."""

    width: int
    depth: int
    style: str  # block, distributed, ultra
    forwarding: bool
    collides: bool
    held: bool
    contents: tuple[int, ...] | None

    def verilog(self, name: str) -> str:
        address, data = _vector(address_bits(self.depth)), _vector(self.width)
        ports = ["input  wire clk"]
        ports += ["input  wire en1"] if self.held else []
        ports += [
            f"input  wire {address} raddr",
            f"output wire {data} rdata",
            "input  wire we",
            f"input  wire {address} waddr",
            f"input  wire {data} wdata",
        ]
        enable = "en1" if self.held else None
        unchecked = "" if self.collides else _UNCHECKED
        body = f'  (* ram_style = "{self.style}"{unchecked} *) logic {data} mem [0:{self.depth - 1}];\n'
        contents = _contents(self.contents, self.width)
        if contents and self.style == "ultra":  # it begins with zeros by itself, and tools do not let it be said
            contents = f"  // synthesis translate_off\n{contents}  // synthesis translate_on\n"
        body += contents
        body += f"  logic {data} read;\n"
        body += _clocked(["mem[waddr] <= wdata;"], "we")
        body += _clocked(["read <= mem[raddr];"], enable)
        header = "RAM, one cycle from address to data. No reset of its contents.\n"
        if self.forwarding:
            header += "A word written on the edge that reads it is forwarded."
            body += f"  logic {data} written;\n  logic hit;\n"
            body += _clocked(["hit <= we && waddr == raddr;", "written <= wdata;"], enable)
            body += "  assign rdata = hit ? written : read;\n"
        else:
            header += (
                "An edge that reads and writes one word reads the old one."
                if self.collides
                else "Not promised: what an edge reads that writes the same word. The schedule never asks for it."
            )
            body += "  assign rdata = read;\n"
        return _module(name, header, ports, body)


@dataclass(frozen=True)
class Fifo:
    """First word falls through: what is pushed at the end of a cycle can be popped in the next one.

    registered: whether a block memory's output register is used, which takes a queue in front of the memory.
    direct: whether the words of a distributed memory are read without a register behind it.
    """

    width: int
    depth: int
    registered: bool = False
    direct: bool = False

    def name(self, top: str) -> str:
        kind = "_r" if self.block and self.registered else "_d" if self._without_register else ""
        return f"{top}__fifo_{self.width}x{self.depth}{kind}"

    @property
    def block(self) -> bool:
        """Whether the words lie in block memory."""
        return fifo_in_block(self.depth, self.width)

    @property
    def _without_register(self) -> bool:
        return self.direct and not self.block and self.depth > 1

    def verilog(self, name: str) -> str:
        data = _vector(self.width)
        ports = [
            "input  wire clk",
            "input  wire rst_n",
            "input  wire push",
            f"input  wire {data} push_data",
            "output wire valid",
            "input  wire ready",
            f"output wire {data} data",
            "output wire popped",
        ]
        header = "\n".join(
            [
                f"FIFO of {self.depth} word(s) of {self.width} bits. `valid` comes from a register, `data` from "
                + ("a distributed memory." if self._without_register else "registers."),
                "It does not check for room: the producer counts `popped` (credits) and never pushes too much.",
            ]
        )
        body = "  logic out_valid;\n  assign valid = out_valid;\n  assign popped = out_valid & ready;\n"
        if self._without_register:
            return _module(name, header, ports, body + self._memory())
        body += f"  logic {data} out;\n  assign data = out;\n"
        if self.block and self.registered:
            body += self._two_queues()
        else:
            body += self._single() if self.depth == 1 else self._queue()
        return _module(name, header, ports, body)

    def _single(self) -> str:
        return _clocked(["out_valid <= rst_n & (push | out_valid & ~ready);"]) + _clocked(["out <= push_data;"], "push")

    def _memory(self) -> str:
        """All words in a distributed memory."""
        data, pointer, count = _vector(self.width), address_bits(self.depth), self.depth.bit_length()
        return "\n".join(
            [
                f'  (* ram_style = "distributed"{_UNCHECKED} *) logic {data} mem [0:{self.depth - 1}];',
                f"  logic {_vector(pointer)} wptr, rptr;",
                f"  logic {_vector(count)} count;",
                "  logic several;  // count > 1, in a register of its own: `ready` comes late and waits for no sum",
                "  assign data = mem[rptr];",
                _clocked(["mem[wptr] <= push_data;"], "push"),
                "  always_ff @(posedge clk) begin",
                "    if (!rst_n) begin",
                "      out_valid <= 1'b0;",
                "      wptr <= '0;",
                "      rptr <= '0;",
                "      count <= '0;",
                "      several <= 1'b0;",
                "    end else begin",
                "      out_valid <= push | out_valid & (several | ~ready);",
                f"      if (push) wptr <= {_following('wptr', self.depth)};",
                f"      if (popped) rptr <= {_following('rptr', self.depth)};",
                "      if (push != popped) begin",
                f"        count <= push ? count + {count}'d1 : count - {count}'d1;",
                f"        several <= push ? out_valid : count > {count}'d2;",
                "      end",
                "    end",
                "  end\n",
            ]
        )

    def _queue(self) -> str:
        """An output register and `depth` - 1 words behind it."""
        words, data = self.depth - 1, _vector(self.width)
        pointer, count = address_bits(words), self.depth.bit_length()

        style = "block" if self.block else "distributed"
        body = f'  (* ram_style = "{style}"{_UNCHECKED} *) logic {data} mem [0:{words - 1}];\n'
        body += f"  logic {_vector(pointer)} wptr, rptr;\n  logic {_vector(count)} count;\n"
        body += "  logic stored;  // count != 0, in a register of its own: `ready` comes late and waits for no sum\n"
        body += "  wire take = ~out_valid | ready;  // the output register can take a word\n"
        body += "  wire store = push & (stored | ~take);\n  wire fetch = take & stored;\n"
        body += f"  wire {_vector(pointer)} rptr_next = fetch ? {_following('rptr', words)} : rptr;\n"
        if self.block:
            body += f"  logic {data} read, written;\n  logic hit;\n"
            body += _clocked(["read <= mem[rptr_next];", "hit <= push && wptr == rptr_next;", "written <= push_data;"])
            body += f"  wire {data} head = hit ? written : read;  // a word written just now is not in `read` yet\n"
        else:
            body += f"  wire {data} head = mem[rptr];\n"
        # A word that goes straight to the output register is written too: while nothing is stored that hurts nobody.
        body += _clocked(["mem[wptr] <= push_data;"], "push")
        body += _clocked(["out <= stored ? head : push_data;"], "take")
        body += "\n".join(
            [
                "  always_ff @(posedge clk) begin",
                "    if (!rst_n) begin",
                "      out_valid <= 1'b0;",
                "      wptr <= '0;",
                "      rptr <= '0;",
                "      count <= '0;",
                "      stored <= 1'b0;",
                "    end else begin",
                "      if (take) out_valid <= stored | push;",
                f"      if (store) wptr <= {_following('wptr', words)};",
                "      rptr <= rptr_next;",
                "      if (store != fetch) begin",
                f"        count <= store ? count + {count}'d1 : count - {count}'d1;",
                f"        stored <= store | count > {count}'d1;",
                "      end",
                "    end",
                "  end\n",
            ]
        )
        return body

    def _two_queues(self) -> str:
        """An output register, a front of _FRONT words behind it, and `depth` - 1 words in block memory behind that.

        A word goes to the memory only while the front is full or other words are in the memory; each word that leaves
        the front then lets one follow, which arrives three cycles later, when the _FRONT words before it are gone at
        the earliest. Its place in the front is given when it is fetched: a word that is pushed meanwhile and finds
        nothing in the memory goes to the place behind it, without a detour. So the time between a push and its pop is
        that of any other FIFO.
        """
        words, data, place = self.depth - 1, _vector(self.width), _vector(_FRONT.bit_length() - 1)
        pointer, count = address_bits(words), self.depth.bit_length()
        used, bits = _vector(_FRONT.bit_length()), _FRONT.bit_length()

        front = f'  (* ram_style = "distributed"{_UNCHECKED} *) logic {data}'
        return "\n".join(
            [
                f'  (* ram_style = "block"{_UNCHECKED} *) logic {data} mem [0:{words - 1}];',
                f"{front} pushed [0:{_FRONT - 1}];",
                f"{front} fetched [0:{_FRONT - 1}];",
                f"  logic {_vector(_FRONT)} from_mem;  // which of the two has the word of a place in the front",
                f"  logic {_vector(pointer)} wptr, rptr;",
                f"  logic {_vector(count)} count;",
                "  logic waiting;  // count != 0, in a register of its own",
                f"  logic {place} first, next;  // places in the front",
                f"  logic {used} used;  // of the front, words on their way included",
                "  logic stored, full;  // used != 0, used == all",
                f"  logic {data} read, word;",
                f"  logic {place} read_place, word_place;",
                "  logic read_valid, word_valid;",
                "  wire take = ~out_valid | ready;  // the output register can take a word",
                "  wire leave = take & stored;",
                "  wire direct = push & ~waiting & ~full & (stored | ~take);",
                "  wire store = push & (waiting | full);",
                "  wire fetch = waiting & ~full;",
                "  wire enter = direct | fetch;",
                f"  wire {data} head = from_mem[first] ? fetched[first] : pushed[first];",
                _clocked(["mem[wptr] <= push_data;"], "store"),
                _clocked(["pushed[next] <= push_data;"], "direct"),
                _clocked(["read <= mem[rptr];", "word <= read;", "read_place <= next;", "word_place <= read_place;"]),
                _clocked(["fetched[word_place] <= word;"], "word_valid"),
                _clocked(["from_mem[next] <= fetch;"], "enter"),
                _clocked(["out <= stored ? head : push_data;"], "take"),
                "  always_ff @(posedge clk) begin",
                "    if (!rst_n) begin",
                *(
                    f"      {name} <= '0;"
                    for name in (
                        "out_valid",
                        "wptr",
                        "rptr",
                        "count",
                        "waiting",
                        "first",
                        "next",
                        "used",
                        "stored",
                        "full",
                        "read_valid",
                        "word_valid",
                    )
                ),
                "    end else begin",
                "      if (take) out_valid <= stored | push;",
                f"      if (store) wptr <= {_following('wptr', words)};",
                f"      if (fetch) rptr <= {_following('rptr', words)};",
                "      if (store != fetch) begin",
                f"        count <= store ? count + {count}'d1 : count - {count}'d1;",
                f"        waiting <= store | count > {count}'d1;",
                "      end",
                "      read_valid <= fetch;",
                "      word_valid <= read_valid;",
                "      if (enter) next <= next + 1'd1;",
                "      if (leave) first <= first + 1'd1;",
                "      if (enter != leave) begin",
                f"        used <= enter ? used + {bits}'d1 : used - {bits}'d1;",
                f"        stored <= enter | used > {bits}'d1;",
                f"        full <= enter & used == {bits}'d{_FRONT - 1};",
                "      end",
                "    end",
                "  end\n",
            ]
        )


def credit_bits(depth: int) -> int:
    """Bits of a counter of 0 .. depth credits."""
    return depth.bit_length()
