"""Keeping a database's connection read-only, by the database's own means and not by reading the statement."""

import sqlite3
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import Any

from cloche.host_tools.errors import ToolRejected
from cloche.runtime.errors import ConfigurationError

__all__ = ["Guard", "read_only"]

Guard = Callable[[Any, str, float], AbstractContextManager[None]]
"""Takes a connection, a statement and the seconds it may take; run inside, it can change nothing."""

# Instructions of SQLite's virtual machine between two looks at the clock.
_OFTEN = 10_000
_READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_RECURSIVE,
}
# They open files, load code, or read what is not this database's.
_FORBIDDEN_FUNCTIONS = {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"}


def read_only(dialect: str) -> Guard:
    """Return the guard for an SQLAlchemy dialect. Raises ConfigurationError for one that has none."""
    guards: dict[str, Guard] = {"sqlite": _sqlite, "postgresql": _postgresql, "mysql": _mysql, "mariadb": _mysql}
    if dialect not in guards:
        problem = f"{dialect!r} cannot be kept read-only here: give a user without write rights, and writable=True"
        raise ConfigurationError("database", problem)
    return guards[dialect]


@contextmanager
def _sqlite(connection: Any, _: str, seconds: float) -> Generator[None, None, None]:
    raw: sqlite3.Connection = connection.connection.dbapi_connection
    until = monotonic() + seconds
    raw.set_authorizer(_authorize)
    raw.set_progress_handler(lambda: int(monotonic() > until), _OFTEN)
    try:
        yield
    finally:
        raw.set_authorizer(None)
        raw.set_progress_handler(None, 0)
        connection.rollback()


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if str(second).lower() in _FORBIDDEN_FUNCTIONS else sqlite3.SQLITE_OK
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY


@contextmanager
def _postgresql(connection: Any, query: str, seconds: float) -> Generator[None, None, None]:
    _check_single(query)
    connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
    try:
        yield
    finally:
        connection.rollback()


@contextmanager
def _mysql(connection: Any, query: str, _: float) -> Generator[None, None, None]:
    _check_single(query)
    connection.rollback()
    connection.exec_driver_sql("START TRANSACTION READ ONLY")
    try:
        yield
    finally:
        connection.rollback()


def _check_single(query: str) -> None:
    """Refuse several statements in one: the first could end the read-only transaction that the others need."""
    if ";" in query.rstrip().removesuffix(";"):
        problem = "one statement at a time; write text that holds a semicolon as a parameter, :name"
        raise ToolRejected("ValueError", problem)
