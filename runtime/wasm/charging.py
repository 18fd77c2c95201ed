"""Charges put into a module's code, so that it counts what it computes and ends when the host wants it to.

A copy of the module gets a second memory, ``meter.METER``, which the guest's own code has no instruction to address:

======  ==================================================================================================
offset  64-bit signed number
======  ==================================================================================================
0       what is left: each charge takes the instructions that follow it, at most :data:`MAX_CHARGE`
8       the look bound: below it, a charge calls the host, by the import ``clock`` with the number ``meter.LOOK``
16      the end bound: below it, a charge in a loop without calls traps
======  ==================================================================================================

Both bounds are 0 as a rule. The guest writes only the first number and the host only the other two, from whichever
thread: nothing is lost between them, and what was used stays exact when a run is ended by time.

There is a charge at the head of every loop; at the entry of each function that the host calls, and of each that calls
others and is long or may be reached again while it runs: its address is taken, or it lies in a circle of direct calls;
before each operation on a span of memory or a table, by its length; and before each throw. What is left between two
charges has no circle, so that every program comes to a charge. ``tests/runtime/charges.py`` is a second reader of the
result and checks that.

The functions' numbers, types and all other sections stay as they are.
"""

from collections.abc import Iterator

from cloche.runtime.dataclass import dataclass, field
from cloche.runtime.errors import ImageError
from cloche.runtime.wasm.meter import FUEL_FULL, LOOK, METER
from cloche.runtime.wasm.module_file import leb as _unsigned
from cloche.runtime.wasm.module_file import sections
from cloche.runtime.wasm.module_file import sleb as _signed

__all__ = ["MAX_CHARGE", "charged"]

MAX_CHARGE = 64
"""What one charge takes at most, but for the length of an operation on a span."""
_CUSTOM, _TYPES, _IMPORTS, _FUNCTIONS, _MEMORIES, _EXPORTS, _ELEMENTS, _CODE, _DATA, _DATA_COUNT = (
    0,
    1,
    2,
    3,
    5,
    7,
    9,
    10,
    11,
    12,
)
# Bytes that one unit of fuel copies or fills.
_SPAN_SHIFT = 6
# Instructions that a function and those it calls may have without a charge at its entry.
_MAX_FREE = 5_000
# The name of a section that says which conditions hardly ever hold. The compiler moves what is behind them out of the
# way; without it, what is alive is kept in memory for a call that hardly any charge makes.
_HINTS = b"\x19metadata.code.branch_hint"
_UNLIKELY = b"\1\0"
# Spans up to this many bytes, by a constant, are charged as instructions only.
_SMALL_SPAN = 4_096

# What follows an opcode.
_NOTHING, _BLOCK, _NUMBER, _TWO_NUMBERS, _TABLE, _F32, _F64, _SELECT, _BULK, _VECTOR, _CATCHING, _UNKNOWN = range(12)
_THROW, _THROW_REF, _TRY = 0x08, 0x0A, 0x1F
# What follows the kind of a catch clause: how many numbers.
_CATCH_NUMBERS = (2, 2, 1, 1)


def _kinds() -> bytearray:
    kinds = bytearray([_UNKNOWN]) * 256
    for first, last in (
        (0x00, 0x01),
        (0x05, 0x05),
        (0x0A, 0x0B),
        (0x0F, 0x0F),
        (0x1A, 0x1B),
        (0x45, 0xC4),
        (0xD1, 0xD1),
    ):
        kinds[first : last + 1] = bytes([_NOTHING]) * (last + 1 - first)
    kinds[_THROW] = _NUMBER
    for first, last in ((0x0C, 0x0D), (0x10, 0x10), (0x20, 0x26), (0x3F, 0x42), (0xD0, 0xD0), (0xD2, 0xD2)):
        kinds[first : last + 1] = bytes([_NUMBER]) * (last + 1 - first)
    kinds[0x02:0x05] = bytes([_BLOCK]) * 3
    kinds[0x11] = _TWO_NUMBERS
    kinds[_TRY] = _CATCHING
    kinds[0x28:0x3F] = bytes([_TWO_NUMBERS]) * (0x3F - 0x28)
    kinds[0x0E], kinds[0x43], kinds[0x44], kinds[0x1C] = _TABLE, _F32, _F64, _SELECT
    kinds[0xFC], kinds[0xFD] = _BULK, _VECTOR
    return kinds


_KINDS = _kinds()
_ELSE, _END, _LOOP, _IF, _CALL, _CALL_INDIRECT, _I32_CONST = 0x05, 0x0B, 0x03, 0x04, 0x10, 0x11, 0x41
# Operations behind 0xFC, by their number: how many more numbers follow. Those with a length are charged by it.
_BULK_NUMBERS = {**dict.fromkeys(range(8), 0), 8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2, 15: 1, 16: 1, 17: 1}
_WITH_LENGTH = frozenset({8, 10, 11, 12, 14, 15, 17})
# Vector instructions with a memory argument, with one and a lane, with a lane, with 16 bytes.
_V_MEMORY, _V_MEMORY_LANE = frozenset({*range(12), 92, 93}), frozenset(range(84, 92))
_V_LANE, _V_BYTES = frozenset(range(21, 35)), frozenset({12, 13})
# The number of the last one without relaxed semantics, which the engine refuses.
_V_LAST = 255


def charged(module: bytes) -> bytes:
    """Return the module with charges.

    Raises ImageError for code that it does not understand, and for a module that has such a memory already.
    """
    try:
        return _charged(module)
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise ImageError(f"the image's code cannot be metered: {type(error).__name__} {error}") from error


def _charged(module: bytes) -> bytes:
    facts = _Facts(module)
    parts = [module[:8]]
    for number, content in facts.sections:
        payload = content
        if number == _MEMORIES:
            payload = _with_memory(payload)
        elif number == _EXPORTS:
            payload = _with_export(payload, facts.memories)
        elif number == _CODE:
            payload, hints = _charged_code(facts)
            parts.append(_section(_CUSTOM, hints))
        elif number == _CUSTOM and payload.startswith(_HINTS):
            # Of places that are others now.
            continue
        elif number == _DATA_COUNT:
            payload = _unsigned(_read(payload, 0)[0] + 1)
        elif number == _DATA:
            payload = _with_data(payload, facts.memories)
        parts.append(_section(number, payload))
    if not facts.has_data:
        parts.append(_section(_DATA, _with_data(b"\0", facts.memories)))
    return b"".join(parts)


def _section(number: int, payload: bytes) -> bytes:
    return bytes([number]) + _unsigned(len(payload)) + payload


def _with_memory(payload: bytes) -> bytes:
    count, at = _read(payload, 0)
    # One page, and never more.
    return _unsigned(count + 1) + payload[at:] + b"\1\1\1"


def _with_export(payload: bytes, memory: int) -> bytes:
    count, at = _read(payload, 0)
    name = METER.encode()
    return _unsigned(count + 1) + payload[at:] + _unsigned(len(name)) + name + b"\2" + _unsigned(memory)


def _with_data(payload: bytes, memory: int) -> bytes:
    """A guest begins with a full meter: not even its start function runs without fuel."""
    count, at = _read(payload, 0)
    full = FUEL_FULL.to_bytes(8, "little")
    segment = b"\2" + _unsigned(memory) + b"\x41\0\x0b" + _unsigned(len(full)) + full
    return _unsigned(count + 1) + payload[at:] + segment


# ---- reading ----


def _read(data: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned number and the place behind it."""
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7


def _name(data: bytes, at: int) -> tuple[str, int]:
    size, at = _read(data, at)
    return data[at : at + size].decode(), at + size


class _Facts:
    """What the pass needs of a module: its sections, the parameters of each function, and where each one's code is."""

    def __init__(self, module: bytes) -> None:
        if module[:8] != b"\0asm\1\0\0\0":
            raise ImageError("the image is no WebAssembly module")
        self.sections = [(each.id, each.payload) for each in sections(module)]
        payloads = {number: payload for number, payload in self.sections if number}
        parameters = _parameters(payloads.get(_TYPES, b"\0"))
        self.imported = 0
        self.clock: int | None = None
        kinds = self._imports(payloads.get(_IMPORTS, b"\0"))
        functions = payloads.get(_FUNCTIONS, b"\0")
        count, at = _read(functions, 0)
        for _ in range(count):
            kind, at = _read(functions, at)
            kinds.append(kind)
        self.parameters = [parameters[kind] for kind in kinds]
        self.has_data = _DATA in payloads
        if not (_MEMORIES in payloads and _EXPORTS in payloads):
            raise ImageError("the image does not export a memory")
        self.memories = _read(payloads[_MEMORIES], 0)[0]
        self.code = payloads.get(_CODE, b"\0")
        self.taken = _taken(payloads.get(_ELEMENTS, b"\0"))
        self.exported = _exported(payloads[_EXPORTS])

    def _imports(self, payload: bytes) -> list[int]:
        kinds: list[int] = []
        count, at = _read(payload, 0)
        for _ in range(count):
            _module, at = _name(payload, at)
            name, at = _name(payload, at)
            if payload[at]:
                raise ImageError(f"the image imports {name}, which is no function")
            kind, at = _read(payload, at + 1)
            if name == "clock":
                self.clock = self.imported
            kinds.append(kind)
            self.imported += 1
        return kinds


def _parameters(payload: bytes) -> list[int]:
    """Return how many parameters each type has."""
    found: list[int] = []
    count, at = _read(payload, 0)
    for _ in range(count):
        if payload[at] != 0x60:
            raise ImageError("the image has a type that is no function's")
        size, at = _read(payload, at + 1)
        found.append(size)
        results, at = _read(payload, at + size)
        at += results
    return found


def _taken(payload: bytes) -> set[int]:
    """Return the functions that are in a table."""
    found: set[int] = set()
    count, at = _read(payload, 0)
    for _ in range(count):
        flags, at = _read(payload, at)
        if flags or payload[at] != _I32_CONST:
            raise ImageError("the image has a table that is filled in an unusual way")
        _offset, at = _read(payload, at + 1)
        if payload[at] != _END:
            raise ImageError("the image has a table that is filled in an unusual way")
        size, at = _read(payload, at + 1)
        for _ in range(size):
            function, at = _read(payload, at)
            found.add(function)
    return found


def _exported(payload: bytes) -> set[int]:
    """Return the functions that the host calls."""
    found: set[int] = set()
    count, at = _read(payload, 0)
    for _ in range(count):
        name, at = _name(payload, at)
        if name == METER:
            raise ImageError(f"the image exports {METER}, which is the host's")
        kind = payload[at]
        index, at = _read(payload, at + 1)
        if not kind:
            found.add(index)
    return found


# ---- scanning ----


@dataclass(slots=True)
class _Loop:
    """A loop: where its opcode and its body begin, and what is directly in it."""

    opcode: int
    body: int
    outer: "_Loop | None"
    size: int = 0
    calls: bool = False


@dataclass(slots=True)
class _Function:
    """A function's code from ``start`` to ``end``, behind the declarations of its locals."""

    start: int
    end: int
    locals_at: int
    groups: int
    local_count: int
    size: int = 0
    loops: list[_Loop] = field(default_factory=list[_Loop])
    callees: list[int] = field(default_factory=list[int])
    calls_indirectly: bool = False
    spans: list[int] = field(default_factory=list[int])
    throws: list[int] = field(default_factory=list[int])


def _function(code: bytes, start: int, end: int) -> _Function:
    groups, at = _read(code, start)
    locals_at, count = at, 0
    for _ in range(groups):
        size, at = _read(code, at)
        count += size
        at += 1
    function = _Function(at, end, locals_at, groups, count)
    _scan(code, function)
    return function


def _scan(code: bytes, function: _Function) -> None:
    """Find loops, calls and spans. One function of many lines, as it looks at each of two million instructions."""
    kinds, at, end = _KINDS, function.start, function.end
    loop: _Loop | None = None
    nesting: list[bool] = []
    size = constant = 0
    while at < end:
        opcode, place = code[at], at
        at += 1
        size += 1
        if loop is not None:
            loop.size += 1
        kind = kinds[opcode]
        if opcode in (_THROW, _THROW_REF):
            function.throws.append(place)
            if loop is not None:
                loop.calls = True
        if kind == _NOTHING:
            if opcode == _END and nesting and nesting.pop() and loop is not None:
                if loop.calls and loop.outer is not None:
                    loop.outer.calls = True
                loop = loop.outer
        elif kind == _NUMBER:
            if opcode == _CALL:
                callee, at = _read(code, at)
                function.callees.append(callee)
                if loop is not None:
                    loop.calls = True
            else:
                while code[at] > 0x7F:
                    at += 1
                at += 1
        elif kind == _TWO_NUMBERS:
            if opcode == _CALL_INDIRECT:
                function.calls_indirectly = True
                if loop is not None:
                    loop.calls = True
            while code[at] > 0x7F:
                at += 1
            at += 1
            while code[at] > 0x7F:
                at += 1
            at += 1
        elif kind == _BLOCK:
            while code[at] > 0x7F:
                at += 1
            at += 1
            nesting.append(opcode == _LOOP)
            if opcode == _LOOP:
                loop = _Loop(place, at, loop)
                function.loops.append(loop)
        elif kind == _CATCHING:
            # Where it catches, control leaves for the label of a block around it: for a loop's, to the charge there.
            at = _clauses(code, at)
            nesting.append(False)
        elif kind == _BULK:
            at, is_span = _bulk(code, at)
            if is_span and not (constant == place and _is_small(code, place)):
                function.spans.append(place)
                if loop is not None:
                    loop.calls = True
        else:
            at = _rest(code, at, kind, opcode)
        if opcode == _I32_CONST:
            constant = at
    if at != end or nesting:
        raise ImageError("the image's code does not end where it should")
    function.size = size


def _bulk(code: bytes, at: int) -> tuple[int, bool]:
    operation, at = _read(code, at)
    for _ in range(_BULK_NUMBERS[operation]):
        _, at = _read(code, at)
    return at, operation in _WITH_LENGTH


def _clauses(code: bytes, at: int) -> int:
    """Return the place behind the type and the catch clauses of a block that catches."""
    _, at = _read(code, at)
    count, at = _read(code, at)
    for _ in range(count):
        kind = code[at]
        at += 1
        for _ in range(_CATCH_NUMBERS[kind]):
            _, at = _read(code, at)
    return at


def _is_small(code: bytes, place: int) -> bool:
    """Tell whether the constant that ends at this place, a signed number, is a small length."""
    start = place - 1
    while code[start - 1] > 0x7F:
        start -= 1
    value, _ = _read(code, start)
    # With the bit of the sign a negative number is never below this.
    return place - start <= 2 and value < _SMALL_SPAN and not code[place - 1] & 0x40


def _rest(code: bytes, at: int, kind: int, opcode: int) -> int:
    """Return the place behind the immediates of an instruction of the rarer kinds."""
    if kind == _TABLE:
        count, at = _read(code, at)
        for _ in range(count + 1):
            _, at = _read(code, at)
        return at
    if kind in (_F32, _F64):
        return at + (4 if kind == _F32 else 8)
    if kind == _SELECT:
        count, at = _read(code, at)
        return at + count
    if kind == _VECTOR:
        return _vector(code, at)
    raise ImageError(f"the image has an instruction that cannot be metered: {opcode:#x}")


def _vector(code: bytes, at: int) -> int:
    operation, at = _read(code, at)
    if operation > _V_LAST:
        raise ImageError(f"the image has a vector instruction that cannot be metered: {operation}")
    if operation in _V_BYTES:
        return at + 16
    if operation in _V_LANE:
        return at + 1
    if operation in _V_MEMORY or operation in _V_MEMORY_LANE:
        _, at = _read(code, at)
        _, at = _read(code, at)
        return at + (operation in _V_MEMORY_LANE)
    return at


# ---- charging ----


def _charged_code(facts: _Facts) -> tuple[bytes, bytes]:
    """Return the code, and the hints for it."""
    code = facts.code
    count, at = _read(code, 0)
    functions: list[_Function] = []
    for _ in range(count):
        size, at = _read(code, at)
        functions.append(_function(code, at, at + size))
        at += size
    entries = _entries(facts, functions)
    parts, hints, hinted = [_unsigned(count)], list[bytes](), 0
    for number, function in enumerate(functions, facts.imported):
        body, places = _Charger(facts, function, facts.parameters[number]).body(number - facts.imported in entries)
        parts += [_unsigned(len(body)), body]
        if places:
            each = [_unsigned(place) + _UNLIKELY for place in places]
            hints += [_unsigned(number), _unsigned(len(places)), *each]
            hinted += 1
    return b"".join(parts), b"".join([_HINTS, _unsigned(hinted), *hints])


def _entries(facts: _Facts, functions: list[_Function]) -> set[int]:
    """Return the functions that may be reached again while they run, that are long, or that the host calls.

    Every circle of calls has either direct calls only, or an indirect one, which leads to a function in a table.
    """
    first = facts.imported
    direct = [[callee - first for callee in each.callees if callee >= first] for each in functions]
    circles, callees_first = _in_circles(direct)
    entries: set[int] = set()
    # Instructions of each function without a charge of its own, and of all that it calls.
    free = [0] * len(functions)
    for number in callees_first:
        each = functions[number]
        free[number] = each.size + sum(free[callee] for callee in direct[number])
        is_called_again = number in circles or number + first in facts.taken or free[number] > _MAX_FREE
        if number + first in facts.exported or ((each.callees or each.calls_indirectly) and is_called_again):
            entries.add(number)
            free[number] = 0
    return entries


def _in_circles(edges: list[list[int]]) -> tuple[set[int], list[int]]:
    """Return the nodes that lie on a circle, and all nodes, each behind those that it leads to.

    Tarjan's strongly connected components, without recursion.
    """
    index, low = [0] * len(edges), [0] * len(edges)
    on_stack, stack, found, order = bytearray(len(edges)), list[int](), set[int](), list[int]()
    clock = 0
    for root in range(len(edges)):
        work = [] if index[root] else [(root, iter(edges[root]))]
        while work:
            node, rest = work[-1]
            if not index[node]:
                clock += 1
                index[node] = low[node] = clock
                stack.append(node)
                on_stack[node] = 1
            for other in rest:
                if not index[other]:
                    work.append((other, iter(edges[other])))
                    break
                if on_stack[other]:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    members = stack[stack.index(node) :] if stack[-1] != node else [node]
                    del stack[-len(members) :]
                    order += members
                    for member in members:
                        on_stack[member] = 0
                    if len(members) > 1 or node in edges[node]:
                        found.update(members)
    return found, order


class _Charger:
    """Puts the charges into one function, which gets two locals more: what is left, and the length of a span."""

    def __init__(self, facts: _Facts, function: _Function, parameters: int) -> None:
        self._code = facts.code
        self._function = function
        self._left = _unsigned(parameters + function.local_count)
        self._length = _unsigned(parameters + function.local_count + 1)
        memory = _unsigned(facts.memories)
        # i64.load and i64.store, aligned to 8 bytes, of another memory than the first.
        self._load = b"\x41\0\x29\x43" + memory
        self._store = b"\x37\x43" + memory
        call = b"\0" if facts.clock is None else b"\x41" + _signed(LOOK) + b"\x10" + _unsigned(facts.clock) + b"\x1a"
        left = b"\x20" + self._left
        self._look = left + self._load + b"\x08\x53\x04\x40" + call + b"\x0b"
        self._end = left + self._load + b"\x10\x53\x04\x40\0\x0b"
        # Where the condition is, in both.
        self._condition = len(left + self._load) + 2

    def body(self, is_entry: bool) -> tuple[bytes, list[int]]:
        """Return the function's body with its charges, and where in it their conditions are."""
        function, code = self._function, self._code
        insertions = list(self._insertions(is_entry))
        start = function.locals_at
        if not insertions:
            return _unsigned(function.groups) + code[start : function.end], []
        insertions.sort(key=lambda each: each[0])
        # An i64 and an i32, behind the function's own.
        parts = [_unsigned(function.groups + 2), code[start : function.start], b"\1\x7e\1\x7f"]
        at, size, conditions = function.start, sum(map(len, parts)), list[int]()
        for place, inserted in insertions:
            parts += [code[at:place], inserted]
            size, at = size + place - at + len(inserted), place
            for asked in filter(inserted.endswith, (self._look, self._end)):
                conditions.append(size - len(asked) + self._condition)
        parts.append(code[at : function.end])
        return b"".join(parts), conditions

    def _insertions(self, is_entry: bool) -> Iterator[tuple[int, bytes]]:
        function = self._function
        if is_entry:
            own = function.size - sum(loop.size for loop in function.loops)
            yield function.start, self._charge(own) + self._look
        for loop in function.loops:
            if loop.calls:
                yield loop.body, self._charge(loop.size) + self._look
                continue
            # It alone writes what is left until it ends: it is kept in the local.
            if loop.outer is None or loop.outer.calls:
                yield loop.opcode, self._load + b"\0\x21" + self._left
            yield loop.body, self._take(loop.size) + self._end
        for place in function.spans:
            yield place, self._span()
        for place in function.throws:
            # The engine looks for the block that catches by itself, however far away that is.
            yield place, self._charge(MAX_CHARGE) + self._look

    def _charge(self, size: int) -> bytes:
        return b"\x41\0" + self._load + b"\0" + self._subtract(size) + self._store + b"\0"

    def _take(self, size: int) -> bytes:
        return b"\x41\0\x20" + self._left + self._subtract(size) + self._store + b"\0"

    def _subtract(self, size: int) -> bytes:
        return b"\x42" + _signed(max(1, min(size, MAX_CHARGE))) + b"\x7d\x22" + self._left

    def _span(self) -> bytes:
        """The length is on top of the stack, and stays there."""
        length = b"\x20" + self._length + b"\xad\x42" + _signed(_SPAN_SHIFT) + b"\x88"
        charge = b"\x41\0" + self._load + b"\0" + length + b"\x7d\x22" + self._left + self._store + b"\0"
        return b"\x22" + self._length + charge + self._look
