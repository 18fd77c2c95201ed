"""Many sessions at once: what each costs while it waits."""

import gc
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from time import perf_counter

from cloche.bench.adapters.base import Run, Runner
from cloche.bench.tasks.base import GaveUp, Sample, expect
from cloche.bench.tasks.private import private_bytes

__all__ = ["open_live", "open_memory"]

SESSIONS = 1_000
_FEW = 25
_SECONDS = 20.0
_BYTES = 3 << 30
_WORKING_SET = "data = 'x' * 1000000"


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
    until, base = perf_counter() + _SECONDS, private_bytes()

    def enough(count: int) -> bool:
        # Adding up the memory of many processes takes long, so it is not done for each session.
        return perf_counter() > until or (count % 20 == 0 and private_bytes() - base > _BYTES)

    return enough
