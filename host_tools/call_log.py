"""Records of tool calls: who called what, with which arguments, and what came of it; kept in memory, as lines of JSON, or in SQLite."""

import json
import os
import sqlite3
import threading
from dataclasses import asdict, dataclass, fields
from os import PathLike
from typing import Any, Literal, Protocol

__all__ = ["CallLog", "CallOutcome", "CallRecord", "JsonLinesLog", "MemoryLog", "SQLiteLog", "read_json_lines"]


CallOutcome = Literal["running", "returned", "raised", "rejected", "denied", "timed out", "cancelled"]
"""How a call ended. ``rejected``: wrong arguments. ``denied``: a policy said no. In neither case the tool ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call of a tool. Everything in it is plain JSON data, and what a policy redacts is not in it."""

    id: str
    """The same in the record of the beginning (``running``) and of the end."""
    time: float
    """When the call began: seconds since the epoch. Of one that its program was suspended for, when that was."""
    tool: str
    arguments: dict[str, Any]
    """By parameter, defaults filled in; as sent, under ``args`` and ``kwargs``, if the call was rejected,
    and then empty where a policy redacts, since nobody knows what stood where."""
    outcome: CallOutcome
    agent: str = ""
    step: int | None = None
    run: str = ""
    """The scope the call was made in; calls of one scope share it."""
    seconds: float | None = None
    """How long it took, retries and waiting for approval or an answer included; None while it is running."""
    attempts: int = 0
    """How often the tool was started: 0 if it was not, more than 1 after retries."""
    approval: str = ""
    """Who approved or refused, as the approver said, or ``yes`` or ``no``; empty where nobody was asked for leave."""
    error: str = ""
    """Why it was denied or rejected, or the class and text of what the tool raised."""
    value: Any = None
    """What the guest was given, in short where it is large."""


class CallLog(Protocol):
    """Keeps records. Safe to use from several threads at once."""

    def write(self, record: CallRecord) -> None:
        """Keep a record, in place of an earlier one of the same id. Once before the tool runs, once after.

        What this raises stops the call: nothing happens without a record.
        """
        ...


class MemoryLog:
    """Keeps the latest ``most`` records (default 10,000)."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._records: dict[str, CallRecord] = {}

    @property
    def records(self) -> list[CallRecord]:
        """The records, in the order in which the calls began."""
        with self._lock:
            return list(self._records.values())

    def write(self, record: CallRecord) -> None:
        """Keep a record; the oldest makes room."""
        with self._lock:
            self._records[record.id] = record
            if len(self._records) > self._most:
                del self._records[next(iter(self._records))]


class JsonLinesLog:
    """Appends each record to a file as one line; a call has two, the second with its end.

    Each line is written whole, so several processes may append to one file. The file is made readable by its
    owner only. ``sync`` waits until each line is on the disk (default: no).
    """

    def __init__(self, path: str | PathLike[str], *, sync: bool = False) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._sync = sync
        self._lock = threading.Lock()

    def write(self, record: CallRecord) -> None:
        """Append a record. Raises OSError, also where the disk is full or the log is closed."""
        line = json.dumps(asdict(record), separators=(",", ":"), allow_nan=False).encode() + b"\n"
        with self._lock:
            written = os.write(self._descriptor, line)
            if written != len(line):
                raise OSError(f"only {written} of {len(line)} bytes of a record could be written")
            if self._sync:
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file. Safe to call twice; writing afterwards raises OSError."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def read_json_lines(path: str | PathLike[str]) -> list[CallRecord]:
    """Return the records of a file, the latest of each call, in the order in which the calls began.

    A last line that was cut off, by a crash while it was written, is left out.
    """
    records: dict[str, CallRecord] = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                record = CallRecord(**json.loads(line))
                records[record.id] = record
    return list(records.values())


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
