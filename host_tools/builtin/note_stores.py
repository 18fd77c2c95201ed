"""Places for notes."""

import sqlite3
import threading
from os import PathLike
from typing import Any

from cloche.host_tools.builtin.extras import need

__all__ = ["RedisNotes", "SQLiteNotes"]


class SQLiteNotes:
    """Notes in the table ``notes`` of an SQLite database, by default one in memory."""

    def __init__(self, path: str | PathLike[str] = ":memory:") -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
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
        """Close the connections."""
        self._client.close()


def _storable(text: str) -> str:
    # A lone surrogate is no UTF-8 and would raise an error of the database's.
    return text.encode("utf-8", "replace").decode()
