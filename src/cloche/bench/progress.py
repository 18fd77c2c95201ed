"""What is being measured right now: one line that changes, or nothing where nobody looks."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

__all__ = ["Watching"]


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
