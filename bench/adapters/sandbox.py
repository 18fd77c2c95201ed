"""Cloche, in each of its ways of metering and of calling tools."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from cloche import Limits, Result, Sandbox, Session, Suspended, tool
from cloche.bench.adapters.base import Kept, Run, Runner
from cloche.runtime.limits import Metering

__all__ = ["ClocheAdapter", "EpochAdapter", "NonblockingAdapter", "UnmeteredAdapter"]

# The longest task takes seconds, and more than the default ten on a machine that has other work. A deadline costs the
# same wherever it is.
_LIMITS = Limits(time=600)


class ClocheAdapter(Runner):
    """Default metering, default limits but for the time, and tools as a plain ``@tool`` makes them."""

    metering: Metering = "fuel"
    tool_options: ClassVar[dict[str, Any]] = {}

    def __init__(self, tools: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(tools)
        wrapped = [tool(name=name, **self.tool_options)(function) for name, function in tools.items()]
        self._box = Sandbox(tools=wrapped, metering=self.metering, limits=_LIMITS)

    def fresh(self, code: str) -> Any:
        """Run in a new guest."""
        return self._box.run(code).unwrap()

    @contextmanager
    def session(self) -> Generator[Run, None, None]:
        """Run in one guest."""
        with self._box.session() as session:
            yield _runner(session)

    @contextmanager
    def kept(self) -> Generator[Kept, None, None]:
        """Run in one guest, as ``session`` does."""
        with self._box.session() as session:
            yield Kept(_runner(session), lambda: bytes(session.snapshot()), lambda: _forked(session))

    @contextmanager
    def restored(self, data: bytes) -> Generator[Run, None, None]:
        """Run in a guest of that snapshot."""
        with self._box.restore(data) as session:
            yield _runner(session)

    @contextmanager
    def paused(self, code: str) -> Generator[Callable[[], bytes], None, None]:
        """Start it so that every call waits."""
        with self._box.session() as session:
            suspended = session.start(code, step=True)
            assert isinstance(suspended, Suspended)
            yield lambda: bytes(suspended.snapshot())

    def resumed(self, data: bytes, value: Any) -> Any:
        """Resume it in a guest of that snapshot."""
        with self._box.restore(data) as session:
            assert session.suspended is not None
            ended = session.suspended.resume({1: value})
            assert isinstance(ended, Result)
            return ended.unwrap()


class NonblockingAdapter(ClocheAdapter):
    """Tools that neither wait nor take long, and say so: they run on the guest's own thread."""

    tool_options: ClassVar[dict[str, Any]] = {"blocking": False}


class EpochAdapter(ClocheAdapter):
    """Interrupted by time only; fuel is not counted."""

    metering = "epoch"


class UnmeteredAdapter(ClocheAdapter):
    """Nothing ends a program that computes."""

    metering = "none"


@contextmanager
def _forked(session: Session) -> Generator[Run, None, None]:
    with session.fork() as fork:
        yield _runner(fork)


def _runner(session: Session) -> Run:
    return lambda code: session.run(code).unwrap()
