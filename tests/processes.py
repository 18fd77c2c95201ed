"""Processes that a test starts and never leaves behind."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["ended_afterwards"]


@contextmanager
def ended_afterwards(process: "subprocess.Popen[str]") -> Generator["subprocess.Popen[str]", None, None]:
    """Kill the process at the end of the block if it still runs, whatever happened in the block."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
