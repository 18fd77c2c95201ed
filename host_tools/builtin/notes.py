"""Notes: what programs keep for later, on the host."""

from typing import Protocol

from cloche.host_tools.base import Tool
from cloche.host_tools.builtin.note_stores import SQLiteNotes
from cloche.host_tools.errors import ToolRejected
from cloche.host_tools.function import tool

__all__ = ["Memo", "NoteStore"]

_LONGEST_KEY = 200


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

    ``store``    default: an SQLite database in memory. ``SQLiteNotes(path)`` keeps notes on disk,
                 ``RedisNotes(url)`` in a Redis server.
    ``longest``  characters of one note; default 100,000.
    ``most``     notes; default 1,000.
    """

    def __init__(self, store: NoteStore | None = None, *, longest: int = 100_000, most: int = 1_000) -> None:
        self.store: NoteStore = SQLiteNotes() if store is None else store
        self._longest = longest
        self._most = most

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
                raise ToolRejected("KeyError", f"nothing is kept under {key[:_LONGEST_KEY]!r}")
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
        if not 0 < len(key) <= _LONGEST_KEY:
            raise ToolRejected("ValueError", f"a key has 1 to {_LONGEST_KEY} characters, this one {len(key)}")
        if len(text) > self._longest:
            raise ToolRejected("ValueError", f"a note has at most {self._longest} characters, this one {len(text)}")
        keys = self.store.keys()
        if len(keys) >= self._most and key not in keys:
            raise ToolRejected("ValueError", f"there are {self._most} notes, the most there may be: delete some")
