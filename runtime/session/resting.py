"""Programs that rest: they wait, and their guest serves others meanwhile, as all that they need of it was copied out.

A guest that waits holds a mapping and the pages that its program has written, some 400 kB. So when more programs wait
than keep their guests, the next ones leave theirs. What differs from the image in these pages, block by block, is
copied out, some 70 kB in 0.2 ms; after half a second, or at once where all copies together take too much, that is
packed into a fifth. Coming back, a program gets another guest, with the same memory and the same fuel left.
"""

import struct
import threading
from array import array
from collections import deque
from itertools import chain
from itertools import compress as select
from operator import ne
from time import sleep
from weakref import ref
from zlib import compress, decompress

from cloche.runtime.machine_api import Machine, MachineSource, now
from cloche.runtime.wasm.recycling import background_thread

__all__ = ["MAX_RAW", "MAX_WRITTEN", "PACKED_AFTER", "Rest", "resting"]

PACKED_AFTER = 0.5
"""Seconds after which what a program needs of its guest is packed."""
MAX_RAW = 256 << 20
"""Bytes of copies that are not packed, over all programs of the process; beyond that, new ones are packed at once."""
MAX_WRITTEN = 8 << 20
"""Bytes that a program may have written: one that has written more keeps its guest, as copying would take long."""
_LEVEL = 1
_BLOCK = 512
_as_blocks = struct.Struct(f"{_BLOCK}s").iter_unpack
_NOTHING = compress(b"")
# Seconds between two looks for copies to be packed, and how long one look may take while others wait for the thread.
_BETWEEN, _AT_ONCE = 0.02, 0.01


class Rest:
    """What one program needs of the guest that it has left. Taken and given back by whoever has the program."""

    __slots__ = ("__weakref__", "_blocks", "_lock", "_packed", "_size", "_stack_pointer", "_starts", "since", "weight")

    def __init__(self, machine: Machine, spans: list[tuple[int, int]], source: MachineSource) -> None:
        """Copy it out of the machine, which is vacated; ``spans`` are what it has written."""
        view = machine.view()
        self._starts, self._blocks = _changed_blocks(view, source.pristine(), spans)
        del view
        self._size, self._stack_pointer = machine.memory_size(), machine.stack_pointer
        self._packed = b""
        # Between the thread that packs and the one that takes it back.
        self._lock = threading.Lock()
        self.weight = len(self._blocks)
        self.since = now()
        machine.vacate(spans)

    def pack(self) -> None:
        """Make it smaller, if it is still there."""
        with self._lock:
            if self._blocks:
                self._packed, self._blocks = compress(self._blocks, _LEVEL), b""

    def end(self, machine: Machine) -> None:
        """Give it to the machine, which gets another guest. Raises MemoryError, or what making a guest raises."""
        with self._lock:
            blocks = self._blocks or decompress(self._packed or _NOTHING)
            self._blocks = self._packed = b""
        machine.occupy()
        pieces = list(zip(self._starts, chain.from_iterable(_as_blocks(blocks)), strict=True))
        machine.restore(pieces, self._size, self._stack_pointer)


def _changed_blocks(view: memoryview, pristine: memoryview, spans: list[tuple[int, int]]) -> tuple["array[int]", bytes]:
    """Return the blocks of those spans that differ from what the image has there: where they begin, and all bytes."""
    # Copies, because two bytes objects compare by memcmp and two memoryviews item by item; and no loop in Python, as
    # there are hundreds of blocks.
    data = b"".join([view[start:end] for start, end in spans])
    was = b"".join([_as_it_was(pristine, start, end) for start, end in spans])
    differ = list(map(ne, _as_blocks(data), _as_blocks(was)))
    starts = array("Q", select(chain.from_iterable([range(start, end, _BLOCK) for start, end in spans]), differ))
    return starts, b"".join(chain.from_iterable(select(_as_blocks(data), differ)))


def _as_it_was(pristine: memoryview, start: int, end: int) -> "memoryview | bytes":
    """Return what the image has there; what lies beyond its memory was zero."""
    return pristine[start:end] if end <= len(pristine) else bytes(pristine[start:end]).ljust(end - start, b"\0")


class _Resting:
    """All programs of the process that wait: how many of them have guests, and the copies that are not packed yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._awake = 0
        self._raw: deque[ref[Rest]] = deque()
        self._raw_bytes = 0
        self._packs = False

    @property
    def awake(self) -> int:
        """How many programs wait with a guest."""
        return self._awake

    @property
    def raw_bytes(self) -> int:
        """The bytes of copies that are not packed."""
        return self._raw_bytes

    def keeps(self, kept: int) -> bool:
        """Count a program that begins to wait, if it may keep its guest, as fewer than ``kept`` do. Else it rests."""
        with self._lock:
            if self._awake >= kept:
                return False
            self._awake += 1
            return True

    def wakes(self) -> None:
        """Count one less of those that wait and have kept their guest."""
        with self._lock:
            self._awake -= 1

    def begin(self, machine: Machine, source: MachineSource) -> Rest | None:
        """Have a program rest; None for one that keeps its guest, as there would be too much to copy."""
        spans = machine.written()
        if sum([end - start for start, end in spans]) > MAX_WRITTEN:
            return None
        rest = Rest(machine, spans, source)
        with self._lock:
            packs_now = self._raw_bytes + rest.weight > MAX_RAW
            if not packs_now:
                self._raw.append(ref(rest))
                self._raw_bytes += rest.weight
            starts = not packs_now and not self._packs
            self._packs = self._packs or starts
        if packs_now:
            rest.pack()
            rest.weight = 0
        elif starts:
            background_thread.do(self._pack)
        return rest

    def end(self, rest: Rest, machine: Machine | None) -> None:
        """Have it end: its program continues on this machine, or never does."""
        self._forget(rest)
        if machine is not None:
            rest.end(machine)

    def _forget(self, rest: Rest) -> None:
        with self._lock:
            self._raw_bytes -= rest.weight
            rest.weight = 0

    def _pack(self) -> None:
        """Pack what is due, and come again as long as there is anything that is not packed."""
        until = now() + _AT_ONCE
        while now() < until:
            with self._lock:
                rest = None
                while self._raw and rest is None:
                    rest = self._raw[0]()
                    if rest is None or not rest.weight:
                        # Its program has ended, or continued.
                        self._raw.popleft()
                        rest = None
                if rest is None:
                    self._packs = False
                    return
                if now() < rest.since + PACKED_AFTER:
                    break
                self._raw.popleft()
            rest.pack()
            self._forget(rest)
        sleep(_BETWEEN)
        background_thread.do(self._pack)


resting = _Resting()
"""The process's one."""
