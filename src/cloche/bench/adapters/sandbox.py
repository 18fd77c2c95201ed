"""Cloche, in each of its ways of metering and of calling tools."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from cloche import Sandbox, Session, tool
from cloche.bench.adapters.base import Run, Runner
from cloche.runtime.wasm.engine import Metering

__all__ = ["Adapter", "EpochAdapter", "PlainToolsAdapter", "UnmeteredAdapter"]


class Adapter(Runner):
    """Default limits and metering. The tools neither wait nor take long, and say so: ``blocking=False``."""

    metering: Metering = "fuel"
    blocking = False

    def __init__(self, tools: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(tools)
        wrapped = [tool(name=name, blocking=self.blocking)(function) for name, function in tools.items()]
        self._box = Sandbox(tools=wrapped, metering=self.metering)

    def fresh(self, code: str) -> Any:
        """Run in a new guest."""
        return self._box.run(code).unwrap()

    @contextmanager
    def session(self) -> Generator[Run, None, None]:
        """Run in one guest."""
        with self._box.session() as session:
            yield _runner(session)


class PlainToolsAdapter(Adapter):
    """Tools as ``@tool`` makes them: they might block, so each run has a thread that can be left behind."""

    blocking = True


class EpochAdapter(Adapter):
    """Interrupted by time only; fuel is not counted."""

    metering = "epoch"


class UnmeteredAdapter(Adapter):
    """Nothing ends a program that computes."""

    metering = "none"


def _runner(session: Session) -> Run:
    return lambda code: session.run(code).unwrap()
