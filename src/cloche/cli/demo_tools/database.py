"""A SQLite database on the host."""

import sqlite3
import threading
from typing import Any

from cloche.host_tools import Tool, tool

__all__ = ["Database"]

_SCHEMA = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, day TEXT, amount INTEGER);
INSERT INTO customers VALUES (1, 'Nordlys'), (2, 'Havn'), (3, 'Skog');
INSERT INTO orders (customer, day, amount) VALUES
  (1, '2024-12-30', 900), (1, '2025-02-01', 250), (2, '2025-02-07', 310), (3, '2025-05-11', 120), (2, '2025-08-19', 95);
PRAGMA query_only = ON;
"""
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}


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
