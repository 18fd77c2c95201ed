"""Native CPython: ``exec`` in this very process, the baseline of everything, and ``python -c`` in a new one."""

import ast
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

from cloche.bench.adapters.base import Run, Runner

__all__ = ["ExecAdapter", "SubprocessAdapter"]


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
