"""Tools that most agents need. Each is imported when it is first used, since some need an extra."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloche.host_tools.builtin.files import SharedFiles
    from cloche.host_tools.builtin.notes import Memo, RedisNotes, SQLiteNotes
    from cloche.host_tools.builtin.retrieval import Retriever
    from cloche.host_tools.builtin.sql import SqlQuery
    from cloche.host_tools.builtin.user import AskUser, FinalAnswer
    from cloche.host_tools.builtin.web import HttpFetch, ReadPage, WebSearch

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
    "AskUser": "cloche.host_tools.builtin.user",
    "FinalAnswer": "cloche.host_tools.builtin.user",
    "HttpFetch": "cloche.host_tools.builtin.web",
    "Memo": "cloche.host_tools.builtin.notes",
    "ReadPage": "cloche.host_tools.builtin.web",
    "RedisNotes": "cloche.host_tools.builtin.notes",
    "Retriever": "cloche.host_tools.builtin.retrieval",
    "SQLiteNotes": "cloche.host_tools.builtin.notes",
    "SharedFiles": "cloche.host_tools.builtin.files",
    "SqlQuery": "cloche.host_tools.builtin.sql",
    "WebSearch": "cloche.host_tools.builtin.web",
}


def __getattr__(name: str) -> Any:
    """Import a tool from its module. Raises AttributeError for any other name."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
