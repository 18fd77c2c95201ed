"""Searching the web."""

from collections.abc import Callable, Sequence
from typing import Any, TypedDict, cast

from cloche.host_tools.base import Tool
from cloche.host_tools.builtin.extras import need

__all__ = ["Hit", "WebSearch"]


class Hit(TypedDict):
    """One result of a search."""

    title: str
    url: str
    text: str


Backend = Callable[[str, int], Sequence[Hit]]
"""Takes the words and how many results are wanted."""


class WebSearch(Tool):
    """Search the web and return the best results, each with title, url and a piece of text.

    Args:
        query: the words to search for
        count: how many results, at most 20
    """

    name = "web_search"

    def __init__(self, backend: Backend | None = None, *, region: str = "us-en", time: float = 10.0) -> None:
        """Search with ``backend``, by default several engines through ``ddgs``, which needs no key.

        ``region`` and ``time`` (seconds) are for the default. Raises ConfigurationError where the extra
        ``cloche[search]`` is not installed.
        """
        self._search = backend or _ddgs(region, time)

    def forward(self, query: str, count: int = 8) -> list[Hit]:
        """Search."""
        return list(self._search(query, max(1, min(count, 20))))


def _ddgs(region: str, time: float) -> Backend:
    module: Any = need("ddgs", "search")

    def search(query: str, count: int) -> list[Hit]:
        try:
            found = module.DDGS(timeout=max(1, int(time))).text(query, region=region, max_results=count)
        except module.exceptions.DDGSException as error:
            # "No results" is an exception there.
            if "no results" in str(error).lower():
                return []
            raise
        return [_hit(cast("dict[str, str]", item)) for item in found]

    return search


def _hit(item: dict[str, str]) -> Hit:
    return Hit(title=item.get("title", ""), url=item.get("href", ""), text=item.get("body", ""))
