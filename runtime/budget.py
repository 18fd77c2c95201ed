"""What a session has used in all its runs, and what it may use in all of them."""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from cloche.runtime.errors import BudgetSpent
from cloche.runtime.limits import Limits
from cloche.runtime.result import Usage
from cloche.runtime.sizes import parse_count, parse_seconds, parse_size

__all__ = ["Budget", "Spent"]

_MOST = (1 << 62) - 1


class Spent(NamedTuple):
    """What a session has used since it began, failed and rolled-back runs included.

    ``runs`` started, ``fuel`` units (0 where it is not metered), ``time`` seconds of wall time, ``output`` bytes and
    tool ``calls``. It is part of a snapshot and goes on counting in a restored session, as in each fork.
    """

    runs: int = 0
    fuel: int = 0
    time: float = 0.0
    output: int = 0
    calls: int = 0

    def with_run(self) -> "Spent":
        """Return it with one run more."""
        return Spent(self.runs + 1, self.fuel, self.time, self.output, self.calls)

    def plus(self, usage: Usage) -> "Spent":
        """Return it with what a run, or another request, has used."""
        return Spent(
            self.runs,
            self.fuel + (usage.fuel or 0),
            self.time + usage.wall,
            self.output + usage.output_bytes,
            self.calls + usage.calls,
        )


@dataclass(frozen=True, slots=True, init=False)
class Budget:
    """What one session may use in all its runs together, beside the :class:`Limits` of each; None is no bound.

    ``runs`` programs, ``fuel`` units, ``time`` seconds of wall time, ``output`` bytes on both streams together, and
    tool ``calls``. A run gets what is left where that is less than its limits; where nothing is left, BudgetSpent
    is raised and nothing is run. Restoring a session does not begin its budget anew.

    Raises ConfigurationError naming the field and what to write.
    """

    runs: int | None
    fuel: int | None
    time: float | None
    output: int | None
    calls: int | None

    def __init__(
        self,
        *,
        runs: int | None = None,
        fuel: int | None = None,
        time: float | None = None,
        output: int | str | None = None,
        calls: int | None = None,
    ) -> None:
        self._set("runs", None if runs is None else parse_count("runs", runs, most=_MOST))
        self._set("fuel", None if fuel is None else parse_count("fuel", fuel, most=_MOST))
        self._set("time", None if time is None else parse_seconds("time", time))
        self._set("output", None if output is None else parse_size("output", output, most=_MOST))
        self._set("calls", None if calls is None else parse_count("calls", calls, most=_MOST, least=0))

    def _set(self, name: str, value: float | None) -> None:
        object.__setattr__(self, name, value)

    def as_dict(self) -> dict[str, int | float]:
        """Return the bounds that there are, by name."""
        bounds = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: bound for name, bound in bounds.items() if bound is not None}

    def check(self, spent: Spent) -> None:
        """Raise BudgetSpent where nothing is left for another run."""
        for name, bound in self.as_dict().items():
            used = getattr(spent, name)
            # A program may run with no calls left, but not with no fuel.
            if used >= bound and name != "calls":
                raise BudgetSpent(name, used, bound)

    def within(self, limits: Limits, spent: Spent) -> Limits:
        """Return the limits of the next run: those given, or what is left of the budget where that is less."""
        left = {name: bound - getattr(spent, name) for name, bound in self.as_dict().items() if name != "runs"}
        return limits.replace(**_smaller(limits, left)) if left else limits

    def __reduce__(self) -> tuple[Any, ...]:
        return _budget, (self.as_dict(),)


def _smaller(limits: Limits, left: dict[str, Any]) -> Any:
    """Return what is left where it is less than the limit."""
    now = {name: getattr(limits, name) for name in left}
    return {name: max(0, most) for name, most in left.items() if now[name] is None or most < now[name]}


def _budget(bounds: Any) -> Budget:
    return Budget(**bounds)
