"""Notes: what programs keep for later, on the host, and where it is kept."""

import sqlite3
import threading
import weakref
from os import PathLike
from typing import Any, Protocol, Self

from cloche.host_tools.errors import ToolRejected
from cloche.host_tools.tools import Tool, tool
from cloche.runtime._imports import need

__all__ = ["Memo", "NoteStore", "RedisNotes", "SQLiteNotes"]


class SQLiteNotes:
    """Notes in the table ``notes`` of an SQLite database, by default one in memory.

    Close it, or use it as a context manager.
    """

    def __init__(self, path: str | PathLike[str] = ":memory:") -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._connection.close)
        self._connection.execute("CREATE TABLE IF NOT EXISTS notes (key TEXT PRIMARY KEY, text TEXT NOT NULL)")

    def set(self, key: str, text: str) -> None:
        """Keep a text."""
        self._execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", _storable(key), _storable(text))

    def get(self, key: str) -> str | None:
        """Return the text, or None."""
        rows = self._execute("SELECT text FROM notes WHERE key = ?", _storable(key))
        return None if not rows else str(rows[0][0])

    def keys(self) -> list[str]:
        """Return all keys, sorted."""
        return [str(row[0]) for row in self._execute("SELECT key FROM notes ORDER BY key")]

    def delete(self, key: str) -> bool:
        """Drop a text; return whether there was one."""
        return bool(self._execute("DELETE FROM notes WHERE key = ? RETURNING key", _storable(key)))

    def close(self) -> None:
        """Close the database. Safe to call twice."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _execute(self, statement: str, *values: str) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()


class RedisNotes:
    """Notes in one hash of a Redis server; ``name`` is the hash's key, so that several memos share a server.

    Raises ConfigurationError where the extra ``cloche[redis]`` is not installed. Errors of the server are raised
    by the methods, as redis-py's own.
    """

    def __init__(self, url: str = "redis://localhost:6379/0", *, name: str = "cloche:notes") -> None:
        self._client: Any = need("redis", "redis").Redis.from_url(url)
        self._name = name

    def set(self, key: str, text: str) -> None:
        """Keep a text."""
        self._client.hset(self._name, _storable(key), _storable(text))

    def get(self, key: str) -> str | None:
        """Return the text, or None."""
        data = self._client.hget(self._name, _storable(key))
        return None if data is None else data.decode()

    def keys(self) -> list[str]:
        """Return all keys, sorted."""
        return sorted(key.decode() for key in self._client.hkeys(self._name))

    def delete(self, key: str) -> bool:
        """Drop a text; return whether there was one."""
        return bool(self._client.hdel(self._name, _storable(key)))

    def close(self) -> None:
        """Close the connections. Safe to call twice."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _storable(text: str) -> str:
    # A lone surrogate is no UTF-8 and would raise an error of the database's.
    return text.encode("utf-8", "replace").decode()


_MAX_KEY = 200


class NoteStore(Protocol):
    """Where notes are kept. Safe to use from several threads at once."""

    def set(self, key: str, text: str) -> None:
        """Keep a text, in place of the one before."""
        ...

    def get(self, key: str) -> str | None:
        """Return the text, or None."""
        ...

    def keys(self) -> list[str]:
        """Return all keys, sorted."""
        ...

    def delete(self, key: str) -> bool:
        """Drop a text; return whether there was one."""
        ...


class Memo:
    """Notes that outlive the programs that write them.

    ``store``       default: an SQLite database in memory. ``SQLiteNotes(path)`` keeps notes on disk,
                    ``RedisNotes(url)`` in a Redis server. Whoever made a store closes it.
    ``max_length``  characters of one note; default 100,000.
    ``max_notes``   default 1,000.
    """

    def __init__(self, store: NoteStore | None = None, *, max_length: int = 100_000, max_notes: int = 1_000) -> None:
        self.store: NoteStore = SQLiteNotes() if store is None else store
        self._max_length = max_length
        self._max_notes = max_notes
        self._keeping = threading.Lock()

    def tools(self) -> list[Tool]:
        """Return the tools ``memo_set``, ``memo_get``, ``memo_list`` and ``memo_delete``."""
        return [self._set_tool(), self._get_tool(), self._list_tool(), self._delete_tool()]

    def _set_tool(self) -> Tool:
        @tool
        def memo_set(key: str, text: str) -> None:
            """Keep a text under a key for later, in place of what was kept there.

            Args:
                key: the name to find it by
                text: what to keep
            """
            # One at a time: calls side by side would all find room for one more.
            with self._keeping:
                self._check(key, text)
                self.store.set(key, text)

        return memo_set

    def _get_tool(self) -> Tool:
        @tool
        def memo_get(key: str) -> str:
            """Return the text kept under a key. Raises KeyError if there is none.

            Args:
                key: the name it was kept under
            """
            text = self.store.get(key)
            if text is None:
                raise ToolRejected("KeyError", f"nothing is kept under {key[:_MAX_KEY]!r}")
            return text

        return memo_get

    def _list_tool(self) -> Tool:
        @tool
        def memo_list() -> list[str]:
            """Return the keys of all notes, in alphabetical order."""
            return self.store.keys()

        return memo_list

    def _delete_tool(self) -> Tool:
        @tool
        def memo_delete(key: str) -> bool:
            """Drop the text kept under a key; returns whether there was one.

            Args:
                key: the name it was kept under
            """
            return self.store.delete(key)

        return memo_delete

    def _check(self, key: str, text: str) -> None:
        if not 0 < len(key) <= _MAX_KEY:
            raise ToolRejected("ValueError", f"a key has 1 to {_MAX_KEY} characters, this one {len(key)}")
        if len(text) > self._max_length:
            raise ToolRejected("ValueError", f"a note has at most {self._max_length} characters, this one {len(text)}")
        keys = self.store.keys()
        if len(keys) >= self._max_notes and key not in keys:
            raise ToolRejected("ValueError", f"there are {self._max_notes} notes and that is the limit: delete some")
