"""``python -c``: a process of its own for each program, and nothing else around it."""

import ast
import subprocess
import sys
from typing import Any

from cloche.bench.adapters.base import Runner

__all__ = ["Adapter"]


class Adapter(Runner):
    """This interpreter, started anew for each program."""

    value = "\nprint(repr(result))"

    def fresh(self, code: str) -> Any:
        """Start a process, wait for its end and read what it printed."""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        return ast.literal_eval(done.stdout) if done.stdout else None
