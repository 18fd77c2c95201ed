"""What every peer's adapter offers."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

__all__ = ["MODULES", "Kept", "Run", "Runner", "Unsupported"]

Run = Callable[[str], Any]
"""Runs one program in a session and returns its value."""

MODULES = ("json", "re", "datetime", "decimal", "math", "itertools", "functools", "collections", "random", "time")
"""What programs may import, for the peers that want a list."""


class Unsupported(Exception):
    """The peer has no such thing. The message says so in one sentence."""


@dataclass(frozen=True)
class Kept:
    """A session that can be written down: ``dump`` gives all of it as bytes, ``fork`` another one in its state."""

    run: Run
    dump: Callable[[], bytes]
    fork: Callable[[], AbstractContextManager[Run]]


class Runner:
    """One peer, ready to run programs that may call ``tools``, by name.

    ``value``    what a program's text needs at its end so that the variable ``result`` becomes its value.
    ``awaits``   what stands before a tool call.
    ``opening``  what a session's first program has to begin with.
    ``package``  what has to be importable in the peer's process.
    """

    value = "\nresult"
    awaits = ""
    opening = ""
    package = ""

    def __init__(self, tools: Mapping[str, Callable[..., Any]]) -> None:
        self.tools = dict(tools)

    def fresh(self, code: str) -> Any:
        """Run a program in an isolate of its own, from nothing to nothing, and return its value."""
        raise Unsupported("it runs programs only in sessions")

    def session(self) -> AbstractContextManager[Run]:
        """Return a session; what programs define in it stays until it ends."""
        raise Unsupported("it keeps no state from one run to the next")

    def kept(self) -> AbstractContextManager[Kept]:
        """Return a session that can be written down."""
        raise Unsupported("it cannot write a session down, as far as its adapter knows")

    def restored(self, data: bytes) -> AbstractContextManager[Run]:
        """Return a session in the state that was written down."""
        raise Unsupported("it cannot write a session down, as far as its adapter knows")

    def paused(self, code: str) -> AbstractContextManager[Callable[[], bytes]]:
        """Run a program up to its first tool call; give the function that writes it down in the middle."""
        raise Unsupported("it cannot write a program down in the middle, as far as its adapter knows")

    def resumed(self, data: bytes, value: Any) -> Any:
        """Let the tool call of a program that was written down return a value, and return the program's."""
        raise Unsupported("it cannot write a program down in the middle, as far as its adapter knows")

    def waiting(self, programs: int, look: Callable[[], None]) -> tuple[float, int]:
        """Have so many programs wait a second for a host function at once; return all of the time, and the threads.

        ``look`` is called twice a second meanwhile.
        """
        raise Unsupported("it has no way to wait without a thread, as far as its adapter knows")

    def beside(self, endless: Mapping[str, int], short: str, rounds: int) -> tuple[list[float], list[float]]:
        """Run a short program again and again beside endless ones of several accounts, on two threads.

        Return the seconds of each, and the seconds of computing that each account had.
        """
        raise Unsupported("it does not share threads between programs, as far as its adapter knows")

    def awaited(self, calls: int) -> float:
        """Await a program that makes so many calls, one after the other, of a host coroutine that returns at once.

        Return the seconds of one call.
        """
        raise Unsupported("it has no way to wait without a thread, as far as its adapter knows")

    def requests(self, programs: Sequence[str], each: int) -> list[float]:
        """Have programs that compute leave, so many times each, at any moment; return how long each took to do so."""
        raise Unsupported("it cannot leave a program that computes, as far as its adapter knows")

    def pauses(self, code: str, count: int) -> float:
        """Leave an endless program and enter it again, so many times; return the seconds of one."""
        raise Unsupported("it cannot leave a program that computes, as far as its adapter knows")

    def close(self) -> None:
        """Let go of everything. Safe to call twice."""
