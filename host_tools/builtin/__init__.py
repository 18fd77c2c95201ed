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
    "AskUser": "cloche.host_tools.builtin.asking",
    "FinalAnswer": "cloche.host_tools.builtin.answering",
    "HttpFetch": "cloche.host_tools.builtin.fetching",
    "Memo": "cloche.host_tools.builtin.notes",
    "ReadPage": "cloche.host_tools.builtin.reading",
    "RedisNotes": "cloche.host_tools.builtin.note_stores",
    "Retriever": "cloche.host_tools.builtin.retrieving",
    "SQLiteNotes": "cloche.host_tools.builtin.note_stores",
    "SharedFiles": "cloche.host_tools.builtin.sharing",
    "SqlQuery": "cloche.host_tools.builtin.sql",
    "WebSearch": "cloche.host_tools.builtin.searching",
}


def __getattr__(name: str) -> Any:
    """Import a tool from its module. Raises AttributeError for any other name."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
