"""Fresh isolates per second, from several threads of one process."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from time import perf_counter

from cloche.bench.adapters.base import Runner
from cloche.bench.tasks.base import Sample
from cloche.bench.tasks.fresh import TRIVIAL

__all__ = ["open_threads"]

_SECONDS = 0.5


def open_threads(threads: int) -> Callable[[Runner], AbstractContextManager[Sample]]:
    """Return a task's opener: that many threads run the trivial program in fresh isolates for half a second."""

    @contextmanager
    def opened(runner: Runner) -> Generator[Sample, None, None]:
        with ThreadPoolExecutor(threads) as pool:
            yield lambda: {f"throughput.{threads}": _rate(runner, pool, threads)}

    return opened


def _rate(runner: Runner, pool: ThreadPoolExecutor, threads: int) -> float:
    start = perf_counter()
    counting = [pool.submit(_count, runner, start + _SECONDS) for _ in range(threads)]
    return sum(count.result() for count in counting) / (perf_counter() - start)


def _count(runner: Runner, until: float) -> int:
    count = 0
    while perf_counter() < until:
        runner.fresh(TRIVIAL)
        count += 1
    return count
