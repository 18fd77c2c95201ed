"""Queries on SQLite in a process of their own, which can change nothing and is ended when its time is over.

Not on the owner's connection: SQLite calls an authoriser while it holds the connection's mutex, and where another
thread waits for that mutex with Python's global lock held, the whole process stops for ever. And not in this process,
since there is no limit on the memory that SQLite takes to compile a statement, nor a way to end that.
"""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, NamedTuple

from cloche.host_tools.builtin._sqlite_worker import packed, unpacked
from cloche.host_tools.errors import ToolRejected
from cloche.runtime.errors import ConfigurationError, bytes_text

__all__ = ["SqliteReader"]

_MAX_COPIED = 64 << 20
"""Bytes of a database in memory, which is copied for each query."""
_MAX_QUERY = 1 << 20
_WORKER = Path(__file__).with_name("_sqlite_worker.py")
# Without what the process inherits otherwise: keys and passwords are often among it.
_ENVIRONMENT = ("DYLD_LIBRARY_PATH", "LD_LIBRARY_PATH", "SQLITE_TMPDIR", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR")


class _Attached(NamedTuple):
    name: str
    path: str


class _Selected(NamedTuple):
    """What a query gave: its columns, its rows, and ``"rows"`` or ``"bytes"`` if there were too many."""

    names: list[str]
    rows: list[list[Any]]
    more: str


# The module keeps one prepared statement for each text: on a connection that threads share, two that ask the same at
# once take each other's row.
_ONE_AT_A_TIME = threading.Lock()


class SqliteReader:
    """Reads one database, by its file where it has one.

    ``connect``  gives the driver's connection, as a context manager: it is asked where the database is, and copied
                 where that is in memory.
    ``rows`` and ``size``  cap what one query gives; ``size``, in bytes, also each value in the database and in between.
    ``time``     seconds for each query, its process's start included.

    Raises ConfigurationError for a database that cannot be read safely.
    """

    def __init__(
        self, connect: Callable[[], AbstractContextManager[sqlite3.Connection]], rows: int, size: int, time: float
    ) -> None:
        self._connect = connect
        self._limits = {"rows": rows, "size": size, "time": time}
        self._time = time
        with _ONE_AT_A_TIME, connect() as raw:
            found = [_Attached(row[1], row[2]) for row in raw.execute("PRAGMA database_list")]
        self._path = next((one.path for one in found if one.name == "main"), "")
        self._attached = [(one.name, _uri(one.path)) for one in found if one.path and one.name not in ("main", "temp")]
        if not self._path and sqlite3.threadsafety != 3:
            raise ConfigurationError("database", "this SQLite cannot share a database in memory: keep it in a file")
        if not sys.executable:
            raise ConfigurationError("database", "a query needs a process of its own, and there is no sys.executable")

    def select(self, query: str, parameters: Mapping[str, Any]) -> _Selected:
        """Return what a query gives. Raises ToolRejected for what SQLite refuses, and what takes too much."""
        if len(query) > _MAX_QUERY:
            raise ToolRejected("ValueError", f"a statement has at most {_MAX_QUERY} characters, this one {len(query)}")
        request: dict[str, Any] = {
            "uri": _uri(self._path) if self._path else "",
            "attached": self._attached,
            "query": query,
            "parameters": {name: _bound(name, value) for name, value in parameters.items()},
            **self._limits,
        }
        answer = self._asked(json.dumps(request).encode() + b"\n" + (b"" if self._path else self._copy()))
        if "error" in answer:
            raise ToolRejected("ValueError", f"the database refused: {answer['error']}")
        rows = [[unpacked(value) for value in row] for row in answer["rows"]]
        return _Selected(answer["names"], rows, answer["more"])

    def _asked(self, request: bytes) -> dict[str, Any]:
        command = [sys.executable, "-I", "-S", str(_WORKER)]
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=null) as worker:
            try:
                answer, _ = worker.communicate(request, self._time)
            except subprocess.TimeoutExpired:
                raise ToolRejected("ValueError", f"the query was interrupted after {self._time:g} s") from None
            finally:
                worker.kill()
        if worker.returncode or not answer:
            raise ToolRejected("ValueError", "the query needed more memory or disk than it may have")
        return dict(json.loads(answer))

    def _copy(self) -> bytes:
        with _ONE_AT_A_TIME, self._connect() as raw:
            size = raw.execute("PRAGMA page_count").fetchone()[0] * raw.execute("PRAGMA page_size").fetchone()[0]
            if size > _MAX_COPIED:
                problem = f"it is in memory, and larger than the {bytes_text(_MAX_COPIED)} that are copied for a query"
                raise ToolRejected("ValueError", f"the database cannot be read: {problem}")
            return raw.serialize()


def _uri(path: str) -> str:
    return f"{Path(path).absolute().as_uri()}?mode=ro"


def _bound(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return packed(value)
    raise ToolRejected("ValueError", f"the parameter {name!r} is a {type(value).__name__}, which SQLite cannot take")
