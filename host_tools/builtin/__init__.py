"""Tools that most agents need. Each is imported when it is first used, since some need an extra."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloche.host_tools.builtin.answering import FinalAnswer
    from cloche.host_tools.builtin.asking import AskUser
    from cloche.host_tools.builtin.fetching import HttpFetch
    from cloche.host_tools.builtin.note_stores import RedisNotes, SQLiteNotes
    from cloche.host_tools.builtin.notes import Memo
    from cloche.host_tools.builtin.reading import ReadPage
    from cloche.host_tools.builtin.retrieving import Retriever
    from cloche.host_tools.builtin.searching import WebSearch
    from cloche.host_tools.builtin.sharing import SharedFiles
    from cloche.host_tools.builtin.sql import SqlQuery

__all__ = [
    "AskUser",
    "FinalAnswer",
    "HttpFetch",
    "Memo",
    "ReadPage",
    "RedisNotes",
    "Retriever",
    "SQLiteNotes",
    "SharedFiles",
    "SqlQuery",
    "WebSearch",
]

_HOMES = {
    "AskUser": "asking",
    "FinalAnswer": "answering",
    "HttpFetch": "fetching",
    "Memo": "notes",
    "ReadPage": "reading",
    "RedisNotes": "note_stores",
    "Retriever": "retrieving",
    "SQLiteNotes": "note_stores",
    "SharedFiles": "sharing",
    "SqlQuery": "sql",
    "WebSearch": "searching",
}


def __getattr__(name: str) -> Any:
    """Import a tool from its module. Raises AttributeError for any other name."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
