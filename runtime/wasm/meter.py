"""The host's end of a guest's meter: the three numbers that :mod:`cloche.runtime.wasm.charging` describes."""

import ctypes
import threading
from typing import Any

__all__ = ["CHARGES_VERSION", "FUEL_FULL", "LOOK", "METER", "DoorMeter", "Meter"]

METER = "cloche_meter"
"""The name under which the second memory is exported."""
LOOK = 99
"""What a charge passes to ``clock`` when it wants the host to look whether the guest must end."""
CHARGES_VERSION = 2
"""To be raised with every change of what is put in: compiled code of before must not be used."""
FUEL_FULL = 1 << 62
"""More fuel than any guest can use in a lifetime; it is counted in signed 64 bits."""

_Numbers = ctypes.c_int64 * 3
_LEFT, _LOOK, _END = range(3)
_EVERYTHING = (1 << 63) - 1


class Meter:
    """One guest's meter, at ``address``. ``numbers`` are the three; the first is for the thread that has the guest.

    :meth:`ask` and :meth:`end` come from any thread. They do nothing unless the guest ``is_running``, which ends under
    the ``lock``: only then its memory is certainly there, and no later request of its machine can be hit.
    """

    __slots__ = ("is_running", "lock", "numbers")

    def __init__(self, address: int) -> None:
        self.numbers = _Numbers.from_address(address)
        self.lock = threading.Lock()
        self.is_running = False
        self.numbers[_LEFT] = FUEL_FULL

    @property
    def is_spent(self) -> bool:
        """Whether a charge found too little fuel."""
        return self.numbers[_LEFT] < 0

    @property
    def was_ended(self) -> bool:
        """Whether :meth:`end` was heard by the guest, or will be."""
        return self.numbers[_END] != 0

    def set_running(self, running: bool) -> None:
        """Note that the guest is about to run; or that it has been left, while holding the lock."""
        self.is_running = running

    def ask(self) -> None:
        """Have the guest call its host as soon as it computes outside of loops that call nothing."""
        self._write(_LOOK)

    def end(self) -> None:
        """Have the guest call its host, or trap, as soon as it computes."""
        self._write(_LOOK, _END)

    def answer(self) -> None:
        """Say that the host looks now: on the guest's thread, before it does."""
        self.numbers[_LOOK] = 0

    def _write(self, *places: int) -> None:
        # A guest that is being left needs no sign; and whoever holds this may be interrupted by a signal's handler that
        # runs another guest, so that nothing may wait for it.
        if self.lock.acquire(blocking=False):
            try:
                if self.is_running:
                    for place in places:
                        self.numbers[place] = _EVERYTHING
            finally:
                self.lock.release()


class DoorMeter(Meter):
    """The meter of a guest with a door in C, which knows whether it runs, and writes while it holds the GIL."""

    __slots__ = ("_door",)

    def __init__(self, address: int, door: Any) -> None:
        self._door = door
        super().__init__(address)

    def set_running(self, running: bool) -> None:
        """Note that the guest is about to run, or has been left."""
        self._door.run(running)

    def _write(self, *places: int) -> None:
        self._door.note(_END in places)
