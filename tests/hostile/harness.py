"""Runs an attack and measures what it cost the host, in terms that a busy machine does not change."""

import gc
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloche.runtime.result import Result
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

__all__ = ["MIB", "Attacked", "attack", "peak_memory", "reset_peak", "resident"]

MIB = 1 << 20
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Attacked:
    """What came of an attack.

    ``processor`` is the seconds of the processor that this process used meanwhile, all threads together; ``wall`` the
    clock's, for the record: no test may depend on it. ``peak`` and ``kept`` are bytes of the host's memory beyond what
    it held before: at the most, and at the end. Both are 0 where the system does not tell.
    """

    result: Result[Any]
    processor: float
    wall: float
    peak: int
    kept: int

    def check_end(self, seconds: float, *, slack: float = 1.0) -> None:
        """Check that the run took no more of the processor than its time limit, and a little.

        A run that waits for its turn on a busy machine uses none of it, so that this holds at any load.
        """
        assert self.processor <= seconds + slack, f"{self.processor:.2f} s of the processor for a run of {seconds} s"

    def check_memory(self, limit: int) -> None:
        """Check that the host never held so many bytes more than before, the guest's own memory included."""
        assert self.peak <= limit, f"{self.peak / MIB:.0f} MiB more at the peak, of {limit / MIB:.0f}"


def attack(where: Sandbox | Session, code: str, **options: Any) -> Attacked:
    """Run a hostile program."""
    gc.collect()
    before = resident()
    reset_peak()
    started, used = time.perf_counter(), time.process_time()
    result = where.run(code, **options)
    processor, wall = time.process_time() - used, time.perf_counter() - started
    peak = max(0, peak_memory() - before)
    gc.collect()
    return Attacked(result, processor, wall, peak, max(0, resident() - before))


def resident() -> int:
    """Return the bytes of this process that are in memory now; 0 where the system does not tell."""
    return _status("VmRSS:")


def peak_memory() -> int:
    """Return the most bytes of this process that were in memory since :func:`reset_peak`."""
    return _status("VmHWM:")


def reset_peak() -> None:
    """Let the peak be what is in memory now."""
    if _CLEAR.exists():
        _CLEAR.write_text("5")


def _status(field: str) -> int:
    if not _STATUS.exists():
        return 0
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) << 10
