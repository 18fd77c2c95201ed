"""Runs demo programs, each in a sandbox of its own."""

from contextlib import ExitStack
from typing import Any

from cloche import Sandbox
from cloche.cli.demo_catalogue import Program, demo_file
from cloche.cli.demo_durable import run_in_two_processes
from cloche.cli.demo_report import Report
from cloche.runtime.errors import GuestException
from cloche.runtime.result import Result
from cloche.runtime.session import Session

__all__ = ["DemoRunner"]

_NEIGHBOUR = "6 * 7"


class DemoRunner:
    """Runs one program at a time; :meth:`interrupt` may be called from another thread."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def run(self, program: Program) -> Report:
        """Run one program and report it. Never raises an Exception: one of the host's is the report's ``crash``."""
        results: list[Result[Any]] = []
        try:
            with ExitStack() as stack:
                deviation = self._run(program, stack, results)
        except Exception as error:  # the demo shows that none ever comes out, so it has to look
            return Report(program, results, "an error came out of the sandbox", crash=error)
        return Report(program, results, deviation)

    def interrupt(self) -> None:
        """End the program that is running, if any."""
        if self._session is not None:
            self._session.interrupt()

    def _run(self, program: Program, stack: ExitStack, results: list[Result[Any]]) -> str:
        box = Sandbox(tools=program.tools(stack), limits=program.limits)
        if program.given:
            results.append(run_in_two_processes(program, box, self._began))
        else:
            with box.session() as self._session:
                self._run_cells(program, self._session, results)
        return program.expected.deviation(results[-1]) or _neighbour_problem(box, results[-1])

    def _began(self, session: Session) -> None:
        self._session = session

    def _run_cells(self, program: Program, session: Session, results: list[Result[Any]]) -> None:
        for name in program.files:
            session.put_file(name, demo_file(name).encode())
        for cell in program.cells:
            results.append(session.run(cell))
            if not results[-1].ok:
                break


def _neighbour_problem(box: Sandbox, result: Result[Any]) -> str:
    """Check, after a program that was ended, that the next run on this host is well."""
    if result.ok or isinstance(result.error, GuestException):
        return ""
    neighbour = box.run(_NEIGHBOUR)
    return "" if neighbour.value == 42 else f"the next run was not well: {neighbour!r}"
