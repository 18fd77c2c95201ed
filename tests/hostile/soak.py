"""``make soak``: a million mixed runs in one process, whose memory, files, threads and latency must not grow."""

import argparse
import asyncio
import gc
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.hostile.harness import MIB, resident
from tests.hostile.progress import progress
from tests.hostile.results import note_result

from cloche import Limits, Result, Sandbox, Session, Suspended, tool

__all__ = ["Point", "Soak", "growth"]

RUNS = 1_000_000
POINTS = 10
_PROBES = 200
_SESSIONS = 6
# A session is replaced after so many runs, as a service would.
_LIFE = 400
_THREADS = 4
# What may come and go: caches of the interpreter, the allocator's habits.
_SLACK = 48 * MIB


@tool(blocking=False)
def add(a: int, b: int) -> int:
    """Add.

    Args:
        a: One.
        b: Another.
    """
    return a + b


@tool
def pause() -> None:
    """Do nothing, perhaps for a while."""


@tool
async def later(x: int) -> int:
    """Answer after others had their turn.

    Args:
        x: A number.
    """
    await asyncio.sleep(0)
    return x


@tool(suspend=True)
def ask(x: int) -> int:
    """Ask.

    Args:
        x: A number.
    """
    raise RuntimeError("is only answered")


@dataclass(frozen=True)
class Point:
    """What the process was like after so many runs."""

    runs: int
    resident: int
    files: int
    threads: int
    median: float
    slowest: float


class Soak:
    """Makes runs of all kinds, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._noise = random.Random(seed)
        limits = Limits(time=60, fuel=200_000_000, memory="64 MiB")
        self._box = Sandbox(tools=[add, pause, later, ask], limits=limits)
        self._sessions: list[Session] = [self._box.session() for _ in range(_SESSIONS)]
        self._probe = self._box.session()
        self.runs = 0
        self.kinds: Counter[str] = Counter()

    def run(self, runs: int, tell: Callable[[int], object] = lambda done: None) -> None:
        """Make so many runs."""
        end, told = self.runs + runs, self.runs
        while self.runs < end:
            name, weight = self._choose()
            self.kinds[name] += 1
            self.runs += weight
            _KINDS[name][1](self)
            if self.runs - told >= 1_000:
                tell(self.runs - told)
                told = self.runs
        tell(max(0, self.runs - told))

    def point(self) -> Point:
        """Measure the process."""
        gc.collect()
        seconds: list[float] = []
        for _ in range(_PROBES):
            started = time.perf_counter()
            self._probe.run("1 + 1").unwrap()
            seconds.append(time.perf_counter() - started)
        seconds.sort()
        files = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
        median, slowest = seconds[_PROBES // 2], seconds[_PROBES * 99 // 100]
        return Point(self.runs, resident(), files, threading.active_count(), median, slowest)

    def close(self) -> None:
        """Close the sessions."""
        for session in [*self._sessions, self._probe]:
            session.close()

    def _choose(self) -> tuple[str, int]:
        at = self._noise.random() * _ALL
        for name, (share, _) in _KINDS.items():
            at -= share
            if at < 0:
                return name, _WEIGHTS.get(name, 1)
        return "a small run", 1

    def session(self) -> Session:
        """Return one of the sessions, at times a new one in its place."""
        at = self._noise.randrange(_SESSIONS)
        if self._noise.random() < 1 / _LIFE:
            self._sessions[at].close()
            self._sessions[at] = self._box.session()
        return self._sessions[at]

    def small(self) -> None:
        self.session().run("n = globals().get('n', 0) + 1\nn").unwrap()

    def fresh(self) -> None:
        assert self._box.run("sum(range(10))").unwrap() == 45

    def tools(self) -> None:
        assert self.session().run("sum(add(i, 1) for i in range(5))").unwrap() == 15

    def blocking(self) -> None:
        self.session().run("for i in range(4): pause()").unwrap()

    def failing(self) -> None:
        assert self.session().run("print('x' * 100)\n1 / 0").error is not None

    def limited(self) -> None:
        result = self.session().run("while True: pass", limits=Limits(fuel=2_000_000, memory="64 MiB"))
        assert result.rolled_back

    def filling(self) -> None:
        result = self._box.run("x = []\nwhile True: x.append(bytearray(1 << 20))")
        assert result.error is not None

    def forged(self) -> None:
        result = self.session().run("import _cloche\n_cloche.call(b'\\xdd\\xff\\xff\\xff\\xff')")
        assert result.rolled_back

    def large(self) -> None:
        assert len(self.session().run("'x' * 1_000_000").unwrap()) == 1_000_000

    def events(self) -> None:
        seen: list[Any] = []
        self.session().run("print('a')\nadd(1, 2)", on_event=seen.append).unwrap()
        assert len(seen) == 3

    def waiting(self) -> None:
        now: Result[Any] | Suspended = self.session().start("ask(1) + ask(2)")
        while isinstance(now, Suspended):
            now = now.resume({call.id: 3 for call in now.calls})
        assert now.unwrap() == 6

    def saved(self) -> None:
        with self._box.restore(bytes(self.session().snapshot())) as restored:
            restored.run("globals().get('n', 0)").unwrap()

    def forked(self) -> None:
        with self.session().fork() as twin:
            twin.run("n = 0").unwrap()

    def files(self) -> None:
        session = self.session()
        session.put_file("/work/f", b"x" * 1_000)
        assert len(session.get_file("/work/f")) == 1_000

    def awaited(self) -> None:
        async def several() -> None:
            code = "import asyncio\nsum(await asyncio.gather(*[later(i) for i in range(4)]))"
            found = await asyncio.gather(*[self._box.arun(code) for _ in range(_THREADS)])
            assert [result.unwrap() for result in found] == [6] * _THREADS

        asyncio.run(several())

    def threaded(self) -> None:
        found: list[Any] = []
        work = [threading.Thread(target=lambda: found.append(self._box.run("2 ** 10").value)) for _ in range(_THREADS)]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        assert found == [1024] * _THREADS


# By name: its share of the runs, and what is done.
_KINDS: dict[str, tuple[float, Callable[[Soak], None]]] = {
    "a small run": (700, Soak.small),
    "a fresh guest": (60, Soak.fresh),
    "tools": (80, Soak.tools),
    "tools that may block": (30, Soak.blocking),
    "an exception": (40, Soak.failing),
    "a limit": (8, Soak.limited),
    "full memory": (0.5, Soak.filling),
    "a forged frame": (8, Soak.forged),
    "a large value": (4, Soak.large),
    "events": (20, Soak.events),
    "a program that waits": (8, Soak.waiting),
    "a snapshot and its restoring": (3, Soak.saved),
    "a fork": (4, Soak.forked),
    "files": (10, Soak.files),
    "async callers": (3, Soak.awaited),
    "threads": (3, Soak.threaded),
}
_ALL = sum(share for share, _ in _KINDS.values())
_WEIGHTS = {"async callers": _THREADS, "threads": _THREADS, "files": 2, "a fork": 2, "a snapshot and its restoring": 2}


def growth(points: list[Point]) -> list[str]:
    """Return what grew from the second point, when all caches are warm, to the last; nothing is what is wanted."""
    first, last = points[1], points[-1]
    found: list[str] = []
    if last.resident > first.resident * 1.1 + _SLACK:
        found.append(f"memory: {first.resident / MIB:.0f} to {last.resident / MIB:.0f} MiB")
    if last.files > first.files + 4:
        found.append(f"open files: {first.files} to {last.files}")
    if last.threads > first.threads + 4:
        found.append(f"threads: {first.threads} to {last.threads}")
    return found


def main() -> None:
    """Soak, and say what grew; note the result where ``--note`` says so."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="default 1,000,000")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--note", action="store_true", help="write the result down for docs/security/attacks.md")
    asked = parser.parse_args()
    seed = random.randrange(1 << 30) if asked.seed is None else asked.seed
    soak, points, started = Soak(seed), list[Point](), time.monotonic()
    with progress("soaking", asked.runs) as tell:
        for _ in range(POINTS):
            soak.run(asked.runs // POINTS, tell)
            points.append(soak.point())
            print(_shown(points[-1]), flush=True)
    found = growth(points)
    for problem in found:
        print(f"grew: {problem}")
    if asked.note:
        table = {f"after {point.runs:,} runs": _shown(point) for point in points}
        numbers = {"seed": seed, "runs": soak.runs, "kinds of runs": len(soak.kinds), **table}
        note_result("soak", {**numbers, "grew": "; ".join(found) or "nothing"}, time.monotonic() - started)
    soak.close()
    sys.stdout.flush()
    os._exit(1 if found else 0)


def _shown(point: Point) -> str:
    facts = asdict(point)
    return (
        f"{facts['resident'] / MIB:.0f} MiB, {facts['files']} files, {facts['threads']} threads, a run takes "
        f"{facts['median'] * 1e6:.0f} µs (of a hundred the slowest {facts['slowest'] * 1e6:.0f})"
    )


if __name__ == "__main__":
    main()
