"""Many at once: fresh isolates from several threads, a thousand sessions, and the memory that they take."""

import gc
import os
import re
import textwrap
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

from cloche.bench.adapters.base import Run, Runner, Unsupported
from cloche.bench.tasks.base import GaveUp, Sample, expect, seconds
from cloche.bench.tasks.compute import PROGRAMS, program
from cloche.bench.tasks.runs import TRIVIAL

__all__ = [
    "open_awaited",
    "open_beside",
    "open_burst",
    "open_busy",
    "open_live",
    "open_memory",
    "open_pauses",
    "open_requests",
    "open_resting",
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
_BURST = 100
_NEIGHBOURS, _WORK, _SHORT_RUNS = 4, "loops", 100
# Seconds from which on a request to leave counts as a late one.
_LATE = 0.02
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
def open_burst(runner: Runner) -> Generator[Sample, None, None]:
    """A hundred programs at the same moment, each from a thread of its own that is there already."""
    expect(runner.fresh("result = 6 * 7" + runner.value), 42)
    gate = threading.Barrier(_BURST + 1)

    def one() -> None:
        gate.wait()
        runner.fresh(TRIVIAL)

    with ThreadPoolExecutor(_BURST) as pool:

        def sample() -> dict[str, float]:
            running = [pool.submit(one) for _ in range(_BURST)]
            gate.wait()
            return {"burst": seconds(lambda: [each.result() for each in running])}

        yield sample


@contextmanager
def open_busy(runner: Runner) -> Generator[Sample, None, None]:
    """A short program in a session while four others compute, each in a session and a thread of its own."""
    over = threading.Event()
    work = program(_WORK)

    def neighbour() -> None:
        with runner.session() as run:
            while not over.is_set():
                run(work)

    with runner.session() as run, ThreadPoolExecutor(_NEIGHBOURS) as pool:
        expect(run(runner.opening + "result = 6 * 7" + runner.value), 42)
        busy = [pool.submit(neighbour) for _ in range(_NEIGHBOURS)]

        def sample() -> dict[str, float]:
            took = sorted(_spaced(run) for _ in range(_SHORT_RUNS))
            for each in busy:
                if each.done():
                    each.result()
            return {"busy.median": took[len(took) // 2], "busy.slowest": took[len(took) * 99 // 100]}

        try:
            yield sample
        finally:
            over.set()


def _spaced(run: Run) -> float:
    time.sleep(0.002)
    return seconds(run, "x = 1")


@contextmanager
def open_waiting(runner: Runner) -> Generator[Sample, None, None]:
    """A thousand programs that wait at once."""
    runner.waiting(2, _ignore)

    def sample() -> dict[str, float]:
        took, threads = runner.waiting(SESSIONS, _ignore)
        return {"waiting.time": took, "waiting.threads": float(threads)}

    yield sample


def _ignore() -> None:
    # To add up the memory would take some of the time.
    return


@contextmanager
def open_resting(runner: Runner) -> Generator[Sample, None, None]:
    """Ten thousand, and the most memory that they take."""
    runner.waiting(2, _ignore)

    def sample() -> dict[str, float]:
        base, found = private_bytes(), [0]
        took, threads = runner.waiting(10 * SESSIONS, lambda: found.append(private_bytes() - base))
        return {"rest.time": took, "rest.threads": float(threads), "rest.memory": float(max(found))}

    yield sample


@contextmanager
def open_awaited(runner: Runner) -> Generator[Sample, None, None]:
    """Calls of a host coroutine that has its answer at once."""
    runner.awaited(2)
    yield lambda: {"await": runner.awaited(200)}


@contextmanager
def open_requests(runner: Runner) -> Generator[Sample, None, None]:
    """Ordinary programs that are asked to leave at any moment."""
    endless = ["while True:\n" + textwrap.indent(program(name), "    ") for name in PROGRAMS]
    runner.requests(endless[:1], 1)

    def sample() -> dict[str, float]:
        took = sorted(runner.requests(endless, 25))
        late = sum(each > _LATE for each in took) / len(took)
        middle, slowest = took[len(took) // 2], took[len(took) * 99 // 100]
        return {"request.median": middle, "request.slowest": slowest, "request.late": late}

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
