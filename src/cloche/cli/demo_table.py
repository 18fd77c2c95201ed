"""The demo's table: one line for each program on a wide terminal, and its outcome below its name on a narrow one."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cloche.cli.demo_report import Report
from cloche.cli.harmless import one_line
from cloche.cli.shown import brief_repr
from cloche.runtime.errors import GuestError, GuestException

__all__ = ["demo_table", "outcome_text"]

_COLUMNS = ("fuel", "time", "memory", "calls")
_LONGEST = 200
# Below this many columns an outcome beside its program's name and its numbers has no room to be read.
_WIDE = 120
# Two lines of what a terminal of 80 columns leaves beside the numbers.
_STACKED_LONGEST = 92


def demo_table(reports: Iterable[Report], running: str = "", seconds: float = 0.0, *, width: int = 80) -> Table:
    """Return the table so far, for a terminal of ``width`` columns; ``running`` runs now, since so many seconds."""
    stacked = width < _WIDE
    table = _empty_table(stacked)
    for report in reports:
        outcome = outcome_text(report, _STACKED_LONGEST if stacked else _LONGEST)
        table.add_row(*_cells(_name(report), outcome, stacked), *_numbers(report))
    if running:
        now = _cells(Text(f"… {running}", "dim"), Text("running", "dim"), stacked)
        table.add_row(*now, "", Text(_time(seconds), "dim"), "", "")
    return table


def outcome_text(report: Report, longest: int = _LONGEST) -> Text:
    """Return the outcome on one line: the value, or the error by its type. What the guest wrote stays plain text."""
    if report.crash is not None:
        return Text(one_line(f"{report.deviation}: {type(report.crash).__name__}: {report.crash}", longest), "bold red")
    outcome = _outcome(report, longest)
    if report.deviation:
        return Text(f"{one_line(report.deviation, longest)}, got ", "bold red").append_text(outcome)
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


def _outcome(report: Report, longest: int) -> Text:
    result = report.last
    if result is None:
        return Text("not run")
    if result.error is None:
        return Text(brief_repr(result.value, longest), "green")
    return _error_text(result.error, longest)


def _error_text(error: GuestError, longest: int) -> Text:
    """Tell the program's own exceptions from the sandbox's errors by words too: a program may name a class anything."""
    if isinstance(error, GuestException):
        return Text("raised ", "yellow").append(one_line(str(error), longest), "default")
    return Text(f"ended by {type(error).__name__}: ", "magenta").append(one_line(str(error), longest), "default")


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
