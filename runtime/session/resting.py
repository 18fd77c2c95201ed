"""Programs that rest: they wait, and their guest serves others meanwhile, as all that they need of it was copied out.

A guest that waits holds a mapping and the pages that its program has written, some 400 kB. So when more programs wait
than keep their guests, the next ones leave theirs: what differs from the image in these pages is packed as it is for
snapshots, into some 10 kB. Coming back, a program gets another guest, with the same memory and the same fuel left.
"""

import threading

from cloche.runtime.machine_api import Machine, MachineSource

__all__ = ["MAX_WRITTEN", "Rest", "resting"]

MAX_WRITTEN = 4 << 20
"""Bytes that a program may have written: one that has written more keeps its guest, as packing would take long."""


class Rest:
    """What one program needs of the guest that it has left. Taken and given back by whoever has the program."""

    __slots__ = ("_packed", "_size", "_source", "_stack_pointer")

    def __init__(self, machine: Machine, spans: list[tuple[int, int]], source: MachineSource) -> None:
        """Copy it out of the machine, which is vacated; ``spans`` are what it has written."""
        # Here, as most processes have no program that rests.
        from cloche.runtime.snapshots.delta import pack

        view = machine.view()
        self._packed = pack(view, source.pristine(), spans)
        del view
        self._size, self._stack_pointer = machine.memory_size(), machine.stack_pointer
        self._source = source
        machine.vacate(spans)

    def __len__(self) -> int:
        return len(self._packed)

    def end(self, machine: Machine) -> None:
        """Give it to the machine, which gets another guest. Raises MemoryError, or what making a guest raises."""
        from cloche.runtime.snapshots.delta import unpack

        machine.occupy()
        pieces = unpack(self._packed, self._source.pristine(), self._size)
        machine.restore(pieces, self._size, self._stack_pointer)


class _Resting:
    """All programs of the process that wait: how many of them have guests, and the bytes that the others need."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._awake = self._bytes = 0

    @property
    def awake(self) -> int:
        """How many programs wait with a guest."""
        return self._awake

    @property
    def packed_bytes(self) -> int:
        """The bytes of those that rest."""
        return self._bytes

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
        """Have a program rest; None for one that keeps its guest, as there would be too much to pack."""
        spans = machine.written()
        if sum([end - start for start, end in spans]) > MAX_WRITTEN:
            return None
        rest = Rest(machine, spans, source)
        with self._lock:
            self._bytes += len(rest)
        return rest

    def end(self, rest: Rest, machine: Machine | None) -> None:
        """Have it end: its program continues on this machine, or never does."""
        with self._lock:
            self._bytes -= len(rest)
        if machine is not None:
            rest.end(machine)


resting = _Resting()
"""The process's one."""
