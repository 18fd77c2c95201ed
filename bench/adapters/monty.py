"""pydantic-monty: an interpreter of its own for a subset of Python, in worker processes."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from cloche.bench.adapters.base import Kept, Run, Runner

__all__ = ["MontyAdapter"]

_monty: Any = import_module("pydantic_monty")
# Each session has a worker process: enough of them for the task that keeps a thousand.
_WORKERS = 1_100
_CALLS = 1_000_000


class MontyAdapter(Runner):
    """One pool of workers, warm; a checkout for each program or session."""

    def __init__(self, tools: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(tools)
        self._pool: Any = _monty.Monty(max_processes=_WORKERS)
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
            while not isinstance(now, _monty.FunctionSnapshot):
                now = now.resume_auto()
            yield now.dump

    def resumed(self, data: bytes, value: Any) -> Any:
        """Load it in another worker and resume it there."""
        with self._pool.checkout() as session:
            return session.load_snapshot(data).resume({"return_value": value}).output

    def close(self) -> None:
        """Stop the workers."""
        self._pool.__exit__(None, None, None)
