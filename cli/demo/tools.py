"""The host tools of the demo: small, typed, with data of their own."""

import asyncio
import math
import sqlite3
import threading
from dataclasses import dataclass
from typing import Any

from cloche.host_tools import Tool, tool

__all__ = [
    "Company",
    "Database",
    "DemoNotes",
    "Desk",
    "Lead",
    "Prices",
    "company_profile",
    "convert",
    "factorial",
    "list_leads",
    "pay",
    "price",
    "prime_checker",
]

_METRES_OR_LITRES = {
    "metre": ("length", 1.0),
    "kilometre": ("length", 1_000.0),
    "mile": ("length", 1_609.344),
    "litre": ("volume", 1.0),
    "gallon": ("volume", 3.785411784),
}
_PRICES = {"tea": 3, "kettle": 40, "cup": 8}
_SCHEMA = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, day TEXT, amount INTEGER);
INSERT INTO customers VALUES (1, 'Nordlys'), (2, 'Havn'), (3, 'Skog');
INSERT INTO orders (customer, day, amount) VALUES
  (1, '2024-12-30', 900), (1, '2025-02-01', 250), (2, '2025-02-07', 310), (3, '2025-05-11', 120), (2, '2025-08-19', 95);
PRAGMA query_only = ON;
"""
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}


@tool(blocking=False)
def factorial(n: int) -> int:
    """Return n! for n up to 1,000."""
    if not 0 <= n <= 1_000:
        raise ValueError("n must be between 0 and 1,000")
    return math.factorial(n)


@tool(blocking=False)
def prime_checker(n: int) -> bool:
    """Return whether n, at most a million million, is a prime number."""
    if n > 10**12:
        raise ValueError("n is too large to check")
    return n > 1 and all(n % divisor for divisor in range(2, math.isqrt(n) + 1))


@tool(blocking=False)
def convert(amount: float, source: str, target: str) -> float:
    """Convert between metre, kilometre and mile, or between litre and gallon (of the US)."""
    try:
        (kind, factor), (other_kind, divisor) = _METRES_OR_LITRES[source], _METRES_OR_LITRES[target]
    except KeyError as error:
        raise ValueError(f"unknown unit {error}; known are {', '.join(_METRES_OR_LITRES)}") from None
    if kind != other_kind:
        raise ValueError(f"{source} is a {kind} and {target} a {other_kind}")
    return amount * factor / divisor


@dataclass(frozen=True)
class Lead:
    """A person who asked for an offer."""

    name: str
    domain: str


@dataclass(frozen=True)
class Company:
    """What is known of a company."""

    name: str
    industry: str
    employees: int


_LEADS = [Lead("Ada Lund", "fjordkraft.example"), Lead("Bo Ek", "papir.example"), Lead("Cy Roe", "unknown.example")]
_COMPANIES = {
    "fjordkraft.example": Company("Fjordkraft", "energy", 640),
    "papir.example": Company("Papir & Co", "print", 1_250),
}


@tool(blocking=False)
def list_leads() -> list[Lead]:
    """Return the open leads of the CRM."""
    return _LEADS


@tool(blocking=False)
def company_profile(domain: str) -> Company | None:
    """Return what is known of the company behind a domain, or None."""
    return _COMPANIES.get(domain)


class DemoNotes:
    """Notes that outlive the sandbox's programs."""

    def __init__(self) -> None:
        self._notes: dict[str, str] = {}

    def tools(self) -> list[Tool]:
        """Return the tools that read and write this memo."""

        @tool(blocking=False)
        def memo_set(key: str, text: str) -> None:
            """Keep a text under a key."""
            self._notes[key] = text

        @tool(blocking=False)
        def memo_get(key: str) -> str:
            """Return the text kept under a key; KeyError if there is none."""
            return self._notes[key]

        @tool(blocking=False)
        def memo_list() -> list[str]:
            """Return the keys in alphabetical order."""
            return sorted(self._notes)

        return [memo_set, memo_get, memo_list]


@tool
def price(item: str) -> int:
    """Return an item's price."""
    return _PRICES[item]


@tool(approval=True)
def pay(amount: int, to: str) -> str:
    """Pay a shop."""
    return f"paid {amount} to {to}"


class Prices:
    """A slow service, which notes how many callers it serves at once."""

    def __init__(self) -> None:
        self.at_once = self.max_at_once = 0

    def tools(self) -> list[Tool]:
        """Return the tool that asks this service."""

        @tool
        async def hotel_price(city: str) -> int:
            """Return the price of a night in a city, after a while."""
            self.at_once += 1
            self.max_at_once = max(self.max_at_once, self.at_once)
            await asyncio.sleep(0.25)
            self.at_once -= 1
            return 40 + sum(city.encode()) % 90

        return [hotel_price]


class Desk:
    """People who answer late: their tool blocks until :meth:`close`, an hour at most."""

    def __init__(self) -> None:
        self._closing = threading.Event()

    def tools(self) -> list[Tool]:
        """Return the tool that waits for these people."""

        @tool
        def approve_refund(order: int) -> bool:
            """Ask a person whether an order may be refunded, and wait for the answer."""
            return self._closing.wait(3_600)

        return [approve_refund]

    def close(self) -> None:
        """Let every waiting call return."""
        self._closing.set()


class Database:
    """A database on the host that programs may only read."""

    def __init__(self) -> None:
        # Tools may be called from any thread; the lock keeps two calls apart.
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        self._lock = threading.Lock()
        self._connection.executescript(_SCHEMA)
        self._connection.set_authorizer(_verdict)

    def tools(self) -> list[Tool]:
        """Return the tools that look into this database."""

        @tool
        def sql_tables() -> list[str]:
            """Return the CREATE statement of each table."""
            return [row["sql"] for row in self._query("SELECT sql FROM sqlite_master WHERE type = 'table'")]

        @tool
        def sql_query(statement: str) -> list[dict[str, Any]]:
            """Run one SELECT statement and return at most 1,000 rows."""
            return self._query(statement)

        return [sql_tables, sql_query]

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _query(self, statement: str) -> list[dict[str, Any]]:
        with self._lock:
            cursor = self._connection.execute(statement)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(1_000)]


def _verdict(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY
