"""Programs that only compute."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cloche.bench.adapters.base import Run, Runner, Unsupported
from cloche.bench.tasks.base import Sample, expect, seconds

__all__ = ["PROGRAMS", "open_program"]

_FOLDER = Path(__file__).parents[1] / "programs"
PROGRAMS = sorted(path.stem for path in _FOLDER.glob("*.py") if path.stem != "__init__")


def open_program(name: str) -> Callable[[Runner], AbstractContextManager[Sample]]:
    """Return a task's opener: the whole program in a warm session. It has to answer what CPython does."""

    @contextmanager
    def opened(runner: Runner) -> Generator[Sample, None, None]:
        text = (_FOLDER / f"{name}.py").read_text(encoding="utf-8")
        code = text + runner.value
        with _place(runner) as run:
            expect(run(code), _answer(text))
            yield lambda: {f"compute.{name}": seconds(run, code)}

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
