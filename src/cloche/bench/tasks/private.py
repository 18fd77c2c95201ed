"""Memory that belongs to this process and its children alone."""

import os
import re
from pathlib import Path

from cloche.bench.adapters.base import Unsupported

__all__ = ["private_bytes"]

_PROC = Path("/proc")
_DIRTY = re.compile(rb"^(?:Private_Dirty|Private_Hugetlb|Swap):\s+(\d+) kB", re.MULTILINE)


def private_bytes() -> int:
    """Return the bytes written by this process and all below it, swapped ones included; shared pages do not count.

    Raises Unsupported where the system does not tell (only Linux does).
    """
    if not (_PROC / "self" / "smaps_rollup").exists():
        raise Unsupported("private memory is measured on Linux only")
    return sum(_dirty(process) for process in _family(os.getpid()))


def _dirty(process: int) -> int:
    try:
        rollup = (_PROC / str(process) / "smaps_rollup").read_bytes()
    except OSError:  # it ended meanwhile
        return 0
    return sum(int(kilobytes) for kilobytes in _DIRTY.findall(rollup)) * 1024


def _family(root: int) -> set[int]:
    parents = _parents()
    family = {root}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _parents() -> dict[int, int]:
    found: dict[int, int] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            try:
                # The name in parentheses may hold anything; the parent is the second field after it.
                found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    return found
