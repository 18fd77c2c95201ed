"""How a guest is asked to leave in the middle of computing, what that costs it, and where one stands that cannot leave.

The request is one bit of a word that the interpreter looks at anyway, its eval breaker. It is set in the guest's
memory by the guest's own thread only, while the guest stands still: before a step, or when it calls back at a bump of
the epoch. What the guest left there says how often it has found the bit; the build has measured what each time costs
(``recipe/pausing.py``), so that the fuel can be given back.

All of that is read from the guest's memory, where a program that has broken its interpreter could write anything. So
no more is given back than can have been spent, and what is read to say where a guest stands is checked like any frame.
"""

import struct
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from cloche.runtime.errors import ImageError, ProtocolError
from cloche.runtime.machine_api import Place
from cloche.runtime.wasm.memory import Memory
from cloche.runtime.wasm.meter import Meter

__all__ = ["LOAN", "PauseFacts", "PauseSwitch", "find_places", "line_of"]


_BIT = 0x80
_HEAD = struct.Struct("<III")
# Frames looked at, places read, bytes of a name, and bytes of a table of lines: what it costs the host is bounded.
_MAX_FRAMES, _MAX_PLACES, _MAX_NAME, _MAX_TABLE = 20_000, 8, 400, 1 << 16
_OWNED_BY_C = 3
# Notes of guests whose price is kept.
_MAX_PRICES = 256
LOAN = 4_096
"""Units of fuel: more than any pause costs."""


class FrameLayout(NamedTuple):
    """Where the interpreter's frames, code objects, bytes and text have their fields."""

    current: int
    previous: int
    executable: int
    instruction: int
    owner: int
    first_line: int
    line_table: int
    filename: int
    qualname: int
    code: int
    bytes_data: int
    text_data: int
    text_length: int


class PauseFacts(NamedTuple):
    """What the manifest of an image says about pausing.

    ``breaker`` is the address of the eval breaker, and ``state`` that of what the guest notes, with ``counts``
    counters. ``pauses`` and ``passes`` are the fuel for leaving at a check, and for finding the bit in vain, by the
    guest's numbers of checks; ``again`` is the part of the latter that comes when an inner eval loop ends. ``waits``
    is the fuel for a call that has its answer later, beside that of the pause, by the guest's numbers of how it went;
    empty for an image whose guests cannot leave at calls.
    """

    breaker: int
    state: int
    counts: int
    layout: FrameLayout
    pauses: dict[int, int]
    passes: dict[int, int]
    again: int
    waits: tuple[int, ...]
    prices: dict[bytes, tuple[int, int]]
    """What was computed from these so far, by what guests have noted."""

    @classmethod
    def from_manifest(cls, manifest: dict[str, Any], memory: int) -> "PauseFacts | None":
        """Return the facts, or None for an image that says nothing; ``memory`` is the bytes that a fresh guest has.

        Raises ImageError for facts that cannot be true.
        """
        said = manifest.get("pause")
        if said is None:
            return None
        try:
            layout = FrameLayout(**said["layout"])
            pauses, passes = (_costs(said[name]) for name in ("pauses", "passes"))
            waits = tuple(int(fuel) for fuel in said.get("waits", ()))
            where = said["breaker"], said["state"], said["counts"]
            facts = cls(*where, layout, pauses, passes, said["again"], waits, {})
            end = max(facts.breaker + 1, facts.state + _HEAD.size + 4 * facts.counts, layout.current + 4)
            if min(facts.breaker, facts.state, facts.counts, *layout) >= 0 and end <= memory:
                return facts
        except (KeyError, TypeError, ValueError, AttributeError):
            pass
        raise ImageError("the image's manifest says something impossible about pausing: build it again with make guest")

    @property
    def size(self) -> int:
        """Bytes of what the guest notes."""
        return _HEAD.size + 4 * self.counts


def _costs(said: dict[str, int]) -> dict[int, int]:
    return {int(site): int(fuel) for site, fuel in said.items()}


class PauseSwitch:
    """Asks one guest to leave, for as long as ``asked`` is true.

    ``flagged`` says that the guest was shown the bit in the step that is in progress, or in the last one. From then on
    it has ``lent`` units of fuel more, as it has to pay for leaving what it is given back only when it has left.
    Everything but ``ask``, ``withdraw`` and ``locate`` is for the guest's thread.
    """

    __slots__ = ("_facts", "_locating", "_memory", "_meter", "_zeros", "asked", "flagged", "lent", "places")

    def __init__(self, facts: PauseFacts, memory: Memory, meter: Meter | None = None) -> None:
        self._facts = facts
        self._meter = meter
        self.lent = 0
        self._memory = memory
        self._zeros = bytes(facts.size)
        self._locating = False
        self.asked = False
        self.flagged = False
        self.places: list[Place] | None = None

    def locate(self) -> None:
        """From any thread: have ``places`` found at the next bump of the epoch at which the guest computes."""
        self.places = None
        self._locating = True

    def look(self) -> None:
        """Do what was asked for, while the guest stands still."""
        # Once in a step: the guest itself asks again where it could not leave.
        if self.asked and not self.flagged:
            self.show()
        if self._locating:
            self._locating = False
            self.places = find_places(self._memory, self._facts)

    def show(self) -> None:
        """Show the guest the bit."""
        self._memory.change_bits(self._facts.breaker, _BIT, to=True)
        self.flagged = True
        if self._meter is not None and not self.lent:
            self._meter.numbers[0] += LOAN
            self.lent = LOAN

    def cost(self, used: int, *, paused: bool = False) -> int:
        """Return the fuel that the guest has spent because of the bit, of the ``used`` since it was last settled."""
        noted = self._memory.read(self._facts.state, len(self._zeros))
        if noted == self._zeros and not paused:
            return 0
        passed, left = self._facts.prices.get(noted) or self._price(noted)
        # An inner eval loop, in which the bit is found in vain, costs more than finding it.
        half = used // 2
        total = (passed if passed < half else half) + (left if paused else 0)
        return total if total < used else used

    def _price(self, noted: bytes) -> tuple[int, int]:
        """Return what the passes cost that the guest has noted, and what leaving where it did costs."""
        facts = self._facts
        _, wanted, site = _HEAD.unpack_from(noted)
        rest = noted[_HEAD.size :].lstrip(b"\0")
        passed = self._passed(noted, rest) - (facts.again if wanted else 0) if rest else 0
        price = max(0, passed), facts.pauses.get(site, 0)
        # A guest may note anything, but most note the same few things.
        if len(facts.prices) < _MAX_PRICES:
            facts.prices[noted] = price
        return price

    def _passed(self, noted: bytes, rest: bytes) -> int:
        """Return the price of all passes. Few counters are not 0: they are looked for from one to the next."""
        spent, size = 0, len(noted)
        while rest:
            number = (size - len(rest) - _HEAD.size) // 4
            start = _HEAD.size + 4 * number
            spent += int.from_bytes(noted[start : start + 4], "little") * self._facts.passes.get(number, 0)
            rest = noted[start + 4 :].lstrip(b"\0")
        return spent

    def settle(self, *, paused: bool = False) -> None:
        """Have the guest forget all of it, after a step. One that has ``paused`` has taken the bit back itself."""
        facts = self._facts
        self._memory.write(facts.state, self._zeros)
        if not paused:
            self._memory.change_bits(facts.breaker, _BIT, to=False)
        self.flagged = False
        self.lent = 0


def find_places(memory: Memory, facts: PauseFacts) -> list[Place]:
    """Return the places in Python at which C code was called that has not returned, the outermost first.

    A guest whose interpreter is broken may have any places, or none.
    """
    with suppress(ProtocolError, ValueError, IndexError):
        callers = deque(_callers(memory, facts.layout), maxlen=_MAX_PLACES)
        return [_place(memory, facts.layout, frame) for frame in reversed(callers)]
    return []


def _callers(memory: Memory, layout: FrameLayout) -> Iterator[int]:
    """Yield the frames that have called C code, the innermost first: the top one, and each below another eval loop."""
    frame, above = _word(memory, layout.current), True
    for _ in range(_MAX_FRAMES):
        if not frame:
            return
        if memory.read(frame + layout.owner, 1)[0] == _OWNED_BY_C:
            above = True
        # The interpreter's own small frames have no line.
        elif above and _word(memory, _word(memory, frame + layout.executable) + layout.first_line):
            yield frame
            above = False
        frame = _word(memory, frame + layout.previous)


def _place(memory: Memory, layout: FrameLayout, frame: int) -> Place:
    code = _word(memory, frame + layout.executable)
    names = (_text(memory, layout, _word(memory, code + at)) for at in (layout.filename, layout.qualname))
    offset = (_word(memory, frame + layout.instruction) - code - layout.code) // 2
    table = _word(memory, code + layout.line_table)
    size = _word(memory, table + layout.bytes_data - 8)
    lines = memory.read(table + layout.bytes_data, min(size, _MAX_TABLE))
    filename, function = names
    return Place(filename, line_of(lines, _word(memory, code + layout.first_line), offset), function)


def _word(memory: Memory, address: int) -> int:
    return int.from_bytes(memory.read(address, 4), "little")


def _text(memory: Memory, layout: FrameLayout, address: int) -> str:
    length = min(_word(memory, address + layout.text_length), _MAX_NAME)
    return memory.read(address + layout.text_data, length).decode("ascii", "replace")


def line_of(table: bytes, line: int, offset: int) -> int:
    """Return the line of an instruction, by the table in its code object (CPython's Objects/locations.md); else 0."""
    at = start = 0
    while at < len(table):
        kind, length = table[at] >> 3 & 15, (table[at] & 7) + 1
        fields = _varints(table, at + 1)
        if kind in (13, 14):
            line += _signed(next(fields))
        elif 10 <= kind <= 12:
            line += kind - 10
        start += length
        if start > offset >= 0:
            return line if kind != 15 else 0
        at += 1
        # The first byte of each entry alone has its highest bit set.
        while at < len(table) and not table[at] & 0x80:
            at += 1
    return 0


def _varints(table: bytes, at: int) -> Iterator[int]:
    while True:
        value = shift = 0
        while True:
            byte = table[at]
            value |= (byte & 63) << shift
            at, shift = at + 1, shift + 6
            if not byte & 64:
                break
        yield value


def _signed(value: int) -> int:
    return -(value >> 1) if value & 1 else value >> 1
