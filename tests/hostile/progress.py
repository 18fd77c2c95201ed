"""A progress bar for long work, on the terminal or, now and then, as a line of a log."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["progress"]

_SECONDS = 30.0


@contextmanager
def progress(what: str, total: int) -> Generator[Callable[[int], None]]:
    """Show how much of ``total`` is done, as told by calls of what is yielded."""
    if not sys.stderr.isatty():
        yield _Log(what, total).tell
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


class _Log:
    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._done, self._next = 0, time.monotonic() + _SECONDS

    def tell(self, done: int) -> None:
        self._done += done
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS
            print(f"{self._what}: {self._done:,} of {self._total:,}", file=sys.stderr, flush=True)
