"""Many at once: fresh isolates from several threads, a thousand sessions, and the memory that they take."""

import gc
import os
import re
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

from cloche.bench.adapters.base import Run, Runner, Unsupported
from cloche.bench.tasks.base import GaveUp, Sample, expect
from cloche.bench.tasks.runs import TRIVIAL

__all__ = [
    "open_beside",
    "open_live",
    "open_memory",
    "open_pauses",
    "open_threads",
    "open_waiting",
    "private_bytes",
]

SESSIONS = 1_000
_FEW = 25
_MAX_SECONDS = 20.0
_MAX_BYTES = 3 << 30
_WORKING_SET = "data = 'x' * 1000000"
_RATE_SECONDS = 0.5
_ENDLESS = {"A": 10, "B": 5, "C": 4}
_SHORT = "total = 0\nfor i in range(20000):\n    total += i % 7\ntotal"
_FOREVER = "n = 0\nwhile True:\n    n += 1"
_PROC = Path("/proc")
_DIRTY = re.compile(rb"^(?:Private_Dirty|Private_Hugetlb|Swap):\s+(\d+) kB", re.MULTILINE)


def open_threads(threads: int) -> Callable[[Runner], AbstractContextManager[Sample]]:
    """Return a task's opener: that many threads run the trivial program in fresh isolates for half a second."""

    @contextmanager
    def opened(runner: Runner) -> Generator[Sample, None, None]:
        with ThreadPoolExecutor(threads) as pool:
            yield lambda: {f"throughput.{threads}": _rate(runner, pool, threads)}

    return opened


def _rate(runner: Runner, pool: ThreadPoolExecutor, threads: int) -> float:
    start = perf_counter()
    counting = [pool.submit(_count, runner, start + _RATE_SECONDS) for _ in range(threads)]
    return sum(count.result() for count in counting) / (perf_counter() - start)


def _count(runner: Runner, until: float) -> int:
    count = 0
    while perf_counter() < until:
        runner.fresh(TRIVIAL)
        count += 1
    return count


@contextmanager
def open_memory(runner: Runner) -> Generator[Sample, None, None]:
    """Private memory of a session that ran one small program, and again after it made a million characters."""
    _settle(runner)

    def sample() -> dict[str, float]:
        with ExitStack() as stack:
            base = private_bytes()
            sessions = _open(runner, stack, _FEW)
            idle = private_bytes() - base
            for run in sessions:
                run(_WORKING_SET)
            working = private_bytes() - base
            return {"memory.idle": idle / len(sessions), "memory.working": working / len(sessions)}

    yield sample


@contextmanager
def open_live(runner: Runner) -> Generator[Sample, None, None]:
    """A thousand sessions, all alive: each answers at the end. Memory above base, and the seconds to open them."""
    _settle(runner)

    def sample() -> dict[str, float]:
        with ExitStack() as stack:
            base, start = private_bytes(), perf_counter()
            sessions = _open(runner, stack, SESSIONS)
            opened = perf_counter() - start
            used = private_bytes() - base
            if len(sessions) < SESSIONS:
                raise GaveUp(f"{len(sessions)} sessions took {opened:.0f} s and {used / 1e9:.2f} GB; stopped there")
            for number, run in enumerate(sessions):
                expect(run("result = x" + runner.value), number)
            return {"live.memory": float(used), "live.open": opened}

    yield sample


@contextmanager
def open_waiting(runner: Runner) -> Generator[Sample, None, None]:
    """A thousand programs that wait at once."""
    runner.waiting(2)

    def sample() -> dict[str, float]:
        took, threads = runner.waiting(SESSIONS)
        return {"waiting.time": took, "waiting.threads": float(threads)}

    yield sample


@contextmanager
def open_beside(runner: Runner) -> Generator[Sample, None, None]:
    """A short program that comes again and again, beside endless ones of three accounts."""
    runner.beside({"A": 1}, _SHORT, 2)

    def sample() -> dict[str, float]:
        took, shares = runner.beside(_ENDLESS, _SHORT, 60)
        took.sort()
        spread = (max(shares) - min(shares)) * len(shares) / sum(shares)
        median, slowest = took[len(took) // 2], took[len(took) * 99 // 100]
        return {"beside.median": median, "beside.slowest": slowest, "beside.spread": max(spread, 1e-6)}

    yield sample


@contextmanager
def open_pauses(runner: Runner) -> Generator[Sample, None, None]:
    """A program that computes, left and entered again."""
    runner.pauses(_FOREVER, 2)
    yield lambda: {"pause": runner.pauses(_FOREVER, 100)}


def _settle(runner: Runner) -> None:
    """What only the first session costs is not a session's cost."""
    with runner.session() as run:
        run("x = 1")
    gc.collect()


def _open(runner: Runner, stack: ExitStack, count: int) -> list[Run]:
    sessions: list[Run] = []
    enough = _enough()
    while len(sessions) < count and not (sessions and enough(len(sessions))):
        run = stack.enter_context(runner.session())
        run(f"x = {len(sessions)}")
        sessions.append(run)
    return sessions


def _enough() -> Callable[[int], bool]:
    until, base = perf_counter() + _MAX_SECONDS, private_bytes()

    def enough(count: int) -> bool:
        # Adding up the memory of many processes takes long, so it is not done for each session.
        return perf_counter() > until or (count % 20 == 0 and private_bytes() - base > _MAX_BYTES)

    return enough


def private_bytes() -> int:
    """Return the bytes written by this process and all below it, swapped ones included; shared pages do not count.

    Raises Unsupported where the system does not say (only Linux does).
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
