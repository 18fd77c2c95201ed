"""What became of one demo program."""

from dataclasses import dataclass
from typing import Any

from cloche.cli.demo_catalogue import Program
from cloche.runtime.result import Result

__all__ = ["Report"]


@dataclass(frozen=True, slots=True)
class Report:
    """One program's runs, one for each cell, and ``deviation``: what was not as expected, empty if all was.

    ``crash`` is an error of the host that should never have come out; there are then no results of that run.
    """

    program: Program
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
