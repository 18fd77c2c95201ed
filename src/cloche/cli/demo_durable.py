"""A demo program that outlives the process it began in."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cloche import Sandbox
from cloche.cli.demo_catalogue import Program
from cloche.cli.exit_codes import ExitCode
from cloche.runtime.result import Result
from cloche.runtime.session import Session
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.snapshots.stores.folder import FolderStore
from cloche.runtime.suspension.suspended import Suspended

__all__ = ["run_in_two_processes"]

_SECONDS = 120
"""For a process that starts an interpreter and a program that stops at its first payment."""


def run_in_two_processes(program: Program, box: Sandbox, began: Callable[[Session], object]) -> Result[Any]:
    """Start a program in a process of its own, which ends where the program waits; approve all, here, to its end.

    ``began`` is told the session that goes on here. Raises RuntimeError if the other process did not end there.
    """
    with box.restore(_started_elsewhere(program)) as session:
        began(session)
        return _approved(session.suspended)


def _approved(now: "Suspended | Result[Any] | None") -> Result[Any]:
    while isinstance(now, Suspended):
        now = now.approve(*(call.id for call in now.calls))
    if now is None:
        raise RuntimeError("nothing waits in the session that was kept")
    return now


def _started_elsewhere(program: Program) -> Snapshot:
    """Do what a person does at the shell, and return what is left when that process has ended."""
    with TemporaryDirectory(prefix="cloche-demo-") as folder:
        command = [sys.executable, "-m", "cloche", "session", "start", program.name, "-", "--store", folder]
        given = [flag for reference in program.given for flag in ("--tool", reference)]
        done = subprocess.run(
            [*command, *given], input=program.source.encode(), capture_output=True, timeout=_SECONDS, check=False
        )
        if done.returncode != ExitCode.WAITING:
            raise RuntimeError(f"the first process ended with {done.returncode}: {done.stderr.decode()[-500:]}")
        return FolderStore(Path(folder)).get(program.name)
