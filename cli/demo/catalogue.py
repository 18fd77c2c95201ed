"""The demo's programs, with their tools, their limits and their expected outcomes."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from importlib import resources
from typing import Any, Protocol

from cloche.cli.demo.tools import (
    Database,
    DemoNotes,
    Desk,
    Prices,
    company_profile,
    convert,
    factorial,
    list_leads,
    pay,
    price,
    prime_checker,
)
from cloche.cli.output import brief_repr
from cloche.host_tools import Tool
from cloche.runtime.errors import (
    FuelExhausted,
    GuestError,
    GuestException,
    MemoryExceeded,
    OutputExceeded,
    TimeExceeded,
)
from cloche.runtime.limits import Limits
from cloche.runtime.result import Result, ToolCallRecord

__all__ = ["PROGRAMS", "DemoProgram", "Ends", "Expectation", "Gives", "Raises", "demo_file"]

ToolMaker = Callable[[ExitStack], Sequence[Tool]]
"""Makes the tools of one program; what has to be closed after it is pushed to the stack."""
_CELL = "# %%\n"


class Expectation(Protocol):
    """One program's expected outcome."""

    def deviation(self, result: Result[Any]) -> str:
        """Return what is not as expected; empty if all is."""
        ...


@dataclass(frozen=True, slots=True)
class Gives:
    """The program ends well with this value; with ``together`` all its tool calls ran at the same time."""

    value: Any
    together: bool = False

    def deviation(self, result: Result[Any]) -> str:
        """Return what is not as expected; empty if all is."""
        if result.error is not None or result.value != self.value:
            return f"expected the value {brief_repr(self.value, 80)}"
        if self.together and not _overlap(result.calls):
            return "expected the tool calls to run at the same time"
        return ""


@dataclass(frozen=True, slots=True)
class Raises:
    """The program ends with an exception of its own, of this class name, whose text holds ``saying``."""

    type_name: str
    saying: str = ""

    def deviation(self, result: Result[Any]) -> str:
        """Return what is not as expected; empty if all is."""
        error = result.error
        if isinstance(error, GuestException) and error.type_name == self.type_name and self.saying in error.message:
            return ""
        return f"expected the program to raise {self.type_name}"


@dataclass(frozen=True, slots=True)
class Ends:
    """The sandbox ends the program with this error."""

    error: type[GuestError]

    def deviation(self, result: Result[Any]) -> str:
        """Return what is not as expected; empty if all is."""
        return "" if type(result.error) is self.error else f"expected {self.error.__name__}"


def _overlap(calls: list[ToolCallRecord]) -> bool:
    """Return whether the last call began before the first one ended."""
    return bool(calls) and max(call.started for call in calls) < min(
        call.started + (call.seconds or 0.0) for call in calls
    )


def demo_file(name: str) -> str:
    """Return a program or data file of the demo."""
    return resources.files("cloche.cli.demo").joinpath("programs", name).read_text(encoding="utf-8")


def _no_tools(_: ExitStack) -> Sequence[Tool]:
    return ()


@dataclass(frozen=True, slots=True)
class DemoProgram:
    """One program of the demo. ``files`` are put into its sandbox first; ``naughty`` ones should fail.

    One that waits for approval runs in two processes; ``given`` are the first one's ``--tool`` flags.
    """

    name: str
    expected: Expectation
    tools: ToolMaker = _no_tools
    limits: Limits = Limits()  # noqa: RUF009  (immutable)
    files: tuple[str, ...] = ()
    naughty: bool = False
    given: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The whole program."""
        return demo_file(f"{self.name}.py")

    @property
    def cells(self) -> list[str]:
        """The pieces that run one after the other in one session."""
        return self.source.split(_CELL)


def _calculator(_: ExitStack) -> Sequence[Tool]:
    return (factorial, prime_checker, convert)


def _crm(_: ExitStack) -> Sequence[Tool]:
    return (list_leads, company_profile)


def _memo(_: ExitStack) -> Sequence[Tool]:
    return DemoNotes().tools()


def _database(stack: ExitStack) -> Sequence[Tool]:
    database = Database()
    stack.callback(database.close)
    return database.tools()


def _prices(_: ExitStack) -> Sequence[Tool]:
    return Prices().tools()


def _till(_: ExitStack) -> Sequence[Tool]:
    return (price, pay)


def _desk(stack: ExitStack) -> Sequence[Tool]:
    desk = Desk()
    stack.callback(desk.close)
    return desk.tools()


def _naughty(
    name: str, expected: Expectation, tools: ToolMaker = _no_tools, limits: Limits | None = None
) -> DemoProgram:
    return DemoProgram(name, expected, tools, limits or Limits(), naughty=True)


_LEADS = [
    {"name": "Ada Lund", "company": "Fjordkraft", "score": 26.4},
    {"name": "Bo Ek", "company": "Papir & Co", "score": 12.5},
]
_REGIONS = {"east": Decimal("500.10"), "north": Decimal("220.00"), "south": Decimal("100.00")}
_RECEIPTS = ["paid 43 to Ann's", "8 put on the bill of Bob's"]
_TILL = "cloche.cli.demo.tools"
_STATISTICS = {
    "share of 'it'": Fraction(1, 6),
    "due": date(2024, 3, 1),
    "repeated": {"it", "was", "the", "of"},
}

PROGRAMS: Sequence[DemoProgram] = (
    DemoProgram("primes", Gives({"number": 3628800, "prime": False, "neighbours": [3628789, 3628811]}), _calculator),
    DemoProgram("units", Gives(11.21), _calculator),
    DemoProgram("wrong_call", Gives(19.3), _calculator),
    DemoProgram("notes", Gives("3 people in Oslo on 2026-03-14"), _memo),
    DemoProgram("leads", Gives(_LEADS), _crm),
    DemoProgram("sql", Gives({"best": "Havn", "total": 405, "customers": 3}), _database),
    DemoProgram("csv_summary", Gives(_REGIONS), files=("sales.csv",)),
    DemoProgram("text_statistics", Gives(_STATISTICS)),
    DemoProgram("session", Gives({"top": ("the", 4), "in the file": 8})),
    DemoProgram("fan_out", Gives({"city": "Accra", "price": 64}, together=True), _prices),
    DemoProgram("approval", Gives(_RECEIPTS), _till, given=(f"{_TILL}:price", f"{_TILL}:pay")),
    _naughty("endless_loop", Ends(FuelExhausted), limits=Limits(fuel=500_000_000)),
    _naughty("stubborn_loop", Ends(TimeExceeded), limits=Limits(fuel=None, time=1.0)),
    _naughty("memory_bomb", Ends(MemoryExceeded), limits=Limits(memory="128 MiB")),
    _naughty("output_flood", Ends(OutputExceeded)),
    _naughty("deep_recursion", Raises("RecursionError")),
    _naughty("passwd", Raises("FileNotFoundError")),
    _naughty("network", Raises("gaierror", "there is no network")),
    _naughty("curious", Gives([])),
    _naughty("unregistered_tool", Raises("NameError", "delete_all_customers")),
    _naughty("stuck_tool", Ends(TimeExceeded), _desk, Limits(time=0.5)),
    _naughty("terminal_tricks", Raises("ValueError")),
)
"""Every program of the demo, the good ones first."""
