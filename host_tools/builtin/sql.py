"""SQL queries on a database of the host."""

from typing import Any

from cloche.host_tools.base import Tool
from cloche.host_tools.builtin.extras import need
from cloche.host_tools.builtin.sql_guard import read_only
from cloche.host_tools.errors import ToolRejected

__all__ = ["SqlQuery"]

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
