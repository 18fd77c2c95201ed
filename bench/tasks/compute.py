"""Programs that only compute; and what threads cost inside one."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cloche.bench.adapters.base import Run, Runner, Unsupported
from cloche.bench.tasks.base import Sample, expect, seconds

__all__ = ["PROGRAMS", "THREADS", "open_program", "open_threads_inside", "program"]

_FOLDER = Path(__file__).parents[1] / "programs"
PROGRAMS = sorted(path.stem for path in _FOLDER.glob("*.py") if path.stem != "__init__")


def program(name: str) -> str:
    """Return one of the programs, as text."""
    return (_FOLDER / f"{name}.py").read_text(encoding="utf-8")


def open_program(name: str) -> Callable[[Runner], AbstractContextManager[Sample]]:
    """Return a task's opener: the whole program in a warm session. It has to answer what CPython does."""

    @contextmanager
    def opened(runner: Runner) -> Generator[Sample, None, None]:
        text = program(name)
        code = text + runner.value
        with _place(runner) as run:
            expect(run(code), _answer(text))
            yield lambda: {f"compute.{name}": seconds(run, code)}

    return opened


THREADS = {
    "threads.start": "for _ in range({count}):\n    one = threading.Thread(target=int)\n    one.start(); one.join()",
    "threads.queue": "for number in range({count}):\n    there.put(number)\n    back.get()",
    "threads.executor": "with ThreadPoolExecutor(4) as pool:\n    list(pool.map(abs, range({count})))",
}
"""Programs that start a thread and wait for it, have another one answer, or leave a call to one of four."""
_SETUP = """
import queue, threading
from concurrent.futures import ThreadPoolExecutor

def answer():
    while True:
        back.put(there.get())

there, back = queue.Queue(), queue.Queue()
threading.Thread(target=answer, daemon=True).start()
"""
_COUNT = 200


def open_threads_inside(metric: str) -> Callable[[Runner], AbstractContextManager[Sample]]:
    """Return a task's opener: one of :data:`THREADS` in a warm session; the seconds are those of one time."""

    @contextmanager
    def opened(runner: Runner) -> Generator[Sample, None, None]:
        with runner.session() as run:
            run(runner.opening + _SETUP)
            expect(run("there.put(41)\nresult = back.get() + 1" + runner.value), 42)
            code = THREADS[metric].format(count=_COUNT)
            yield lambda: {metric: seconds(run, code) / _COUNT}

    return opened


@contextmanager
def _place(runner: Runner) -> Generator[Run, None, None]:
    """Give a session, or a fresh isolate for each run where there are no sessions: its start then counts."""
    with ExitStack() as stack:
        try:
            run = stack.enter_context(runner.session())
        except Unsupported:
            run = runner.fresh
        yield run


def _answer(text: str) -> Any:
    names: dict[str, Any] = {}
    exec(text, names)  # noqa: S102 - the benchmark's own program
    return names["result"]
