"""Reading web pages."""

import re
from collections.abc import Iterable
from typing import Any

from cloche.host_tools.base import Tool
from cloche.host_tools.builtin.extras import need

__all__ = ["ReadPage"]


class ReadPage(Tool):
    """Read a web page and return its text as Markdown.

    Args:
        url: the page's address, http or https
    """

    name = "read_page"

    def __init__(
        self,
        *,
        characters: int = 40_000,
        size: int | str = "2 MiB",
        time: float = 20.0,
        redirects: int = 5,
        private: Iterable[str] = (),
    ) -> None:
        """Set the limits: ``characters`` of text returned, and those of a Browser, which also names the defaults.

        Raises ConfigurationError where the extra ``cloche[web]`` is not installed.
        """
        self._characters = characters
        browser = need("cloche.host_tools.builtin.web.browser", "web")
        self._browser: Any = browser.Browser(size=size, time=time, redirects=redirects, private=private)
        self._markdown: Any = need("markdownify", "web").markdownify

    def forward(self, url: str) -> str:
        """Read the page."""
        page = self._browser.request("GET", url, _anywhere)
        text: str = page.text()
        if page.status >= 400:
            return f"[the server answered {page.status}]\n{text[:2_000]}"
        return _cut(self._shown(text, page.headers.get("content-type", "")), self._characters, page.truncated)

    def _shown(self, text: str, kind: str) -> str:
        if "html" not in kind and not text.lstrip()[:15].lower().startswith(("<!doctype html", "<html")):
            return text
        try:
            markdown: str = self._markdown(_without_scripts(text), heading_style="ATX")
        except RecursionError:
            # Thousands of nested elements: not a page for reading, and its tags say no more than its text.
            markdown = re.sub(r"<[^>]*>", " ", text)
        return re.sub(r"\n\s*\n\s*\n+", "\n\n", markdown).strip()


def _anywhere(_: Any) -> None:
    """Allow every address: which connections are made is the network's own rule."""


def _without_scripts(html: str) -> str:
    return re.sub(r"(?is)<(script|style|noscript|template)\b.*?(?:</\1\s*>|\Z)", " ", html)


def _cut(text: str, most: int, truncated: bool) -> str:
    if len(text) > most:
        return f"{text[:most]}\n[cut: {len(text) - most} more characters]"
    return f"{text}\n[cut: the page is larger than what is read of one]" if truncated else text
