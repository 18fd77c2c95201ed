"""Records in an SQLite database."""

import json
import sqlite3
import threading
from dataclasses import asdict, fields
from os import PathLike
from typing import Any

from cloche.host_tools.call_log.record import CallRecord

__all__ = ["SQLiteLog"]

_COLUMNS = [field.name for field in fields(CallRecord)]
_JSON = ("arguments", "value")
_CREATE = f"CREATE TABLE IF NOT EXISTS calls ({', '.join(_COLUMNS)}, PRIMARY KEY (id))"
# The order of the rows, kept when a row is replaced, is the order in which the calls began.
_WRITE = (
    f"INSERT INTO calls ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)}) "
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}"
)


class SQLiteLog:
    """Keeps records in the table ``calls``, one row for each call; arguments and value are JSON text.

    The database may be shared with other processes; ``":memory:"`` is one of its own.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        if str(path) != ":memory:":
            # Readers then never wait for writers, and a crash of the process loses nothing.
            self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(_CREATE)

    def write(self, record: CallRecord) -> None:
        """Insert or replace a record. Raises sqlite3.Error."""
        values = asdict(record)
        row = values | {name: json.dumps(values[name], allow_nan=False) for name in _JSON}
        with self._lock:
            self._connection.execute(_WRITE, row)

    @property
    def records(self) -> list[CallRecord]:
        """The records, in the order in which the calls began."""
        with self._lock:
            rows = self._connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM calls ORDER BY rowid").fetchall()
        return [_record(row) for row in rows]

    def close(self) -> None:
        """Close the database. Safe to call twice; writing afterwards raises sqlite3.ProgrammingError."""
        with self._lock:
            self._connection.close()


def _record(row: tuple[Any, ...]) -> CallRecord:
    values: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
    return CallRecord(**(values | {name: json.loads(values[name]) for name in _JSON}))
