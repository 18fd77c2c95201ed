"""Records of tool calls, kept in memory, as lines of JSON, or in SQLite.

A record says who called what, with which arguments, and what came of it.
"""

import json
import os
import sqlite3
import threading
import weakref
from dataclasses import asdict, dataclass, fields
from os import PathLike
from typing import Any, Literal, Protocol, Self

from cloche.runtime.bridge.host_memory import size_of
from cloche.runtime.limits import parse_count, parse_size

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
    and then empty where a policy redacts, since what stood where is unknown."""
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
    """Who approved or refused, as the approver said, or ``yes`` or ``no``; empty where no approval was needed."""
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


_COLUMNS = [field.name for field in fields(CallRecord)]
_JSON = ("arguments", "value")
_CREATE = f"CREATE TABLE IF NOT EXISTS calls ({', '.join(_COLUMNS)}, PRIMARY KEY (id))"
# The order of the rows, kept when a row is replaced, is the order in which the calls began.
_WRITE = (
    f"INSERT INTO calls ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)}) "
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}"
)
_RECORD = 1_024
_MANY_PARTS = 8 << 20
"""Bytes that a record of more parts than are counted is taken to have."""
# How each line of a file begins: CallRecord's first field is its id.
_BEGIN = b'{"id":'


class MemoryLog:
    """Keeps the latest records: ``max_records`` of them (default 10,000), in ``max_size`` of memory (default 16 MiB).

    Raises ConfigurationError for a size or a number below 1.
    """

    def __init__(self, max_records: int = 10_000, *, max_size: int | str = "16 MiB") -> None:
        self._max_records = parse_count("max_records", max_records, maximum=1 << 31)
        self._max_size = parse_size("max_size", max_size, maximum=1 << 40)
        self._lock = threading.Lock()
        self._records: dict[str, tuple[CallRecord, int]] = {}
        self._size = 0

    @property
    def records(self) -> list[CallRecord]:
        """The records, in the order in which the calls began."""
        with self._lock:
            return [record for record, _ in self._records.values()]

    def write(self, record: CallRecord) -> None:
        """Keep a record; the oldest make room, and the latest is there in any case."""
        size = _memory_of(record)
        with self._lock:
            _, before = self._records.get(record.id, (record, 0))
            self._records[record.id] = record, size
            self._size += size - before
            while len(self._records) > 1 and (len(self._records) > self._max_records or self._size > self._max_size):
                self._size -= self._records.pop(next(iter(self._records)))[1]


def _memory_of(record: CallRecord) -> int:
    """Return the bytes that a record takes."""
    texts = len(record.error) + len(record.approval)
    return _RECORD + 4 * texts + size_of([record.arguments, record.value], _MANY_PARTS)


class JsonLinesLog:
    """Appends each record to a file as one line; a call has two, the second with its end.

    Each line is written whole, so several processes may append to one file. The file is made readable by its
    owner only. ``sync`` waits until each line is on the disk (default: no). Close it, or use it as a context manager.
    """

    def __init__(self, path: str | PathLike[str], *, sync: bool = False) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._sync = sync
        self._lock = threading.Lock()
        self._torn = _is_torn(self._descriptor)

    def write(self, record: CallRecord) -> None:
        """Append a record. Raises OSError, also where the disk is full or the log is closed."""
        line = json.dumps(asdict(record), separators=(",", ":"), allow_nan=False).encode() + b"\n"
        with self._lock:
            # What a crash or a full disk left of a line must not spoil the next one.
            line = b"\n" + line if self._torn else line
            written = os.write(self._descriptor, line)
            self._torn = written != len(line)
            if self._torn:
                raise OSError(f"only {written} of {len(line)} bytes of a record could be written")
            if self._sync:
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file. Safe to call twice; writing afterwards raises OSError."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_json_lines(path: str | PathLike[str]) -> list[CallRecord]:
    """Return the records of a file, the latest of each call, in the order in which the calls began.

    Lines that were cut off, by a crash or a full disk while they were written, are left out, wherever they stand.
    """
    records: dict[str, CallRecord] = {}
    with open(path, "rb") as file:
        for line in file:
            record = _record_in(line)
            if record is not None:
                records[record.id] = record
    return list(records.values())


def _is_torn(descriptor: int) -> bool:
    """Return whether a file ends within a line."""
    size = os.fstat(descriptor).st_size
    if not size:
        return False
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1) != b"\n"


def _record_in(line: bytes) -> CallRecord | None:
    """Return the record that ends a line; before it may stand what another process left of one of its own."""
    begin = line.find(_BEGIN) if line.endswith(b"\n") else -1
    while begin >= 0:
        try:
            return CallRecord(**json.loads(line[begin:]))
        except (ValueError, TypeError):
            begin = line.find(_BEGIN, begin + 1)
    return None


class SQLiteLog:
    """Keeps records in the table ``calls``, one row for each call; arguments and value are JSON text.

    The database may be shared with other processes; ``":memory:"`` is one of its own. Close it, or use it as a
    context manager.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._connection.close)
        if str(path) != ":memory:":
            # Readers then never wait for writers, and a crash of the process loses nothing.
            self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(_CREATE)

    def write(self, record: CallRecord) -> None:
        """Insert or replace a record. Raises sqlite3.Error."""
        values = {name: _storable(value) for name, value in asdict(record).items()}
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _storable(value: Any) -> Any:
    # A lone surrogate is no UTF-8, and SQLite would not take the record of a call's end because of one.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _record(row: tuple[Any, ...]) -> CallRecord:
    values: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
    return CallRecord(**(values | {name: json.loads(values[name]) for name in _JSON}))
