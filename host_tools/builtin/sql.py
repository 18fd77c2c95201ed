"""SQL queries on a database of the host, kept read-only by the database's own means, not by reading statements."""

import re
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from time import monotonic
from typing import Any, Self

from cloche.host_tools.builtin._sqlite import SqliteReader
from cloche.host_tools.errors import ToolRejected
from cloche.host_tools.tools import Tool
from cloche.runtime._imports import need
from cloche.runtime.errors import ConfigurationError, bytes_text
from cloche.runtime.limits import parse_seconds, parse_size

__all__ = ["SqlQuery"]

_MAX_DESCRIBED = 50
_MAX_STATEMENT = 100_000
_MAX_PARAMETERS = 1_000
# What a value costs beside its content, at least.
_CELL = 50
_CANCELLED_AGAIN = 0.2
_Rows = tuple[Sequence[str], Iterable[Sequence[Any]]]
_Reader = Callable[[str, Mapping[str, Any]], AbstractContextManager[_Rows]]


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
        size: int | str = "1 MiB",
        time: float = 10.0,
        describe: bool = True,
    ) -> None:
        """Query ``database``, an SQLAlchemy URL or Engine.

        Read-only by default, by the database's own means: an authoriser in SQLite, in a process of its own for each
        query, which has limits; a read-only transaction in PostgreSQL and MySQL, whose user should have few rights
        besides. Other databases are refused unless ``writable``. With ``writable`` each statement is committed, and
        takes what it takes.

        ``rows`` and ``size`` (bytes) cap what one query returns, and in SQLite ``size`` each value in between. ``time``
        (seconds) ends read-only queries; in MySQL by a second connection.
        With ``describe`` the tool's help names the tables and their columns.

        Close it, or use it as a context manager, to close the connections to a database that was given as a URL.

        Raises ConfigurationError where the extra ``cloche[sql]`` is not installed or the database cannot be kept
        read-only.
        """
        self._sqlalchemy: Any = need("sqlalchemy", "sql")
        self._engine: Any = self._sqlalchemy.create_engine(database) if isinstance(database, str) else database
        if isinstance(database, str):
            weakref.finalize(self, self._engine.dispose)
            self._owned = self._engine
        else:
            self._owned = None
        self._max_rows = rows
        self._max_bytes = parse_size("size", size, minimum=1, maximum=1 << 30)
        self._read = self._reader(writable, parse_seconds("time", time))
        if describe:
            tables = self._tables()
            self.description = self._tool_lead = f"{self.description}\n\n{tables}"
            self._tool_documentation = f"{self._tool_documentation}\n\n{tables}"

    def forward(self, query: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run the statement."""
        given = parameters or {}
        # What SQLAlchemy and a driver do with a statement takes time and memory for each of its parts.
        if len(query) > _MAX_STATEMENT or len(given) > _MAX_PARAMETERS or query.count(":") > _MAX_PARAMETERS:
            problem = f"a statement has at most {_MAX_STATEMENT:,} characters and {_MAX_PARAMETERS:,} parameters"
            raise ToolRejected("ValueError", problem)
        try:
            with self._read(query, given) as (names, rows):
                return self._fetched(_distinct(list(names)), rows)
        except self._sqlalchemy.exc.DBAPIError as error:
            raise ToolRejected("ValueError", f"the database refused: {str(error.orig)[:1_000]}") from error
        except self._sqlalchemy.exc.SQLAlchemyError as error:
            raise ToolRejected("ValueError", f"the statement cannot be run: {str(error)[:1_000]}") from error

    def close(self) -> None:
        """Close the connections to a database that was given as a URL. Safe to call twice."""
        if self._owned is not None:
            self._owned.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reader(self, writable: bool, time: float) -> _Reader:
        dialect = self._engine.dialect.name
        if writable:
            return self._written
        if dialect == "sqlite":
            self._sqlite = SqliteReader(self._driver_connection, self._max_rows, self._max_bytes, time)
            return self._selected
        reader = {"postgresql": _PostgresReader, "mysql": _MysqlReader, "mariadb": _MysqlReader}.get(dialect)
        if reader is None:
            problem = f"{dialect!r} cannot be kept read-only here: give a user without write rights, and writable=True"
            raise ConfigurationError("database", problem)
        return reader(self._engine.connect, self._sqlalchemy.text, self._max_rows, self._max_bytes, time).rows

    @contextmanager
    def _driver_connection(self) -> Generator[Any, None, None]:
        pool = self._engine.pool
        if isinstance(pool, self._sqlalchemy.StaticPool):
            # One for all threads. To check it out and in again would roll back what another one has begun on it.
            yield pool.connection.dbapi_connection
        else:
            with self._engine.connect() as connection:
                yield connection.connection.dbapi_connection

    @contextmanager
    def _selected(self, query: str, parameters: Mapping[str, Any]) -> Generator[_Rows, None, None]:
        found = self._sqlite.select(query, parameters)
        if found.more:
            raise self._too_many() if found.more == "rows" else self._too_large()
        yield found.names, found.rows

    @contextmanager
    def _written(self, query: str, parameters: Mapping[str, Any]) -> Generator[_Rows, None, None]:
        with self._engine.begin() as connection:
            yield _parts(connection.execute(self._sqlalchemy.text(query), parameters))

    def _fetched(self, names: list[str], rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        left = self._max_bytes
        # One by one: what is too much is not even fetched.
        for row in rows:
            if len(found) == self._max_rows:
                raise self._too_many()
            left -= sum(map(_cost, row))
            if left < 0:
                raise self._too_large()
            found.append(dict(zip(names, row, strict=True)))
        return found

    def _too_many(self) -> ToolRejected:
        problem = f"more than {self._max_rows} rows: add LIMIT, or count, sum or filter in the statement"
        return ToolRejected("ValueError", problem)

    def _too_large(self) -> ToolRejected:
        problem = f"the rows have more than {bytes_text(self._max_bytes)}: select fewer columns, or parts of them"
        return ToolRejected("ValueError", problem)

    def _tables(self) -> str:
        inspector = self._sqlalchemy.inspect(self._engine)
        names = inspector.get_table_names()
        lines = [f"    {name}({_columns(inspector.get_columns(name))})" for name in names[:_MAX_DESCRIBED]]
        more = [f"    and {len(names) - _MAX_DESCRIBED} more tables"] if len(names) > _MAX_DESCRIBED else []
        return "\n".join([f"The database is {self._engine.dialect.name}. Its tables:", *lines, *more])


class _ServerReader:
    """Reads a database of a server, in a transaction that changes nothing and is rolled back."""

    def __init__(
        self, connect: Callable[[], Any], text: Callable[[str], Any], max_rows: int, max_bytes: int, time: float
    ) -> None:
        self._connect = connect
        self._text = text
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._time = time

    @contextmanager
    def rows(self, query: str, parameters: Mapping[str, Any]) -> Generator[_Rows, None, None]:
        """Run a query and give the names of its columns and its rows, one by one."""
        statement = _single(query)
        with self._connect() as connection:
            self._begin(connection)
            with self._timed(connection):
                result = self._result(connection, statement, parameters)
                try:
                    yield _parts(result)
                except BaseException:
                    self._give_up(connection, result)
                    raise
            connection.rollback()

    def _give_up(self, connection: Any, result: Any) -> None:
        # There may be any number of rows left, which a connection that is given back would fetch first.
        connection.invalidate()

    def _begin(self, connection: Any) -> None:
        raise NotImplementedError

    def _timed(self, connection: Any) -> AbstractContextManager[None]:
        return nullcontext()

    def _result(self, connection: Any, statement: str, parameters: Mapping[str, Any]) -> Any:
        # Not all rows at once: the server sends the next when this one was looked at.
        streaming = connection.execution_options(stream_results=True, max_row_buffer=1)
        return streaming.execute(self._text(statement), parameters)


_MAX_ROW = 64 << 20
_SHOWS = re.compile(r"\s*(show|describe|desc)\s+[\w`]", re.IGNORECASE)


class _MysqlReader(_ServerReader):
    def _begin(self, connection: Any) -> None:
        connection.rollback()
        # A statement that changes tables ends the transaction before it runs, in one that has the session's mode.
        connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
        connection.exec_driver_sql("START TRANSACTION READ ONLY")

    def _result(self, connection: Any, statement: str, parameters: Mapping[str, Any]) -> Any:
        # What may stand in a condition is a query, and nothing else: what changes a schema, a user or a setting, or
        # writes a file of the server, is none, and some settings undo the transaction's mode. It is not looked at.
        if not _SHOWS.match(statement):
            query = f"SELECT 1 FROM DUAL WHERE 1 = 0 AND EXISTS (\n{statement}\n)"
            connection.execute(self._text(query), parameters)
        longest = int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar())
        self._check_columns(connection, longest)
        try:
            return super()._result(connection, statement, parameters)
        except ToolRejected:
            connection.invalidate()
            raise

    def _check_columns(self, connection: Any, longest: int) -> None:
        """Have the next query refused, before its first row, if a row may be too large: a driver takes it in whole."""

        def check(_connection: Any, cursor: Any, *_: object) -> None:
            widths = [column[3] for column in cursor.description or ()]
            # No value is longer than a packet, and a character takes up to four bytes.
            if sum(min(4 * width, longest) for width in widths if width) > _MAX_ROW:
                _leave_rows(cursor)
                problem = (
                    f"a row may be larger than {bytes_text(_MAX_ROW)}: select fewer columns, or LEFT(column, 1000)"
                )
                raise ToolRejected("ValueError", problem)

        need("sqlalchemy", "sql").event.listen(connection, "after_cursor_execute", check)

    def _give_up(self, connection: Any, result: Any) -> None:
        super()._give_up(connection, result)
        _leave_rows(result.cursor)

    def _timed(self, connection: Any) -> AbstractContextManager[None]:
        # Not the server's own limits: MySQL and MariaDB have different ones, and a hint in the statement lifts them.
        number = int(connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar())
        return _cancelled(lambda: self._kill(number), monotonic() + self._time)

    def _kill(self, number: int) -> None:
        # A user may end his own statements, from a second connection.
        with self._connect() as connection:
            connection.exec_driver_sql(f"KILL QUERY {number}")


def _leave_rows(cursor: Any) -> None:
    # PyMySQL would read the rest of them when the cursor is closed, and when the result is dropped.
    with suppress(AttributeError):
        cursor._result.unbuffered_active = False


class _PostgresReader(_ServerReader):
    def _begin(self, connection: Any) -> None:
        # An engine may be set to commit by itself, where there is no transaction to be read-only.
        connection.execution_options(isolation_level="READ COMMITTED")
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, int(self._time * 1000))}")

    def _timed(self, connection: Any) -> AbstractContextManager[None]:
        # The server's own limit is for each row that is asked for, this one for all of them.
        cancel = getattr(connection.connection.dbapi_connection, "cancel", None)
        return nullcontext() if cancel is None else _cancelled(cancel, monotonic() + self._time)

    def _give_up(self, connection: Any, result: Any) -> None:
        # The cursor is the server's, and ends with its rows. A query that was cancelled has ended it already.
        with suppress(Exception):
            result.close()

    def _result(self, connection: Any, statement: str, parameters: Mapping[str, Any]) -> Any:
        # By itself first: what stands there as one query is one within parentheses too, and cannot end before them.
        connection.execute(self._text(f"DECLARE cloche_query NO SCROLL CURSOR FOR {statement}"), parameters)
        return super()._result(connection, self._bounded(statement), parameters)

    def _bounded(self, statement: str) -> str:
        """Return a query that fails at a row that is too large, on the server: a driver would take in all of it."""
        row = "CAST((cloche_row.*) AS text)"
        problem = f"a row is larger than {bytes_text(self._max_bytes)}: "
        fails = f"CAST('{problem}' || left({row}, 0) AS boolean)"
        fits = f"CASE WHEN octet_length({row}) <= {self._max_bytes} THEN true ELSE {fails} END"
        return f"SELECT cloche_row.* FROM (\n{statement}\n) AS cloche_row WHERE {fits} LIMIT {self._max_rows + 1}"


@contextmanager
def _cancelled(cancel: Callable[[], object], until: float) -> Generator[None, None, None]:
    """Call ``cancel`` from that moment on until the block ends, and never after it: others use the connection then."""
    done = threading.Event()

    def watch() -> None:
        pause = until - monotonic()
        # Again and again: the server forgets it where no statement runs at that moment.
        while not done.wait(max(0.0, pause)):
            with suppress(Exception):
                cancel()
            pause = _CANCELLED_AGAIN

    watcher = threading.Thread(target=watch, name="cloche-sql", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _single(query: str) -> str:
    """Return the statement. Several in one are refused: the first could end the transaction that the others need."""
    statement = query.rstrip().removesuffix(";")
    if ";" in statement:
        problem = "one statement at a time; write text that holds a semicolon as a parameter, :name"
        raise ToolRejected("ValueError", problem)
    return statement


def _parts(result: Any) -> _Rows:
    return (list(result.keys()), result) if result.returns_rows else ((), ())


def _cost(value: Any) -> int:
    if isinstance(value, (str, bytes, bytearray)):
        return _CELL + len(value)
    return _CELL if value is None or isinstance(value, (int, float)) else _CELL + len(str(value))


def _columns(columns: list[dict[str, Any]]) -> str:
    return ", ".join(f"{column['name']} {column['type']}" for column in columns)


def _distinct(names: list[str]) -> list[str]:
    """Number the names that come twice, as ``id`` does after a join: ``id``, ``id_2``."""
    return [
        f"{name}_{names[:index].count(name) + 1}" if name in names[:index] else name for index, name in enumerate(names)
    ]
