"""The demo's programs, with their tools, their limits and what is expected of them."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from importlib import resources

from cloche.cli.demo_expectations import Ends, Expectation, Gives, Raises
from cloche.cli.demo_tools.database import Database
from cloche.cli.demo_tools.leads import company_profile, list_leads
from cloche.cli.demo_tools.memo import Memo
from cloche.cli.demo_tools.numbers import convert, factorial, prime_checker
from cloche.cli.demo_tools.till import pay, price
from cloche.cli.demo_tools.waiting import Desk, Prices
from cloche.host_tools import Tool
from cloche.runtime.errors import FuelExhausted, MemoryExceeded, OutputExceeded, TimeExceeded
from cloche.runtime.limits import Limits

__all__ = ["PROGRAMS", "Program", "demo_file"]

ToolMaker = Callable[[ExitStack], Sequence[Tool]]
"""Makes the tools of one program; what has to be closed after it goes on the stack."""

_CELL = "# %%\n"


def demo_file(name: str) -> str:
    """Return a program or data file of the demo."""
    return resources.files("cloche.cli").joinpath("demo_programs", name).read_text(encoding="utf-8")


def _no_tools(_: ExitStack) -> Sequence[Tool]:
    return ()


@dataclass(frozen=True, slots=True)
class Program:
    """One program of the demo. ``files`` are put into its sandbox first; ``naughty`` ones should come to nothing.

    One that waits for leave runs in two processes; ``given`` are its tools as the first one is given them.
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
    return Memo().tools()


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
    stack.callback(desk.go_home)
    return desk.tools()


def _naughty(name: str, expected: Expectation, tools: ToolMaker = _no_tools, limits: Limits | None = None) -> Program:
    return Program(name, expected, tools, limits or Limits(), naughty=True)


_LEADS = [
    {"name": "Ada Lund", "company": "Fjordkraft", "score": 26.4},
    {"name": "Bo Ek", "company": "Papir & Co", "score": 12.5},
]
_REGIONS = {"east": Decimal("500.10"), "north": Decimal("220.00"), "south": Decimal("100.00")}
_RECEIPTS = ["paid 43 to Ann's", "8 put on the bill of Bob's"]
_TILL = "cloche.cli.demo_tools.till"
_STATISTICS = {
    "share of 'it'": Fraction(1, 6),
    "due": date(2024, 3, 1),
    "repeated": {"it", "was", "the", "of"},
}

PROGRAMS: Sequence[Program] = (
    Program("primes", Gives({"number": 3628800, "prime": False, "neighbours": [3628789, 3628811]}), _calculator),
    Program("units", Gives(11.21), _calculator),
    Program("wrong_call", Gives(19.3), _calculator),
    Program("notes", Gives("3 people in Oslo on 2026-03-14"), _memo),
    Program("leads", Gives(_LEADS), _crm),
    Program("sql", Gives({"best": "Havn", "total": 405, "customers": 3}), _database),
    Program("csv_summary", Gives(_REGIONS), files=("sales.csv",)),
    Program("text_statistics", Gives(_STATISTICS)),
    Program("session", Gives({"top": ("the", 4), "in the file": 8})),
    Program("fan_out", Gives({"city": "Accra", "price": 64}, together=True), _prices),
    Program("approval", Gives(_RECEIPTS), _till, given=(f"{_TILL}:price", f"{_TILL}:pay")),
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
