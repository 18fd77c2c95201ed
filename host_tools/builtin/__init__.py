"""Tools that most agents need. Each is imported when it is first used, since some need an extra."""

from typing import TYPE_CHECKING

from cloche.runtime._imports import lazy_names

if TYPE_CHECKING:
    from cloche.host_tools.builtin.browser import WebBrowser
    from cloche.host_tools.builtin.files import SharedFiles
    from cloche.host_tools.builtin.named import (
        DuckDuckGoSearchTool,
        FinalAnswerTool,
        GoogleSearchTool,
        PythonInterpreterTool,
        UserInputTool,
        VisitWebpageTool,
        WebSearchTool,
        WikipediaSearchTool,
    )
    from cloche.host_tools.builtin.notes import Memo, RedisNotes, SQLiteNotes
    from cloche.host_tools.builtin.retrieval import Retriever
    from cloche.host_tools.builtin.sql import SqlQuery
    from cloche.host_tools.builtin.user import AskUser, FinalAnswer
    from cloche.host_tools.builtin.web import HttpFetch, ReadPage, WebSearch

__all__ = [
    "AskUser",
    "DuckDuckGoSearchTool",
    "FinalAnswer",
    "FinalAnswerTool",
    "GoogleSearchTool",
    "HttpFetch",
    "Memo",
    "PythonInterpreterTool",
    "ReadPage",
    "RedisNotes",
    "Retriever",
    "SQLiteNotes",
    "SharedFiles",
    "SqlQuery",
    "UserInputTool",
    "VisitWebpageTool",
    "WebBrowser",
    "WebSearch",
    "WebSearchTool",
    "WikipediaSearchTool",
]

_HOMES = {
    "browser": ("WebBrowser",),
    "files": ("SharedFiles",),
    "named": (
        "DuckDuckGoSearchTool",
        "FinalAnswerTool",
        "GoogleSearchTool",
        "PythonInterpreterTool",
        "UserInputTool",
        "VisitWebpageTool",
        "WebSearchTool",
        "WikipediaSearchTool",
    ),
    "notes": ("Memo", "RedisNotes", "SQLiteNotes"),
    "retrieval": ("Retriever",),
    "sql": ("SqlQuery",),
    "user": ("AskUser", "FinalAnswer"),
    "web": ("HttpFetch", "ReadPage", "WebSearch"),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
