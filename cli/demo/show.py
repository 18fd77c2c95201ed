"""The demo on the terminal: a table that grows while programs run."""

import time
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cloche import Sandbox
from cloche.cli.demo.catalogue import DemoProgram
from cloche.cli.demo.runner import DemoRunner, Report
from cloche.cli.output import brief_repr
from cloche.cli.worker import Worker
from cloche.runtime._terminal import one_line
from cloche.runtime.errors import GuestError, GuestException

__all__ = ["DemoShow", "demo_table", "outcome_text"]

_FIRST_USE = "compiling the guest image for this machine, once"
# A cached image loads in milliseconds: only a wait that lasts is explained.
_WORTH_SAYING = 1.0
_COLUMNS = ("fuel", "time", "memory", "calls")
_MAX_OUTCOME = 200
# Below this many columns an outcome beside its program's name and its numbers has no room to be read.
_WIDE = 120
# Two lines of what a terminal of 80 columns leaves beside the numbers.
_MAX_STACKED = 92


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
        self._console.print(f"guest image ready{note if seconds > _WORTH_SAYING else f' in {seconds * 1000:.0f} ms'}")

    def run(self, programs: Sequence[DemoProgram]) -> list[Report]:
        """Run the programs one after the other. Ctrl-C ends the running one and raises KeyboardInterrupt."""
        reports: list[Report] = []
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            for program in programs:
                self._announce(program, len(reports) + 1, len(programs))
                reports.append(self._run(program, reports, live))
        self._console.print(self._table(reports))
        return reports

    def summary(self, reports: Iterable[Report], seconds: float) -> None:
        """Print how many programs did what is expected, and the totals."""
        deviating = [report.program.name for report in reports if report.deviation]
        if deviating:
            self._console.print(Text(f"not as expected: {', '.join(deviating)}", "bold red"))
        else:
            self._console.print(Text(f"all as expected in {seconds:.1f} s; the host still works", "bold green"))

    def _run(self, program: DemoProgram, reports: list[Report], live: Live) -> Report:
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

    def _announce(self, program: DemoProgram, number: int, count: int) -> None:
        if not self._console.is_terminal:
            print(f"{number}/{count} {program.name}", flush=True)


def demo_table(reports: Iterable[Report], running: str = "", seconds: float = 0.0, *, width: int = 80) -> Table:
    """Return the table so far, for a terminal of ``width`` columns; ``running`` has been running for ``seconds``."""
    stacked = width < _WIDE
    table = _empty_table(stacked)
    for report in reports:
        outcome = outcome_text(report, _MAX_STACKED if stacked else _MAX_OUTCOME)
        table.add_row(*_cells(_name(report), outcome, stacked), *_numbers(report))
    if running:
        now = _cells(Text(f"… {running}", "dim"), Text("running", "dim"), stacked)
        table.add_row(*now, "", Text(_time(seconds), "dim"), "", "")
    return table


def outcome_text(report: Report, max_length: int = _MAX_OUTCOME) -> Text:
    """Return the outcome on one line: the value, or the error by its type. What the guest wrote stays plain text."""
    if report.crash is not None:
        return Text(
            one_line(f"{report.deviation}: {type(report.crash).__name__}: {report.crash}", max_length), "bold red"
        )
    outcome = _outcome(report, max_length)
    if report.deviation:
        return Text(f"{one_line(report.deviation, max_length)}, got ", "bold red").append_text(outcome)
    return outcome


def _empty_table(stacked: bool) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 0) if stacked else (0, 1),
        title="programs as a model writes them",
        title_style="bold",
        expand=True,
    )
    for title in _titles(stacked):
        # The last of these columns takes all the room that the numbers leave.
        table.add_column(title, ratio=1 if stacked or title == "outcome" else None, overflow="fold")
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _titles(stacked: bool) -> Sequence[str]:
    return ["program and outcome"] if stacked else ["program", "outcome"]


def _cells(name: Text, outcome: Text, stacked: bool) -> list[RenderableType]:
    return [Group(name, Padding(outcome, (0, 0, 0, 2)))] if stacked else [name, outcome]


def _outcome(report: Report, max_length: int) -> Text:
    result = report.last
    if result is None:
        return Text("not run")
    if result.error is None:
        return Text(brief_repr(result.value, max_length), "green")
    return _error_text(result.error, max_length)


def _error_text(error: GuestError, max_length: int) -> Text:
    """Say in words whose error it is, the program's or the sandbox's: a program may name a class anything."""
    if isinstance(error, GuestException):
        return Text("raised ", "yellow").append(one_line(str(error), max_length), "default")
    return Text(f"ended by {type(error).__name__}: ", "magenta").append(one_line(str(error), max_length), "default")


def _name(report: Report) -> Text:
    mark, style = ("✗ ", "bold red") if report.deviation else ("✓ ", "green")
    return Text(mark, style).append(report.program.name, "default")


def _numbers(report: Report) -> list[str]:
    if not report.results:
        return ["-"] * len(_COLUMNS)
    return [_fuel(report.fuel), _time(report.wall), f"{report.memory / (1 << 20):.0f} MiB", str(report.calls)]


def _fuel(units: int) -> str:
    if not units:
        # A guest that had to be left behind with its tool is never asked what it used.
        return "-"
    return f"{units / 1e9:.2f} G" if units >= 999_950_000 else f"{units / 1e6:.1f} M"


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"
