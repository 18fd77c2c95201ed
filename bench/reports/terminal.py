"""The results as tables on a terminal, and progress while they are measured."""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cloche.bench.bars import BarVerdict, compute_ratio, native_of, verdicts
from cloche.bench.compare import Change
from cloche.bench.metrics import GROUPS, METRICS
from cloche.bench.peers import DEFAULT
from cloche.bench.reports.cells import (
    Cell,
    amount,
    cell,
    failures_in_words,
    metrics_in,
    noise_text,
    order_of,
    ratio_text,
    version_of,
)
from cloche.bench.results import Results
from cloche.bench.tasks.compute import PROGRAMS

__all__ = ["Watching", "show", "show_bars", "show_changes"]

_COLOURS = {"better": "green", "worse": "bold red", "same": "dim", "new": "cyan", "gone": "cyan"}
# Characters of the peers' names, of a column with an amount and a ratio, and of one with a ratio.
_NAMES, _BOTH, _ONE = 14, 22, 12


class Watching:
    """A progress bar over the tasks. Call it with task, peer and round; as a context manager, it tidies up.

    Where the console is no terminal, each task is one plain line instead.
    """

    def __init__(self, console: Console, tasks: list[str]) -> None:
        self._console = console
        self._places = {task: place for place, task in enumerate(tasks)}
        self._last = ""
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._bar: TaskID = self._progress.add_task("", total=len(tasks))

    def __call__(self, task: str, peer: str, number: int) -> None:
        """Show where the run is."""
        what = f"{task}, {peer}" + (f", round {number + 1}" if task in self._places else " (a first use compiles)")
        self._progress.update(self._bar, description=f"{what:46}", completed=self._places.get(task, 0))
        if not self._console.is_terminal and task != self._last:
            self._console.print(task)
        self._last = task

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._progress.stop()


def show(console: Console, results: Results) -> None:
    """Print everything: where, the tables, who gives which isolation, what could not be measured."""
    console.print(Text(_heading(results), "dim"))
    for group, title in GROUPS.items():
        for table in _tables(results, group, title, console.width - _NAMES):
            console.print(Padding(table, (1, 0, 0, 0)))
    console.print(Padding(_isolation(results), (1, 0, 0, 0)))
    console.print(_notes(results))


def show_bars(console: Console, results: Results) -> None:
    """Print the bars, what was measured, and whether that is enough."""
    table = _new("The bars")
    table.add_column("bar", ratio=1)
    for name in ("measured", "must", "ratio", "goal", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    for verdict in verdicts(results):
        bar = verdict.bar
        measured = "not measured" if verdict.measured is None else amount(verdict.measured, bar.unit)
        table.add_row(bar.title, measured, *_bar(verdict, bar.must), *_bar(verdict, bar.goal))
    console.print(Padding(table, (1, 0, 0, 0)))
    native = next((peer for peer in results.peers if peer.name == native_of(results)), None)
    if native is not None:
        console.print(Text(f"native is {native.python}; a ratio is measured over bar", "dim"))


def show_changes(console: Console, found: list[Change]) -> None:
    """Print what changed, and how much of the rest did not."""
    table = _new("What changed")
    for name in ("metric", "peer", "before", "after", "change", ""):
        table.add_column(name, justify="left" if name in ("metric", "peer", "") else "right", no_wrap=True)
    for change in found:
        if change.verdict != "same":
            table.add_row(change.metric, change.peer, *_change(change), Text(change.verdict, _COLOURS[change.verdict]))
    same = sum(change.verdict == "same" for change in found)
    console.print(table if same < len(found) else Text("nothing changed beyond noise", "bold"))
    console.print(Text(f"{same} of {len(found)} the same within noise", "dim"))


def _heading(results: Results) -> str:
    machine = results.machine
    load = "" if machine.load is None else f", load {machine.load:.1f} at the start"
    short = "  A quick look: the numbers say little." if results.quick else ""
    return (
        f"Cloche {results.cloche}, {machine.python}, {machine.system}\n"
        f"{machine.processor}, {machine.cores} cores{load}; measured in {results.seconds:.0f} s.{short}\n"
        f"Medians, then their ratios to {results.baseline}; the spread is in the JSON and the HTML.\n"
        f"{noise_text(results)}"
    )


def _tables(results: Results, group: str, title: str, width: int) -> Iterator[Table]:
    """Return the group's tables, as many columns in each as fit."""
    metrics = metrics_in(results, group)
    if group == "compute":
        for part in _parts(metrics, width // _ONE - 1):
            yield _compute_table(results, part)
        return
    for part in _parts(metrics, width // _BOTH):
        yield _table(results, title, part)


def _parts(metrics: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(metrics), max(1, size)):
        yield metrics[start : start + max(1, size)]


def _new(title: str) -> Table:
    return Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def _table(results: Results, title: str, metrics: list[str]) -> Table:
    """One row for each peer, one column for each metric: the median and its ratio to the baseline."""
    table = _new(title)
    table.add_column("", no_wrap=True)
    for name in metrics:
        table.add_column(METRICS[name].brief, justify="right", no_wrap=True)
    for peer in order_of(results):
        cells = [_cell(cell(results, name, peer)) for name in metrics]
        if any(cells):
            table.add_row(_name(peer), *cells)
    return table


def _compute_table(results: Results, metrics: list[str]) -> Table:
    """One row for each peer, one column for each program: times for the native row, times that for the others."""
    base = native_of(results)
    table = _new(f"{GROUPS['compute']}: times the time of {base}")
    table.add_column("", no_wrap=True)
    for name in metrics:
        table.add_column(METRICS[name].title, justify="right", no_wrap=True)
    table.add_column("all", justify="right", no_wrap=True)
    for peer in [base, *(name for name in order_of(results) if name != base)]:
        found = [cell(results, name, peer, base) for name in metrics]
        cells = [_relative(one, peer == base) for one in found]
        if any(cells):
            table.add_row(_name(peer), *cells, Text() if peer == base else _mean(results, peer))
    return table


def _relative(found: Cell, base: bool) -> Text:
    if found.failed:
        return Text("✗", "red")
    return Text(found.text, "dim") if base else Text(found.ratio)


def _mean(results: Results, peer: str) -> Text:
    mean, count = compute_ratio(results, peer)
    if mean is None:
        return Text()
    # A mean over the easy half only must not pass for one over all.
    rest = "" if count == len(PROGRAMS) else f" of {count}"
    return Text(ratio_text(mean), "bold").append(rest, "red")


def _name(peer: str) -> Text:
    return Text(peer, "bold" if peer == DEFAULT else "")


def _cell(found: Cell) -> Text:
    if found.failed:
        return Text("✗", "red")
    return Text(found.text).append(f"{found.ratio:>10}" if found.ratio else "", "dim")


def _bar(verdict: BarVerdict, bar: float | None) -> tuple[Text, Text]:
    if bar is None:
        return Text(), Text()
    limit = Text(f"≤ {amount(bar, verdict.bar.unit)}")
    if verdict.measured is None:
        return limit, Text("?")
    mark, style = ("✓", "green") if verdict.measured <= bar else ("✗", "bold red")
    return limit, Text(f"{ratio_text(verdict.measured / bar)} {mark}", style)


def _isolation(results: Results) -> Table:
    table = _new("What each of them isolates")
    table.add_column("", no_wrap=True)
    table.add_column("isolation", ratio=1)
    table.add_column("version")
    for peer in results.peers:
        table.add_row(peer.name, peer.isolation, version_of(results, peer))
    return table


def _notes(results: Results) -> RenderableType:
    notes = [Text(f"✗ {peer}: {metrics}\n    {said}", "dim") for peer, metrics, said in failures_in_words(results)]
    notes += [Text(f"absent: {absent.name}: {absent.reason}", "dim") for absent in results.absent]
    return Padding(Group(*notes), (1, 0, 0, 0))


def _change(change: Change) -> tuple[str, str, str]:
    unit = METRICS[change.metric].unit if change.metric in METRICS else ""
    before, after = ("" if found is None else amount(found.median, unit) for found in (change.before, change.after))
    return before, after, "" if change.factor is None else ratio_text(change.factor)
