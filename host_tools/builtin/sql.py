"""SQL queries on a database of the host, kept read-only by the database's own means, not by reading statements."""

import sqlite3
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import Any

from cloche.host_tools.errors import ToolRejected
from cloche.host_tools.tools import Tool
from cloche.runtime._imports import need
from cloche.runtime.errors import ConfigurationError

__all__ = ["Guard", "SqlQuery", "read_only"]


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


_MOST_DESCRIBED = 50


class SqlQuery(Tool):
    """Run one SQL statement and return its rows, each as a dict by column.

    Args:
        query: the statement; write values as :name
        parameters: the values by name
    """

    name = "sql_query"

    def __init__(
        self,
        database: Any,
        *,
        writable: bool = False,
        rows: int = 1_000,
        time: float = 10.0,
        describe: bool = True,
    ) -> None:
        """Query ``database``, an SQLAlchemy URL or Engine.

        Read-only by default, by the database's own means: an authoriser in SQLite, a read-only transaction in
        PostgreSQL and MySQL, whose user should have few rights besides; other databases are refused unless
        ``writable``. With ``writable`` each statement is committed, and takes as long as it takes. ``rows`` caps
        what is returned, ``time`` (seconds) ends read-only queries in SQLite and PostgreSQL. With ``describe`` the
        tool's help names the tables and their columns.

        Raises ConfigurationError where the extra ``cloche[sql]`` is not installed or the database cannot be kept
        read-only.
        """
        self._sqlalchemy: Any = need("sqlalchemy", "sql")
        self._engine: Any = self._sqlalchemy.create_engine(database) if isinstance(database, str) else database
        self._rows = rows
        self._time = time
        self._guard: Any = None if writable else read_only(self._engine.dialect.name)
        if describe:
            self.description = f"{self.description}\n\n{self._tables()}"
            self._tool_documentation = f"{self._tool_documentation}\n\n{self._tables()}"

    def forward(self, query: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run the statement."""
        try:
            with self._engine.connect() as connection:
                return self._run(connection, query, parameters or {})
        except self._sqlalchemy.exc.DBAPIError as error:
            raise ToolRejected("ValueError", f"the database refused: {str(error.orig)[:1_000]}") from error
        except self._sqlalchemy.exc.SQLAlchemyError as error:
            raise ToolRejected("ValueError", f"the statement cannot be run: {str(error)[:1_000]}") from error

    def _run(self, connection: Any, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        statement = self._sqlalchemy.text(query)
        if self._guard is None:
            rows = self._fetch(connection.execute(statement, parameters))
            connection.commit()
            return rows
        with self._guard(connection, query, self._time):
            return self._fetch(connection.execute(statement, parameters))

    def _fetch(self, result: Any) -> list[dict[str, Any]]:
        if not result.returns_rows:
            return []
        names = _distinct(list(result.keys()))
        found = result.fetchmany(self._rows + 1)
        if len(found) > self._rows:
            problem = f"more than {self._rows} rows: add LIMIT, or count, sum or filter in the statement"
            raise ToolRejected("ValueError", problem)
        return [dict(zip(names, row, strict=True)) for row in found]

    def _tables(self) -> str:
        inspector = self._sqlalchemy.inspect(self._engine)
        names = inspector.get_table_names()
        lines = [f"    {name}({_columns(inspector.get_columns(name))})" for name in names[:_MOST_DESCRIBED]]
        more = [f"    and {len(names) - _MOST_DESCRIBED} more tables"] if len(names) > _MOST_DESCRIBED else []
        return "\n".join([f"The database is {self._engine.dialect.name}. Its tables:", *lines, *more])


def _columns(columns: list[dict[str, Any]]) -> str:
    return ", ".join(f"{column['name']} {column['type']}" for column in columns)


def _distinct(names: list[str]) -> list[str]:
    """Number the names that come twice, as ``id`` does after a join: ``id``, ``id_2``."""
    return [
        f"{name}_{names[:index].count(name) + 1}" if name in names[:index] else name for index, name in enumerate(names)
    ]
