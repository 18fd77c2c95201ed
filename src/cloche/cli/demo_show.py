"""The demo on the terminal: progress while programs run, the table, the summary."""

import time
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cloche import Sandbox
from cloche.cli.demo_catalogue import Program
from cloche.cli.demo_report import Report
from cloche.cli.demo_runner import DemoRunner
from cloche.cli.demo_table import demo_table
from cloche.cli.worker import Worker

__all__ = ["DemoShow"]

_FIRST_USE = "compiling the guest image for this machine, once"
# A cached image loads in milliseconds: only a wait that lasts is explained.
_WORTH_TELLING = 1.0


class DemoShow:
    """Shows the demo on one console; where that is no terminal, each program gets a line when it begins."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._runner = DemoRunner()

    def load_image(self) -> None:
        """Get the guest image ready. Raises ImageError."""
        started = time.perf_counter()
        worker = Worker(lambda: Sandbox().run("None"))
        with self._console.status(_FIRST_USE) as status:
            while not worker.wait():
                status.update(f"{_FIRST_USE}: {time.perf_counter() - started:.1f} s")
        worker.outcome().unwrap()
        seconds = time.perf_counter() - started
        note = f", compiled for this machine and kept for the next time ({seconds:.1f} s)"
        self._console.print(f"guest image ready{note if seconds > _WORTH_TELLING else f' in {seconds * 1000:.0f} ms'}")

    def run(self, programs: Sequence[Program]) -> list[Report]:
        """Run the programs one after the other. Ctrl-C ends the running one and raises KeyboardInterrupt."""
        reports: list[Report] = []
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            for program in programs:
                self._announce(program, len(reports) + 1, len(programs))
                reports.append(self._run(program, reports, live))
        self._console.print(self._table(reports))
        return reports

    def summary(self, reports: Iterable[Report], seconds: float) -> None:
        """Tell how it went."""
        surprises = [report.program.name for report in reports if report.deviation]
        if surprises:
            self._console.print(Text(f"not as expected: {', '.join(surprises)}", "bold red"))
        else:
            self._console.print(Text(f"all as expected in {seconds:.1f} s; the host is well", "bold green"))

    def _run(self, program: Program, reports: list[Report], live: Live) -> Report:
        started = time.perf_counter()
        worker = Worker(lambda: self._runner.run(program))
        try:
            while not worker.wait():
                live.update(self._table(reports, program.name, time.perf_counter() - started), refresh=True)
        except KeyboardInterrupt:
            self._runner.interrupt()
            raise
        return worker.outcome()

    def _table(self, reports: Sequence[Report], running: str = "", seconds: float = 0.0) -> Table:
        return demo_table(reports, running, seconds, width=self._console.width)

    def _announce(self, program: Program, number: int, count: int) -> None:
        if not self._console.is_terminal:
            print(f"{number}/{count} {program.name}", flush=True)
