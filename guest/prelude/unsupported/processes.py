"""Processes say why there are none."""

import errno
import subprocess
from typing import Any, NoReturn

from cloche_guest.unsupported.reasons import NO_PROCESSES, put

__all__ = ["install"]


def install() -> None:
    """Make ``subprocess.Popen``, and all that is built on it, raise OSError."""
    put(subprocess.Popen, __init__=_no_processes)


def _no_processes(process: Any, *args: Any, **kwargs: Any) -> NoReturn:
    process._child_created = False  # what Popen.__del__ looks at
    raise OSError(errno.ENOSYS, NO_PROCESSES)
