"""pyeryx: CPython in WebAssembly, under Wasmtime in Rust."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from cloche.bench.adapters.base import Run, Runner

__all__ = ["EryxAdapter"]

_eryx: Any = import_module("eryx")


class EryxAdapter(Runner):
    """A new sandbox for each program; values and arguments travel as JSON; tools are coroutines in the guest."""

    value = ""
    awaits = "await "

    def __init__(self, tools: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(tools)
        self._callbacks = [{"name": name, "fn": function, "description": name} for name, function in tools.items()]

    def fresh(self, code: str) -> Any:
        """Run in a new sandbox."""
        return _value(_eryx.Sandbox(callbacks=self._callbacks).execute(code))

    @contextmanager
    def session(self) -> Generator[Run, None, None]:
        """Run in one session."""
        session = _eryx.Session(callbacks=self._callbacks)
        yield lambda code: _value(session.execute(code))


def _value(done: Any) -> Any:
    if done.result_error:
        raise TypeError(done.result_error)
    return done.result
