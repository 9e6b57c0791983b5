"""Pointers as numbers: afterwards every load and store names its object, its offset and when it happens.

A pointer that is chosen at run time (`phi` and `select` of pointers: two streams merged by an if, LLVM's one load for
the loads of both branches, a pointer that walks through an array, two buffers that change places) becomes numbers: per
candidate object one bit that says whether it is the one, and an index into it where that is not a constant. An access
through it becomes one access per candidate, guarded by that bit. So does the access of an element of an array of
streams whose index is not a constant. Comparisons and differences of pointers become those of their indices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import gcd
from typing import Any

from openhls.common.errors import HlsError, Location
from openhls.frontend.cfg import Iteration
from openhls.frontend.ir import Address, Function, Instruction, Value, parse_constant_gep
from openhls.frontend.objects import Objects

MOST_PLACES = 8  # constant offsets into one object that a pointer is a choice of; more are an index
_COUNTED = re.compile(r"ptrto(?:int|addr) \(ptr (.*) to i\d+\)")
_NUMBER = re.compile(r"-?\d+")
_NOWHERE = ("undef", "poison")
NULL = "null"
_TRUE, _FALSE = Value("i1", "true"), Value("i1", "false")


@dataclass(frozen=True)
class _Target:
    """One candidate of a pointer; `guard`: whether it is the one (None: it is, whatever the others say)."""

    address: Address
    guard: Value | None


@dataclass(frozen=True)
class _Edge:
    """What a choice is given from one side: constant bytes and terms beyond an object or another choice."""

    root: str
    offset: int
    terms: tuple[tuple[Value, int], ...]
    after: Instruction | None  # the last getelementptr on the way: where its terms may be added up


@dataclass
class _Choices:
    """Choices (names of `phi` and `select`) that hand pointers to each other."""

    members: list[str]
    unit: int = 0  # bytes that an index counts; 0: each candidate is a place
    bases: dict[str, int] = field(default_factory=dict)  # object -> bytes at index 0


class _Pointers:
    """One function; `blocks` is rewritten in place."""

    def __init__(
        self,
        function: Function,
        it: Iteration,
        objects: Objects,
        streams: Mapping[str, list[int]],
        place: Callable[[Instruction], Location | None],
    ):
        self.function, self.it, self.objects, self.types = function, it, objects, objects.types
        self.streams, self.place = streams, place
        self.definitions = {i.name: i for block in function.blocks.values() for i in block if i.name}
        self.before: dict[int, list[Instruction]] = {}  # id(instruction) -> new ones in front of it
        self.behind: dict[int, list[Instruction]] = {}
        self.choices: dict[str, _Choices] = {}
        self.keys: dict[str, list[tuple[str, int]]] = {}  # choice -> (object, offset; 0 where there is an index)
        self.divided: dict[tuple[str, int, str], Value] = {}
        self.counter = 0

    def run(self) -> None:
        order = self.it.order
        for label in order:
            self.function.blocks[label] = [n for i in self.function.blocks[label] for n in self._from_table(i)]
        chosen = [i.name for b in order for i in self.function.blocks[b] if self._is_choice(i)]
        used = self._used(order, chosen)
        self._group([name for name in chosen if name in used])
        for group in {id(g): g for g in self.choices.values()}.values():
            self._measure(group)
        for name in chosen:
            if name in used:
                self._number(self.definitions[name])
        rewritten = {id(i): self._rewritten(i) for b in order for i in self.function.blocks[b]}
        for label in order:
            new = []
            for i in self.function.blocks[label]:
                new += [*self.before.get(id(i), ()), *rewritten[id(i)], *self.behind.get(id(i), ())]
            self.function.blocks[label] = sorted(new, key=lambda i: i.opcode != "phi")

    # What is there
    def _is_choice(self, i: Instruction) -> bool:
        return i.opcode in ("phi", "select") and i.type == "ptr"

    def _used(self, order: list[str], chosen: list[str]) -> set[str]:
        """The choices that some access, comparison or other choice in use looks at."""
        used: set[str] = set()
        work = [
            v
            for b in order
            for i in self.function.blocks[b]
            if i.opcode in ("load", "store", "icmp", "ptrtoint", "ptrtoaddr")
            for v in i.operands
            if v.type == "ptr"
        ]
        names = set(chosen)
        while work:
            root = self._walk(work.pop()).root
            if root in names and root not in used:
                used.add(root)
                work += [v for v in self.definitions[root].operands if v.type == "ptr"]
        return used

    def _walk(self, pointer: Value) -> _Edge:
        """Follow getelementptrs back to an object or a choice."""
        terms: list[tuple[Value, int]] = []
        after: Instruction | None = None
        offset, text = 0, pointer.text
        while True:
            definition = self.definitions.get(text)
            if text.startswith("getelementptr"):
                definition = parse_constant_gep(text)
            elif definition is not None and definition.opcode == "freeze":
                text = definition.operands[0].text
                continue
            elif definition is not None and definition.opcode == "getelementptr" and after is None:
                after = definition
            if definition is None or definition.opcode != "getelementptr":
                return _Edge(text, offset, tuple(terms), after)
            constant, found = self.types.displacement(definition)
            offset += constant
            terms += found
            text = definition.operands[0].text

    def _refuse(self, root: str, where: Instruction) -> HlsError:
        """The error about a pointer that leads to no object."""
        definition = self.definitions.get(root)
        loc = self.place(where)
        if definition is not None and definition.opcode == "load":
            return HlsError(
                "a pointer that is kept in memory (an array of pointers, or a structure of references)",
                loc,
                "choose by if, switch or ?: among the objects themselves, or unroll the loop around it",
            )
        if definition is not None and definition.opcode == "call":
            return HlsError(f"a pointer that {definition.callee or 'an indirect call'} returns", loc)
        return HlsError(f"access through the pointer {root}", loc, "a pointer must lead to an array or a stream")

    def _is_object(self, root: str) -> bool:
        definition = self.definitions.get(root)
        if definition is not None:
            return definition.opcode == "alloca"
        return root.startswith("@") or root in self.function.arguments

    # Tables of pointers
    def _from_table(self, i: Instruction) -> list[Instruction]:
        """A pointer loaded from an array of pointers whose contents are known: a choice among them by the index."""
        if i.opcode != "load" or i.type != "ptr":
            return [i]
        edge = self._walk(i.operands[0])
        entries = self._entries(edge.root, i)
        if not entries:
            return [i]
        if not edge.terms:
            entries = {at: v for at, v in entries.items() if at == edge.offset}
        step = gcd(*[stride for _, stride in edge.terms]) or 1
        made: list[Instruction] = []
        result = Value("ptr", "poison")
        if edge.terms:
            index = self._added(edge.terms, step, i) if len(edge.terms) > 1 else edge.terms[0][0]
        for k, (at, pointer) in enumerate(entries.items()):
            name = i.name if k == len(entries) - 1 else _derived(i.name, f"entry{k}")
            here = _TRUE
            if edge.terms:
                number = Value(index.type, str((at - edge.offset) // step))
                here = Value("i1", _derived(i.name, f"at{k}"))
                made.append(Instruction(here.text, "icmp", "i1", [index, number], i.text, i.debug, i.block, "eq"))
            chosen = Instruction(name, "select", "ptr", [here, pointer, result], i.text, i.debug, i.block)
            result = Value("ptr", name)
            made.append(chosen)
        self.definitions |= {new.name: new for new in made}
        return [*self.before.pop(id(i), ()), *made]

    def _entries(self, table: str, load: Instruction) -> dict[int, Value]:
        """Offset -> pointer in an array of pointers that is written once, before it is read; {} for any other."""
        if table.startswith("@"):
            return self.objects.pointers_in(table)
        entries: dict[int, Value] = {}
        for label in self.it.order:
            for i in self.function.blocks[label]:
                if i.opcode == "store" and (edge := self._walk(i.operands[1])).root == table:
                    before = label == self.it.entry or self.it.dominates(label, load.block)
                    if edge.terms or edge.offset in entries or not before or i.operands[0].type != "ptr":
                        return {}
                    entries[edge.offset] = i.operands[0]
        return entries

    # Choices
    def _edges(self, name: str) -> list[_Edge]:
        return [self._walk(v) for v in self.definitions[name].operands if v.type == "ptr"]

    def _group(self, chosen: list[str]) -> None:
        for name in chosen:
            self.choices.setdefault(name, _Choices([name]))
            for edge in self._edges(name):
                if edge.root in self.definitions and self._is_choice(self.definitions[edge.root]):
                    other = self.choices.setdefault(edge.root, _Choices([edge.root]))
                    mine = self.choices[name]
                    if other is not mine:
                        mine.members += other.members
                        for member in other.members:
                            self.choices[member] = mine

    def _measure(self, group: _Choices) -> None:
        """Find the candidates of every choice, and whether they are places or need an index."""
        edges = {name: self._edges(name) for name in group.members}
        for name in group.members:
            for edge in edges[name]:
                known = edge.root in self.choices or edge.root in (NULL, *_NOWHERE)
                if not known and not self._is_object(edge.root):
                    raise self._refuse(edge.root, self.definitions[name])
        places = None
        if not any(e.terms for found in edges.values() for e in found):
            places = self._fixpoint(edges, moved=True)
        if places is None:
            self._index(group, [(name, e) for name, found in edges.items() for e in found])
            places = self._fixpoint(edges, moved=False)
        assert places is not None
        for name, found in places.items():
            self.keys[name] = sorted(found)

    def _fixpoint(self, edges: dict[str, list[_Edge]], moved: bool) -> dict[str, set[tuple[str, int]]] | None:
        """Choice -> (object, offset) it may be; None if there are too many offsets.

        Args:
            moved: tell offsets apart; otherwise all are 0.
        """
        places: dict[str, set[tuple[str, int]]] = {name: set() for name in edges}
        changed = True
        while changed:
            changed = False
            for name, found in edges.items():
                new = set()
                for edge in found:
                    if edge.root in edges:
                        new |= {(o, (at + edge.offset) * (moved and o != NULL)) for o, at in places[edge.root]}
                    elif edge.root not in _NOWHERE:
                        new.add((edge.root, edge.offset * (moved and edge.root != NULL)))
                if not new <= places[name]:
                    places[name] |= new
                    changed = True
                    objects = [o for o, _ in places[name]]
                    if any(objects.count(o) > MOST_PLACES for o in set(objects)):
                        return None
        return places

    def _index(self, group: _Choices, edges: list[tuple[str, _Edge]]) -> None:
        for _, edge in edges:
            for index, stride in edge.terms:
                group.unit = gcd(group.unit, stride * self._divisor(index))
            if edge.root in self.choices:
                group.unit = gcd(group.unit, edge.offset)
            elif self._is_object(edge.root):
                base = group.bases.setdefault(edge.root, edge.offset)
                group.unit = gcd(group.unit, edge.offset - base)
        assert group.unit > 0

    def _number(self, i: Instruction) -> None:
        """Give a choice its bits and indices: phis or selects like itself."""
        group, keys = self.choices[i.name], self.keys[i.name]
        edges = self._edges(i.name)
        for key in keys[: len(keys) - (len(keys) < 3)]:
            self._like(i, self._bit(i.name, key), "i1", [self._bit_of(e, key, group) for e in edges])
        if len(keys) == 2:  # not the one is the other
            first, second = (self._bit(i.name, key) for key in keys)
            self._behind(i, Instruction(second, "xor", "i1", [Value("i1", first), _TRUE], i.text, i.debug, i.block))
        for key in keys if group.unit else ():
            if key[0] != NULL:
                self._like(i, self._index_name(i.name, key), "i64", [self._index_of(e, key[0], group) for e in edges])

    def _like(self, i: Instruction, name: str, type_: str, values: list[Value]) -> None:
        condition = [i.operands[0]] if i.opcode == "select" else []
        new = Instruction(name, i.opcode, type_, [*condition, *values], i.text, i.debug, i.block, labels=i.labels)
        self._behind(i, new)

    def _bit(self, name: str, key: tuple[str, int]) -> str:
        return _derived(name, f"is{self.keys[name].index(key)}")

    def _index_name(self, name: str, key: tuple[str, int]) -> str:
        return _derived(name, f"index{self.keys[name].index(key)}")

    def _bit_of(self, edge: _Edge, key: tuple[str, int], group: _Choices) -> Value:
        """i1: what comes over an edge is this candidate."""
        if edge.root in self.choices:
            source = key if group.unit or key[0] == NULL else (key[0], key[1] - edge.offset)
            if source not in self.keys[edge.root]:
                return _FALSE
            return Value("i1", self._bit(edge.root, source)) if len(self.keys[edge.root]) > 1 else _TRUE
        here = (edge.root, 0 if group.unit or key[0] == NULL else edge.offset)
        return _TRUE if here == key else _FALSE

    def _index_of(self, edge: _Edge, object_: str, group: _Choices) -> Value:
        """i64: the index that comes over an edge, if this object is the one."""
        if edge.root in self.choices:
            if (object_, 0) not in self.keys[edge.root]:
                return Value("i64", "undef")
            start, base = Value("i64", self._index_name(edge.root, (object_, 0))), 0
        elif edge.root == object_:
            start, base = None, group.bases[object_]
        else:
            return Value("i64", "undef")
        return self._sum(start, edge.offset - base, edge.terms, group.unit, edge.after)

    # Numbers
    def _behind(self, i: Instruction, new: Instruction) -> None:
        self.behind.setdefault(id(i), []).append(new)

    def _emit(self, after: Instruction, opcode: str, type_: str, operands: list[Value], **attributes: Any) -> Value:
        """A new instruction behind another one."""
        self.counter += 1
        name = f"%openhls.{self.counter}"
        new = Instruction(name, opcode, type_, operands, after.text, after.debug, after.block, **attributes)
        self._behind(after, new)
        return Value(type_, name)

    def _sum(
        self,
        start: Value | None,
        offset: int,
        terms: tuple[tuple[Value, int], ...],
        unit: int,
        after: Instruction | None,
    ) -> Value:
        """i64: start + (offset + terms) / unit, where it is a whole number."""
        total = start
        for index, stride in terms:
            assert after is not None
            divisor = unit // gcd(unit, stride)
            term = self._extended(self._quotient(index, divisor), after)
            if (factor := stride * divisor // unit) != 1:
                term = self._emit(after, "mul", "i64", [term, Value("i64", str(factor))])
            total = term if total is None else self._emit(after, "add", "i64", [total, term])
        constant = Value("i64", str(offset // unit))
        if total is None:
            return constant
        if offset == 0:
            return total
        assert after is not None  # a step from another choice is an instruction
        return self._emit(after, "add", "i64", [total, constant])

    def _extended(self, index: Value, after: Instruction) -> Value:
        if index.type == "i64" or _NUMBER.fullmatch(index.text):
            return Value("i64", index.text)
        return self._emit(after, "sext" if int(index.type[1:]) < 64 else "trunc", "i64", [index])

    def _divisor(self, index: Value, above: frozenset[str] = frozenset(), flag: str = "") -> int:
        """A number that certainly divides a value; 0 for one that is always 0.

        Args:
            above: values whose divisor is being found: round a loop, they are as divisible as the ways into it.
            flag: `nuw` or `nsw` where every operation must be known not to wrap, unsigned or signed. An i64 that wraps
                leads outside every object.
        """
        if _NUMBER.fullmatch(index.text):
            return 1 if flag == "nuw" and index.text.startswith("-") else abs(int(index.text))
        definition = self.definitions.get(index.text)
        if index.text in above:
            return 0
        if definition is None:
            return 1
        above |= {index.text}
        operands, opcode = definition.operands, definition.opcode
        if opcode in ("phi", "freeze"):
            return gcd(*[self._divisor(v, above, flag) for v in operands])
        if opcode == "select":
            return gcd(*[self._divisor(v, above, flag) for v in operands[1:]])
        if opcode in ("zext", "sext"):
            signed = opcode == "sext" or " nneg " in definition.text
            return self._divisor(operands[0], above, "nsw" if signed else "nuw") if flag in ("", "nsw") else 1
        if opcode == "or" and " disjoint " in definition.text:
            return gcd(*[self._divisor(v, above, flag) for v in operands])
        if _is_shifted(definition, flag):
            powers = [_power_of_two(self._divisor(v, above)) for v in operands]
            if opcode == "and":
                return 0 if 0 in powers else max(powers)
            if opcode in ("mul", "shl"):
                return max(1, _power_of_two(_factor(definition)) * max(1, powers[0]))
            return gcd(*powers)
        if opcode in ("add", "sub"):
            return gcd(*[self._divisor(v, above, flag) for v in operands])
        factor = _factor(definition)
        return factor * max(1, self._divisor(operands[0], above, flag)) if factor else 1

    def _quotient(self, index: Value, divisor: int, flag: str = "") -> Value:
        """value / divisor, where `_divisor` says that it is whole: a computation beside the value's own."""
        if divisor == 1:
            return index
        if _NUMBER.fullmatch(index.text):
            return Value(index.type, str(int(index.text) // divisor))
        key = (index.text, divisor, flag)
        if key in self.divided:
            return self.divided[key]
        i = self.definitions[index.text]
        result = Value(index.type, _derived(i.name, f"by{divisor}{flag}"))
        self.divided[key] = result
        opcode, operands = i.opcode, list(i.operands)
        if _is_shifted(i, flag):
            opcode = "lshr" if flag == "nuw" else "ashr"
            operands = [Value(i.type, i.name), Value(i.type, str(divisor.bit_length() - 1))]
        elif factor := _factor(i):
            common = gcd(factor, divisor)
            opcode = "mul"
            operands = [self._quotient(operands[0], divisor // common, flag), Value(i.type, str(factor // common))]
        elif opcode == "select":
            operands = [operands[0], *[self._quotient(v, divisor, flag) for v in operands[1:]]]
        elif opcode in ("zext", "sext"):
            signed = opcode == "sext" or " nneg " in i.text
            operands = [self._quotient(operands[0], divisor, "nsw" if signed else "nuw")]
        else:
            operands = [self._quotient(v, divisor, flag) for v in operands]
            opcode = "add" if opcode == "or" else opcode
        self._behind(i, Instruction(result.text, opcode, i.type, operands, i.text, i.debug, i.block, labels=i.labels))
        return result

    # Uses
    def _targets(self, pointer: Value, where: Instruction) -> list[_Target]:
        """The objects that a pointer may lead to."""
        edge = self._walk(pointer)
        if edge.root not in self.choices:
            if not self._is_object(edge.root):
                raise self._refuse(edge.root, where)
            return [_Target(Address(edge.root, edge.offset, edge.terms), None)]
        group, keys = self.choices[edge.root], self.keys[edge.root]
        real = [k for k in keys if k[0] != NULL]
        targets = []
        for key in real:
            guard = self._guard(edge.root, key, where) if len(real) > 1 else None
            object_, offset = key[0], edge.offset + key[1] + group.bases.get(key[0], 0)
            terms = edge.terms
            if group.unit:
                terms = ((Value("i64", self._index_name(edge.root, key)), group.unit), *terms)
            targets.append(_Target(Address(object_, offset, terms), guard))
        return targets

    def _guard(self, name: str, key: tuple[str, int], where: Instruction) -> Value:
        """i1 in front of an access: a choice is this candidate. Of two, the second is not the first: they exclude
        each other for everyone to see, also where the choice was made in an earlier iteration."""
        keys = self.keys[name]
        if len(keys) == 2 and key == keys[1]:
            return self._before(where, "xor", "i1", [Value("i1", self._bit(name, keys[0])), _TRUE])
        return Value("i1", self._bit(name, key))

    def _both(self, a: Value | None, b: Value | None, where: Instruction) -> Value | None:
        """i1: a and b, each of which may be nothing."""
        if a is None or b is None:
            return b if a is None else a
        return self._before(where, "and", "i1", [a, b])

    def _before(self, where: Instruction, opcode: str, type_: str, operands: list[Value], **attributes: Any) -> Value:
        self.counter += 1
        name = f"%openhls.{self.counter}"
        new = Instruction(name, opcode, type_, operands, where.text, where.debug, where.block, **attributes)
        self.before.setdefault(id(where), []).append(new)
        return Value(type_, name)

    def _elements(self, target: _Target, where: Instruction) -> list[_Target]:
        """An element of an array of streams by number: one candidate per element."""
        address = target.address
        offsets = self.streams.get(address.object)
        if offsets is None or not address.terms:
            return [target]
        if len(offsets) == 1:
            raise HlsError(
                f"'{address.object[1:]}' is indexed, but it is one stream",
                self.place(where),
                "an array of streams has its length in the argument: `hls::stream<T> x[4]`",
            )
        step = gcd(*[stride for _, stride in address.terms])
        index, whole = address.terms[0][0], address.terms[0][1] == step and len(address.terms) == 1
        if not whole:
            index = self._added(address.terms, step, where)
        found = [at for at in offsets if (at - address.offset) % step == 0]
        if len(found) == 1:
            return [_Target(Address(address.object, found[0]), target.guard)]
        targets = []
        for at in found:
            number = (at - address.offset) // step
            if number < 0 or number >> int(index.type[1:]):
                continue  # no value of the index reaches it
            here = self._before(where, "icmp", "i1", [index, Value(index.type, str(number))], predicate="eq")
            targets.append(_Target(Address(address.object, at), self._both(target.guard, here, where)))
        return targets

    def _added(self, terms: tuple[tuple[Value, int], ...], unit: int, where: Instruction) -> Value:
        """i64: the sum of terms, in units, in front of an instruction."""
        total = None
        for index, stride in terms:
            term = index if index.type == "i64" else self._before(where, "sext", "i64", [index])
            if stride != unit:
                term = self._before(where, "mul", "i64", [term, Value("i64", str(stride // unit))])
            total = term if total is None else self._before(where, "add", "i64", [total, term])
        return total or Value("i64", "0")

    def _rewritten(self, i: Instruction) -> list[Instruction]:
        """What stands in place of an instruction."""
        if i.opcode in ("load", "store"):
            return self._access(i)
        if i.opcode == "icmp" and i.operands[0].type == "ptr":
            return self._comparison(i)
        if i.opcode == "sub":
            sources = [self._counted(v) for v in i.operands]
            if all(sources):
                return self._difference(i, [s for s in sources if s])
        if i.opcode in ("ptrtoint", "ptrtoaddr", "getelementptr"):
            return []
        if i.type == "ptr" and i.opcode in ("phi", "select", "freeze"):
            return []
        if i.opcode == "trunc" and self._counted(Value(i.type, i.name)):
            return []
        return [i]

    def _access(self, i: Instruction) -> list[Instruction]:
        type_ = i.type or i.operands[0].type
        if type_ == "ptr":
            return []  # what it is used for is refused, if it is used at all
        targets = [t for found in self._targets(i.operands[-1], i) for t in self._elements(found, i)]
        targets = [_Target(self._in_elements(t.address), t.guard) for t in targets]
        if len(targets) == 1 and targets[0].guard is None:
            i.address = targets[0].address
            return [i]
        accesses = [
            Instruction(
                _derived(i.name, f"of{k}") if i.name else "",
                i.opcode,
                i.type,
                i.operands,
                i.text,
                i.debug,
                i.block,
                volatile=i.volatile,
                address=t.address,
                guard=t.guard,
            )
            for k, t in enumerate(targets)
        ]
        if i.opcode == "store":
            return accesses
        result = Value(type_, accesses[-1].name if accesses else "undef")
        merges = []
        for k, (access, target) in enumerate(zip(accesses[-2::-1], targets[-2::-1], strict=True)):
            name = i.name if k == len(accesses) - 2 else _derived(i.name, f"merge{k}")
            operands = [target.guard or _TRUE, Value(type_, access.name), result]
            merges.append(Instruction(name, "select", type_, operands, i.text, i.debug, i.block))
            result = Value(type_, name)
        if not merges:  # a single candidate that is not certain, or none
            merges.append(Instruction(i.name, "freeze", type_, [result], i.text, i.debug, i.block))
        return [*accesses, *merges]

    def _in_elements(self, address: Address) -> Address:
        """The address counted in the object's elements, where a term counts in bytes what is a multiple of them."""
        if address.object in self.function.arguments or not address.terms:
            return address
        size, terms = self.objects.unit(address.object), []
        for index, stride in address.terms:
            divisor = size // gcd(size, stride)
            if divisor > 1 and self._divisor(index) % divisor == 0:
                terms.append((self._quotient(index, divisor), stride * divisor))
            else:
                terms.append((index, stride))
        return Address(address.object, address.offset, tuple(terms))

    def _comparison(self, i: Instruction) -> list[Instruction]:
        """icmp of pointers."""
        if any(v.text == NULL for v in i.operands):
            return self._is_null(i)
        left, right = (self._targets(v, i) for v in i.operands)
        if i.predicate not in ("eq", "ne") and (len(left), len(right)) != (1, 1):
            raise HlsError("the order of pointers chosen at run time", self.place(i))
        result: Value = _FALSE
        for a in left:
            for b in right:
                if a.address.object != b.address.object:
                    if i.predicate not in ("eq", "ne"):
                        raise HlsError("the order of pointers into two objects", self.place(i))
                    continue
                predicate = "eq" if i.predicate == "ne" else i.predicate
                equal = self._compare_offsets(i, predicate, a.address, b.address)
                guard = self._both(a.guard, b.guard, i)
                here = equal if guard is None else self._before(i, "and", "i1", [guard, equal])
                result = here if result is _FALSE else self._before(i, "or", "i1", [result, here])
        return [self._as(i, result, i.predicate == "ne")]

    def _as(self, i: Instruction, value: Value, inverted: bool = False) -> Instruction:
        """An i1 under the name of an instruction."""
        return Instruction(i.name, "xor", "i1", [value, Value("i1", str(inverted).lower())], i.text, i.debug, i.block)

    def _is_null(self, i: Instruction) -> list[Instruction]:
        pointer = i.operands[0] if i.operands[1].text == NULL else i.operands[1]
        edge = self._walk(pointer)
        result = _FALSE
        if pointer.text == NULL or edge.root == NULL:
            result = _TRUE
        elif edge.root in self.choices and (NULL, 0) in self.keys[edge.root]:
            result = Value("i1", self._bit(edge.root, (NULL, 0))) if len(self.keys[edge.root]) > 1 else _TRUE
        return [self._as(i, result, i.predicate == "ne")]

    def _compare_offsets(self, i: Instruction, predicate: str, a: Address, b: Address) -> Value:
        """i1: an offset compared with another one, in the largest unit that both are multiples of."""
        strides = [stride * self._divisor(index) for index, stride in (*a.terms, *b.terms)]
        unit = gcd(*strides, b.offset - a.offset) or 1
        sides = []
        for terms, constant in ((a.terms, 0), (b.terms, (b.offset - a.offset) // unit)):
            whole = []
            for index, stride in terms:
                divisor = unit // gcd(unit, stride)
                whole.append((self._quotient(index, divisor), stride * divisor))
            value = self._added(tuple(whole), unit, i) if whole else None
            number = Value("i64", str(constant))
            if value is None or constant == 0:
                sides.append(value or number)
            else:
                sides.append(self._before(i, "add", "i64", [value, number]))
        # a pointer's distance from another one into the same object may be negative
        signed = predicate if predicate in ("eq", "ne") else "s" + predicate[1:]
        return self._before(i, "icmp", "i1", sides, predicate=signed)

    def _counted(self, number: Value) -> Value | None:
        """The pointer that a number was made of."""
        if constant := _COUNTED.fullmatch(number.text):
            return Value("ptr", constant[1])
        definition = self.definitions.get(number.text)
        while definition is not None and definition.opcode == "trunc":
            definition = self.definitions.get(definition.operands[0].text)
        if definition is not None and definition.opcode in ("ptrtoint", "ptrtoaddr"):
            return definition.operands[0]
        return None

    def _difference(self, i: Instruction, pointers: list[Value]) -> list[Instruction]:
        """The distance in bytes between two pointers into one object."""
        left, right = (self._targets(v, i) for v in pointers)
        if len(left) != 1 or len(right) != 1 or left[0].address.object != right[0].address.object:
            raise HlsError("the distance between pointers into two objects", self.place(i))
        a, b = left[0].address, right[0].address
        sides = []
        for address, constant in ((a, a.offset - b.offset), (b, 0)):
            value = self._added(address.terms, 1, i)
            value = self._before(i, "add", "i64", [value, Value("i64", str(constant))]) if constant else value
            sides.append(self._before(i, "trunc", i.type, [value]) if i.type != "i64" else value)
        return [Instruction(i.name, "sub", i.type, sides, i.text, i.debug, i.block)]


def _derived(name: str, suffix: str) -> str:
    """A name made from another one."""
    return f'{name[:-1]}.{suffix}"' if name.endswith('"') else f"{name}.{suffix}"


def _is_shifted(i: Instruction, flag: str) -> bool:
    """Whether a value is divided by shifting it, by powers of two: what bits make, and sums and products that may wrap.

    flag: as `_divisor` has it.
    """
    if i.opcode in ("and", "xor", "trunc"):
        return True
    if i.opcode == "or":
        return " disjoint " not in i.text
    return i.opcode in ("add", "sub", "mul", "shl") and bool(flag) and f" {flag} " not in i.text


def _power_of_two(number: int) -> int:
    """The largest power of two that divides a number; 0 of 0."""
    return number & -number


def _factor(i: Instruction) -> int:
    """The constant that a product or shift multiplies with; 0: it is no such thing."""
    if i.opcode not in ("mul", "shl") or not i.operands[1].text.isdigit():
        return 0
    number = int(i.operands[1].text)
    return number if i.opcode == "mul" else 1 << number


def resolve(
    function: Function,
    it: Iteration,
    objects: Objects,
    streams: Mapping[str, list[int]],
    place: Callable[[Instruction], Location | None],
) -> None:
    """Give every load and store of a function its `address` and `guard`, in place.

    Args:
        it: its blocks, as they are executed.
        streams: pointer argument -> the byte offsets of the streams behind it.
        place: where in the C++ an instruction is to be blamed.
    Raises:
        HlsError: a pointer that leads to no object known now.
    """
    _Pointers(function, it, objects, streams, place).run()
