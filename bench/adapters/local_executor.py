"""smolagents' local executor: an interpreter of Python's syntax tree, in Python."""

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from cloche.bench.adapters.base import MODULES, Run, Runner

__all__ = ["LocalExecutorAdapter"]

_local: Any = import_module("smolagents.local_python_executor")


class LocalExecutorAdapter(Runner):
    """A new executor for each program or session."""

    def fresh(self, code: str) -> Any:
        """Run in a new executor."""
        return self._executor()(code).output

    @contextmanager
    def session(self) -> Generator[Run, None, None]:
        """Run in one executor."""
        executor = self._executor()
        yield lambda code: executor(code).output

    def _executor(self) -> Any:
        executor = _local.LocalPythonExecutor(list(MODULES))
        executor.send_tools(self.tools)
        return executor
