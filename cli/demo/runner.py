"""Runs demo programs, each in a sandbox of its own, one of them in two processes."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cloche import Sandbox
from cloche.cli.demo.catalogue import DemoProgram, demo_file
from cloche.cli.exit_codes import ExitCode
from cloche.runtime.errors import GuestException
from cloche.runtime.result import Result
from cloche.runtime.session.session import Session, Suspended
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.snapshots.stores.folder import FolderStore

__all__ = ["DemoRunner", "Report", "run_in_two_processes"]

_NEIGHBOUR = "6 * 7"
_START_SECONDS = 120
"""For a process that starts an interpreter and a program that stops at its first payment."""


@dataclass(frozen=True, slots=True)
class Report:
    """One program's runs, one for each cell, and ``deviation``: what was not as expected, empty if all was.

    ``crash`` is an error of the host, which the sandbox should never raise; there are then no results of that run.
    """

    program: DemoProgram
    results: list[Result[Any]]
    deviation: str
    crash: BaseException | None = None

    @property
    def last(self) -> Result[Any] | None:
        """The run that decides the outcome, if there was one."""
        return self.results[-1] if self.results and self.crash is None else None

    @property
    def fuel(self) -> int:
        """Units of fuel of all runs together."""
        return sum(result.usage.fuel or 0 for result in self.results)

    @property
    def wall(self) -> float:
        """Seconds of all runs together."""
        return sum(result.usage.wall for result in self.results)

    @property
    def memory(self) -> int:
        """Bytes of linear memory at the end."""
        return max((result.usage.memory_peak for result in self.results), default=0)

    @property
    def calls(self) -> int:
        """Tool calls of all runs together."""
        return sum(result.usage.calls for result in self.results)


class DemoRunner:
    """Runs one program at a time; :meth:`interrupt` may be called from another thread."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def run(self, program: DemoProgram) -> Report:
        """Run one program and report it. Never raises an Exception: one of the host's is the report's ``crash``."""
        results: list[Result[Any]] = []
        try:
            with ExitStack() as stack:
                deviation = self._run(program, stack, results)
        except Exception as error:  # the demo shows that the sandbox raises none, so it has to look
            return Report(program, results, "the sandbox raised an error", crash=error)
        return Report(program, results, deviation)

    def interrupt(self) -> None:
        """End the program that is running, if any."""
        if self._session is not None:
            self._session.interrupt()

    def _run(self, program: DemoProgram, stack: ExitStack, results: list[Result[Any]]) -> str:
        box = Sandbox(tools=program.tools(stack), limits=program.limits)
        if program.given:
            results.append(run_in_two_processes(program, box, self._began))
        else:
            with box.session() as self._session:
                self._run_cells(program, self._session, results)
        return program.expected.deviation(results[-1]) or _neighbour_problem(box, results[-1])

    def _began(self, session: Session) -> None:
        self._session = session

    def _run_cells(self, program: DemoProgram, session: Session, results: list[Result[Any]]) -> None:
        for name in program.files:
            session.put_file(name, demo_file(name).encode())
        for cell in program.cells:
            results.append(session.run(cell))
            if not results[-1].ok:
                break


def run_in_two_processes(program: DemoProgram, box: Sandbox, began: Callable[[Session], object]) -> Result[Any]:
    """Start a program in another process, which ends where the program waits; then approve its calls here, to its end.

    ``began`` is called with the session in which it resumes. Raises RuntimeError if the other process ended elsewhere.
    """
    with box.restore(_started_elsewhere(program)) as session:
        began(session)
        return _approve_all(session.suspended)


def _approve_all(now: "Suspended | Result[Any] | None") -> Result[Any]:
    while isinstance(now, Suspended):
        now = now.approve(*(call.id for call in now.calls))
    if now is None:
        raise RuntimeError("no call waits in the session that was kept")
    return now


def _started_elsewhere(program: DemoProgram) -> Snapshot:
    """Start it as a person does at the shell, and return the snapshot that this process leaves."""
    with TemporaryDirectory(prefix="cloche-demo-") as folder:
        command = [sys.executable, "-m", "cloche", "session", "start", program.name, "-", "--store", folder]
        given = [flag for reference in program.given for flag in ("--tool", reference)]
        done = subprocess.run(
            [*command, *given], input=program.source.encode(), capture_output=True, timeout=_START_SECONDS, check=False
        )
        if done.returncode != ExitCode.WAITING:
            raise RuntimeError(f"the first process ended with {done.returncode}: {done.stderr.decode()[-500:]}")
        return FolderStore(Path(folder)).get(program.name)


def _neighbour_problem(box: Sandbox, result: Result[Any]) -> str:
    """Check that the next run on this host works after a program that was ended."""
    if result.ok or isinstance(result.error, GuestException):
        return ""
    neighbour = box.run(_NEIGHBOUR)
    return "" if neighbour.value == 42 else f"the next run failed: {neighbour!r}"
