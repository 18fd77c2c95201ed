"""Peers in Python alone: ``exec`` in this process (the baseline), an executor that walks trees, and a new process."""

import ast
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

from cloche.bench.adapters.base import MODULES, Run, Runner

__all__ = ["ExecAdapter", "LocalExecutorAdapter", "SubprocessAdapter"]


class ExecAdapter(Runner):
    """``exec`` in a dictionary."""

    value = ""

    def fresh(self, code: str) -> Any:
        """Run in a new dictionary."""
        return _run(dict(self.tools), code)

    @contextmanager
    def session(self) -> Generator[Run, None, None]:
        """Run in one dictionary."""
        yield partial(_run, dict(self.tools))


def _run(names: dict[str, Any], code: str) -> Any:
    exec(code, names)  # noqa: S102 - this peer is exec
    return names.get("result")


class SubprocessAdapter(Runner):
    """This interpreter, started anew for each program."""

    value = "\nprint(repr(result))"

    def fresh(self, code: str) -> Any:
        """Start a process, wait for its end and read what it printed."""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        return ast.literal_eval(done.stdout) if done.stdout else None


class LocalExecutorAdapter(Runner):
    """smolagents' executor, which walks a syntax tree in Python; a new one for each program or session."""

    package = "smolagents.local_python_executor"

    def __init__(self, tools: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(tools)
        self._local: Any = import_module(self.package)

    def fresh(self, code: str) -> Any:
        """Run in a new executor."""
        return self._executor()(code).output

    @contextmanager
    def session(self) -> Generator[Run, None, None]:
        """Run in one executor."""
        executor = self._executor()
        yield lambda code: executor(code).output

    def _executor(self) -> Any:
        executor = self._local.LocalPythonExecutor(list(MODULES))
        executor.send_tools(self.tools)
        return executor
