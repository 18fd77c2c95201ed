"""The demo's table."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from cloche.cli.demo_report import Report
from cloche.cli.harmless import one_line
from cloche.cli.shown import brief_repr
from cloche.runtime.amounts import bytes_text, count_text

__all__ = ["demo_table", "outcome_text"]

_COLUMNS = ("fuel", "time", "memory", "calls")
_WIDTH = 200


def demo_table(reports: Iterable[Report], running: str = "", seconds: float = 0.0) -> Table:
    """Return the table so far; ``running`` is the program that runs now, since so many seconds."""
    table = Table(title="programs as a model writes them", title_style="bold", header_style="bold", pad_edge=False)
    table.add_column("program", no_wrap=True)
    # On one line each: what does not fit the terminal is cut.
    table.add_column("outcome", no_wrap=True, overflow="ellipsis", ratio=1)
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for report in reports:
        table.add_row(_name(report), outcome_text(report), *_numbers(report))
    if running:
        table.add_row(Text(f"… {running}", "dim"), Text("running", "dim"), "", Text(_time(seconds), "dim"), "", "")
    return table


def outcome_text(report: Report) -> Text:
    """Return the outcome on one line: the value, or the error by its type. What the guest wrote stays plain text."""
    if report.crash is not None:
        return Text(one_line(f"{report.deviation}: {type(report.crash).__name__}: {report.crash}", _WIDTH), "bold red")
    outcome = _outcome(report)
    if report.deviation:
        return Text(f"{one_line(report.deviation, _WIDTH)}, got ", "bold red").append_text(outcome)
    return outcome


def _outcome(report: Report) -> Text:
    result = report.last
    if result is None:
        return Text("not run")
    if result.error is None:
        return Text(brief_repr(result.value, _WIDTH), "green")
    return Text(type(result.error).__name__, "yellow").append(f"  {one_line(str(result.error), _WIDTH)}", "default")


def _name(report: Report) -> Text:
    mark, style = ("✗ ", "bold red") if report.deviation else ("✓ ", "green")
    return Text(mark, style).append(report.program.name, "default")


def _numbers(report: Report) -> list[str]:
    if not report.results:
        return ["-"] * len(_COLUMNS)
    return [count_text(report.fuel), _time(report.wall), bytes_text(report.memory), str(report.calls)]


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
