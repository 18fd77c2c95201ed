"""Runs one query on SQLite, in a process of its own: the standard library only, and started by its path.

It reads a request from its input, a line of JSON with the bytes of a database behind it if that is in memory, and
writes an answer of JSON. This process's limits bound what a statement costs: SQLite's own do not reach its compiler,
where a few nested queries are enough to take gigabytes, nor its sorter, nor the inside of a function.
"""

import base64
import json
import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from typing import Any

__all__ = ["packed", "unpacked"]

_MEMORY = 256 << 20
_TEMPORARY = 256 << 20
"""Bytes of one temporary file, such as a sorter's."""
_CELL = 50
_DICTS = frozenset({dict})
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
# They open files, load code, or read what is not this database's.
_FORBIDDEN_FUNCTIONS = {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"}
_REFUSALS = (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError, TypeError)


def packed(value: Any) -> Any:
    """Return a value of SQLite's as JSON data."""
    return {"b": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def unpacked(value: Any) -> Any:
    """Return a value that was packed."""
    return base64.b64decode(value["b"]) if type(value) in _DICTS else value


def _main() -> None:
    request = json.loads(sys.stdin.buffer.readline())
    content = sys.stdin.buffer.read()
    try:
        _limit(request["time"], _MEMORY + 2 * len(content))
        with closing(_opened(request, content)) as connection:
            answer = _answer(connection, request)
    except _REFUSALS as error:
        answer = {"error": str(error)[:1_000]}
    except MemoryError:
        answer = {"error": "out of memory"}
    sys.stdout.write(json.dumps(answer))


def _limit(seconds: float, memory: int) -> None:
    """Limit this process, as far as the system can."""
    try:
        import resource
    except ImportError:
        return
    cpu = int(seconds) + 2
    for kind, limit in (("AS", _used() + memory), ("CPU", cpu), ("FSIZE", _TEMPORARY), ("CORE", 0)):
        number = getattr(resource, f"RLIMIT_{kind}")
        hard = resource.getrlimit(number)[1]
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(number, (allowed, hard))


def _used() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) << 12
    except (OSError, ValueError):
        return _MEMORY


def _opened(request: dict[str, Any], content: bytes) -> sqlite3.Connection:
    connection = sqlite3.connect(request["uri"] or ":memory:", uri=True, isolation_level=None)
    if content:
        connection.deserialize(content)
    for name, uri in request["attached"]:
        quoted = name.replace('"', '""')
        connection.execute(f'ATTACH DATABASE ? AS "{quoted}"', (uri,))
    connection.execute("PRAGMA query_only = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, request["size"])
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.set_authorizer(_authorize)
    return connection


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if str(second).lower() in _FORBIDDEN_FUNCTIONS else sqlite3.SQLITE_OK
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY


def _answer(connection: sqlite3.Connection, request: dict[str, Any]) -> dict[str, Any]:
    values = {name: unpacked(value) for name, value in request["parameters"].items()}
    cursor = connection.execute(request["query"], values)
    names = [column[0] for column in cursor.description or ()]
    rows: list[list[Any]] = []
    left: int = request["size"]
    for row in cursor:
        left -= _cost(row)
        if left < 0 or len(rows) == request["rows"]:
            return {"names": names, "rows": rows, "more": "bytes" if left < 0 else "rows"}
        rows.append([packed(value) for value in row])
    return {"names": names, "rows": rows, "more": ""}


def _cost(row: Iterable[Any]) -> int:
    return sum(_CELL + (len(value) if isinstance(value, (str, bytes)) else 0) for value in row)


if __name__ == "__main__":
    _main()
