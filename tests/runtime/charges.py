"""A second reader of WebAssembly, which checks that no program can compute for ever without a charge.

It shares no code with the pass that puts the charges in, and works the other way round: the pass looks for the places
that need a charge, this looks at all code for what must not be there. What it relies on is WebAssembly's own structure:
control goes backwards only to the head of a loop, and a function is entered only at its start, by a call of its number
or through a table.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Report", "Unmetered", "check"]

MAX_CHARGE = 64
SMALL_SPAN = 4_096
I64_LOAD, I64_STORE = 0x29, 0x37


class Unmetered(AssertionError):
    """Says where code may run without being charged."""


@dataclass
class Report:
    """What was found: how many of each charge, and how many instructions at most lie between two."""

    loops: int = 0
    leaf_loops: int = 0
    entries: int = 0
    spans: int = 0
    throws: int = 0
    between: int = 0


Instruction = tuple[int, int, int, tuple[int, ...]]
"""Where it begins, its opcode (with the prefix in the upper byte), where it ends, its numbers."""


@dataclass
class Code:
    """A function: its instructions, and what was learned of it."""

    number: int
    instructions: list[Instruction]
    scratch: tuple[int, int]
    size: int = 0
    charged: bool = False
    calls: list[int] = field(default_factory=list[int])
    indirect: bool = False


class Bytes:
    """A place in a module."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed(self) -> int:
        begin = self.at
        value = self.number()
        bits = 7 * (self.at - begin)
        return value - (1 << bits) if self.data[self.at - 1] & 64 else value

    def text(self) -> str:
        size = self.number()
        self.at += size
        return self.data[self.at - size : self.at].decode()


def _memory(code: Bytes) -> tuple[int, ...]:
    """Return alignment, memory and offset."""
    flags = code.number()
    memory = code.number() if flags & 64 else 0
    return flags & ~64, memory, code.number()


def instructions(code: Bytes, end: int) -> Iterator[Instruction]:
    """Yield every instruction of a body. Raises Unmetered for one that is not known."""
    while code.at < end:
        at, opcode = code.at, code.byte()
        numbers: tuple[int, ...] = ()
        if opcode in (0x02, 0x03, 0x04):
            numbers = (code.signed(),)
        elif opcode == 0x1F:
            kind = code.signed()
            clauses = [_clause(code) for _ in range(code.number())]
            numbers = (kind, *[each for clause in clauses for each in clause])
        elif opcode in (0x08, 0x0C, 0x0D, 0x10, *range(0x20, 0x27), 0x3F, 0x40, 0xD2):
            numbers = (code.number(),)
        elif opcode == 0x0E:
            numbers = tuple([code.number() for _ in range(code.number() + 1)])
        elif opcode == 0x11:
            numbers = (code.number(), code.number())
        elif 0x28 <= opcode <= 0x3E:
            numbers = _memory(code)
        elif opcode in (0x41, 0x42):
            numbers = (code.signed(),)
        elif opcode in (0x43, 0x44):
            code.at += 4 if opcode == 0x43 else 8
        elif opcode == 0xD0:
            code.byte()
        elif opcode == 0x1C:
            numbers = tuple([code.byte() for _ in range(code.number())])
        elif opcode == 0xFC:
            opcode, numbers = _bulk(code)
        elif opcode == 0xFD:
            opcode, numbers = _vector(code)
        elif not (opcode in (0x00, 0x01, 0x05, 0x0A, 0x0B, 0x0F, 0x1A, 0x1B, 0xD1) or 0x45 <= opcode <= 0xC4):
            raise Unmetered(f"unknown instruction {opcode:#x}")
        yield at, opcode, code.at, numbers


def _clause(code: Bytes) -> list[int]:
    """Return the tag, if the clause is of one, and the label."""
    return [code.number() for _ in range(1 + (code.byte() < 2))]


def _bulk(code: Bytes) -> tuple[int, tuple[int, ...]]:
    operation = code.number()
    count = {8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2, 15: 1, 16: 1, 17: 1}.get(operation, 0)
    if operation > 17:
        raise Unmetered(f"unknown instruction 0xfc {operation}")
    return 0xFC00 + operation, tuple([code.number() for _ in range(count)])


def _vector(code: Bytes) -> tuple[int, tuple[int, ...]]:
    operation = code.number()
    numbers: tuple[int, ...] = ()
    if operation <= 11 or 84 <= operation <= 93:
        numbers = _memory(code)
    if operation in (12, 13):
        code.at += 16
    elif 21 <= operation <= 34 or 84 <= operation <= 91:
        code.byte()
    elif operation > 255:
        raise Unmetered(f"unknown instruction 0xfd {operation}")
    return 0xFD00 + operation, numbers


class Module:
    """What the check needs of a module."""

    def __init__(self, module: bytes, meter: str) -> None:
        self.data, self.sections = module, dict[int, Bytes]()
        place = Bytes(module, 8)
        while place.at < len(module):
            kind, size = place.byte(), place.number()
            if kind:
                self.sections[kind] = Bytes(module, place.at)
            place.at += size
        self.parameters = self._parameters()
        imports = self.sections[2]
        self.types: list[int] = []
        self.clock = -1
        for number in range(imports.number()):
            imports.text()
            if imports.text() == "clock":
                self.clock = number
            assert imports.byte() == 0
            self.types.append(imports.number())
        self.imported = len(self.types)
        self.types += [self.sections[3].number() for _ in range(self.sections[3].number())]
        self.in_table = set(self._in_table())
        self.exports = dict(self._exports())
        self.meter = self.exports.pop(meter)[1]

    def _parameters(self) -> list[int]:
        types, found = self.sections[1], list[int]()
        for _ in range(types.number()):
            assert types.byte() == 0x60
            found.append(len([types.byte() for _ in range(types.number())]))
            results = types.number()
            types.at += results
        return found

    def _in_table(self) -> Iterator[int]:
        elements = self.sections.get(9)
        for _ in range(elements.number() if elements else 0):
            assert elements is not None
            assert (elements.number(), elements.byte()) == (0, 0x41)
            elements.signed()
            assert elements.byte() == 0x0B
            yield from [elements.number() for _ in range(elements.number())]

    def _exports(self) -> Iterator[tuple[str, tuple[int, int]]]:
        exports = self.sections[7]
        for _ in range(exports.number()):
            name = exports.text()
            yield name, (exports.byte(), exports.number())

    def functions(self) -> Iterator[Code]:
        """Yield each function's code."""
        place = self.sections[10]
        for number in range(self.imported, self.imported + place.number()):
            end = place.number() + place.at
            count = self.parameters[self.types[number]]
            for _ in range(place.number()):
                count += place.number()
                place.byte()
            body = list(instructions(place, end))
            yield Code(number, body, (count - 2, count - 1), len(body))
            assert place.at == end


class _Checker:
    """Checks one function, instruction by instruction."""

    def __init__(self, module: Module, code: Code, report: Report) -> None:
        self._module, self._code, self._report = module, code, report
        self._all = code.instructions
        self._left, self._length = code.scratch
        # Indexes of instructions that belong to a charge.
        self._ours: set[int] = set()

    def check(self) -> None:
        if size := self._charge(0):
            self._code.charged = True
            self._report.entries += 1
            self._ours |= set(range(size))
        open_blocks: list[tuple[int, int]] = []
        for index, (_, opcode, _, numbers) in enumerate(self._all):
            if opcode in (0x08, 0x0A):
                self._throw(index)
            if opcode in (0x02, 0x03, 0x04, 0x1F):
                open_blocks.append((opcode, index))
            elif opcode == 0x0B and open_blocks:
                kind, begin = open_blocks.pop()
                if kind == 0x03:
                    self._loop(begin, index)
            elif opcode == 0x10:
                self._code.calls.append(numbers[0])
            elif opcode == 0x11:
                self._code.indirect = True
            elif opcode in (0xFC08, 0xFC0A, 0xFC0B, 0xFC0C, 0xFC0E, 0xFC0F, 0xFC11):
                self._span(index)
        self._nobody_else()

    def _matches(self, index: int, *wanted: tuple[int, ...]) -> bool:
        found = self._all[index : index + len(wanted)]
        return len(found) == len(wanted) and all(
            opcode == want[0] and numbers == want[1:]
            for (_, opcode, _, numbers), want in zip(found, wanted, strict=True)
        )

    def _read(self, offset: int) -> tuple[tuple[int, ...], ...]:
        return (0x41, 0), (I64_LOAD, 3, self._module.meter, offset)

    def _write(self) -> tuple[int, ...]:
        return (I64_STORE, 3, self._module.meter, 0)

    def _weight(self, index: int) -> tuple[int, ...]:
        """Return the instruction there if it is a constant that a charge may take, else one that nothing equals."""
        if index >= len(self._all):
            return (-1,)
        _, opcode, _, numbers = self._all[index]
        return (opcode, *numbers) if opcode == 0x42 and 1 <= numbers[0] <= MAX_CHARGE else (-1,)

    def _look(self) -> tuple[tuple[int, ...], ...]:
        call = [(0x41, 99), (0x10, self._module.clock), (0x1A,)] if self._module.clock >= 0 else [(0x00,)]
        return (0x20, self._left), *self._read(8), (0x53,), (0x04, -64), *call, (0x0B,)

    def _charge(self, index: int) -> int:
        """Return how many instructions the charge there has; 0 if there is none."""
        taken = (*self._read(0), self._weight(index + 3), (0x7D,), (0x22, self._left), self._write())
        wanted = ((0x41, 0), *taken, *self._look())
        return len(wanted) if self._matches(index, *wanted) else 0

    def _leaf_charge(self, index: int) -> int:
        taken = ((0x41, 0), (0x20, self._left), self._weight(index + 2), (0x7D,), (0x22, self._left), self._write())
        end = ((0x20, self._left), *self._read(16), (0x53,), (0x04, -64), (0x00,), (0x0B,))
        return len(taken + end) if self._matches(index, *taken, *end) else 0

    def _loop(self, begin: int, end: int) -> None:
        if size := self._charge(begin + 1):
            self._report.loops += 1
            self._ours |= set(range(begin + 1, begin + 1 + size))
            return
        size = self._leaf_charge(begin + 1)
        if not size:
            raise Unmetered(f"function {self._code.number}: the loop at {self._all[begin][0]:#x} has no charge")
        self._report.leaf_loops += 1
        self._ours |= set(range(begin + 1, begin + 1 + size))
        if any(opcode in (0x10, 0x11) for _, opcode, _, _ in self._all[begin:end]):
            raise Unmetered(f"function {self._code.number}: a loop that calls keeps what is left in a local")
        if self._matches(begin - 3, *self._read(0), (0x21, self._left)):
            self._ours |= {begin - 3, begin - 2, begin - 1}

    def _span(self, index: int) -> None:
        _, opcode, _, numbers = self._all[index - 1]
        if opcode == 0x41 and 0 <= numbers[0] < SMALL_SPAN:
            return
        units = ((0x20, self._length), (0xAD,), (0x42, 6), (0x88,))
        taken = ((0x41, 0), *self._read(0), *units, (0x7D,), (0x22, self._left), self._write())
        wanted = ((0x22, self._length), *taken, *self._look())
        begin = index - len(wanted)
        if begin < 0 or not self._matches(begin, *wanted):
            raise Unmetered(f"function {self._code.number}: a span of any length is not charged")
        self._report.spans += 1
        self._ours |= set(range(begin, index))

    def _throw(self, index: int) -> None:
        size = next((size for back in range(index, -1, -1) if (size := self._charge(back)) and back + size == index), 0)
        if not size:
            raise Unmetered(f"function {self._code.number}: a throw is not charged")
        self._report.throws += 1
        self._ours |= set(range(index - size, index))

    def _nobody_else(self) -> None:
        """Raise Unmetered if code that is no charge touches the meter or, in a function with charges, their locals."""
        for index, (place, opcode, _, numbers) in enumerate(self._all):
            if index in self._ours:
                continue
            if self._touches_memory(opcode, numbers):
                raise Unmetered(f"function {self._code.number}: {place:#x} reaches another memory than the program's")
            if self._ours and opcode in (0x20, 0x21, 0x22) and numbers[0] in self._code.scratch:
                raise Unmetered(f"function {self._code.number}: {place:#x} uses a local of the charges")

    @staticmethod
    def _touches_memory(opcode: int, numbers: tuple[int, ...]) -> bool:
        if 0x28 <= opcode <= 0x3E or (0xFD00 <= opcode <= 0xFD5D and len(numbers) == 3):
            return numbers[1] != 0
        of_memory = {0x3F: numbers[:1], 0x40: numbers[:1], 0xFC08: numbers[1:], 0xFC0A: numbers, 0xFC0B: numbers}
        return any(of_memory.get(opcode, ()))


def check(module: bytes, meter: str = "cloche_meter") -> Report:
    """Return what was found in a module with charges. Raises Unmetered where code may run without being charged.

    Leaf loops that lie in others are entered with what is left in the local only if the outermost has read it: that is
    checked as every write of the local is part of a charge or of such a reading.
    """
    read, report = Module(module, meter), Report()
    functions: dict[int, Code] = {}
    for code in read.functions():
        _Checker(read, code, report).check()
        code.instructions.clear()
        functions[code.number] = code
    _check_calls(read, functions)
    report.between = _longest(functions)
    return report


def _check_calls(module: Module, functions: dict[int, Code]) -> None:
    free = {number for number, code in functions.items() if not code.charged}
    for number in free & module.in_table:
        if functions[number].indirect or any(callee in functions for callee in functions[number].calls):
            raise Unmetered(f"function {number} is in a table, calls others, and has no charge")
    for name, (kind, number) in module.exports.items():
        if kind == 0 and number in free:
            raise Unmetered(f"the export {name} has no charge")
    # Kahn's: what can be removed one by one, each when nothing left calls it, has no circle.
    callers = dict.fromkeys(free, 0)
    for number in free:
        for callee in set(functions[number].calls) & free:
            callers[callee] += 1
    ready = [number for number, count in callers.items() if not count]
    removed = 0
    while ready:
        removed += 1
        for callee in set(functions[ready.pop()].calls) & free:
            callers[callee] -= 1
            if not callers[callee]:
                ready.append(callee)
    if removed < len(free):
        raise Unmetered(f"{len(free) - removed} functions call each other without a charge")


def _longest(functions: dict[int, Code]) -> int:
    """Return how many instructions are executed at most without a charge: all of a function, and of those it calls."""
    known: dict[int, int] = {}

    def cost(number: int) -> int:
        code = functions.get(number)
        if code is None or code.charged:
            return 0
        if number not in known:
            known[number] = code.size + sum(map(cost, code.calls))
        return known[number]

    return max(code.size + sum(map(cost, code.calls)) for code in functions.values())
