"""Tools for the web: requests to allowed services, pages as Markdown, and searches."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict, cast

from cloche.host_tools.builtin._html import is_html, markdown_of
from cloche.host_tools.errors import ToolRejected
from cloche.host_tools.tools import Tool
from cloche.runtime._imports import need

__all__ = ["Answer", "Hit", "HttpFetch", "ReadPage", "WebSearch"]


_Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
# What frames a request, or says where it goes, is not the program's to set.
_RESERVED = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "accept-encoding"}
)


class Answer(TypedDict):
    """What a service answered; ``truncated`` if the body was larger than what is read of one."""

    status: int
    url: str
    headers: dict[str, str]
    text: str
    truncated: bool


class HttpFetch(Tool):
    """Make an HTTP request to one of the allowed services and return its answer.

    Args:
        url: where to
        method: one of the allowed methods
        headers: headers to send; those that carry credentials are added by the host
        body: what to send
    """

    name = "http_fetch"

    def __init__(
        self,
        allow: Iterable[str],
        *,
        methods: Iterable[str] = ("GET", "HEAD"),
        secrets: Mapping[str, Mapping[str, str]] | None = None,
        size: int | str = "2 MiB",
        time: float = 20.0,
        redirects: int = 5,
        private: Iterable[str] = (),
    ) -> None:
        """Allow these services; see AllowList for how they are written.

        ``secrets`` are headers by host, such as an API key: they are sent to that host, over https only, and
        never reach the program. The other arguments are those of a Browser.
        Raises ConfigurationError for entries that cannot work, or where ``cloche[web]`` is not installed.
        """
        self._allow: Any = need("cloche.host_tools.builtin._network", "web").AllowList(allow)
        self._methods = frozenset(methods)
        self._secrets = {host.lower(): _lower(headers) for host, headers in (secrets or {}).items()}
        browser = need("cloche.host_tools.builtin._http", "web")
        self._browser: Any = browser.Browser(size=size, time=time, redirects=redirects, private=private)

    def forward(
        self, url: str, method: _Method = "GET", headers: dict[str, str] | None = None, body: str | bytes = b""
    ) -> Answer:
        """Make the request."""
        if method not in self._methods:
            raise ToolRejected("ValueError", f"{method} is not allowed here, only {', '.join(sorted(self._methods))}")
        given = _checked(headers or {})
        sent = (body.encode() if isinstance(body, str) else body) or None

        def for_host(target: Any) -> dict[str, str]:
            return given | self._secret(target)

        page = self._browser.request(method, url, self._allow.check, headers=for_host, body=sent)
        return Answer(
            status=page.status, url=page.url, headers=page.headers, text=page.text(), truncated=page.truncated
        )

    def _secret(self, target: Any) -> dict[str, str]:
        # Over plain http everybody on the way could read it.
        return self._secrets.get(target.host.lower(), {}) if target.scheme == "https" else {}


def _checked(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if name.lower() in _RESERVED:
            raise ToolRejected("ValueError", f"the header {name[:60]!r} is set by the host")
        if not (name.isascii() and value.isascii() and value.isprintable()) or not name.replace("-", "").isalnum():
            raise ToolRejected("ValueError", f"the header {name[:60]!r} holds characters that a header cannot")
    return _lower(headers)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    """Spell names in one way, so that a program cannot put an ``AUTHORIZATION`` of its own beside the host's."""
    return {name.lower(): value for name, value in headers.items()}


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
        browser = need("cloche.host_tools.builtin._http", "web")
        self._browser: Any = browser.Browser(size=size, time=time, redirects=redirects, private=private)
        self._markdown: Any = need("markdownify", "web").markdownify

    def forward(self, url: str) -> str:
        """Read the page."""
        page = self._browser.request("GET", url, _anywhere)
        text: str = page.text()
        if page.status >= 400:
            return f"[the server answered {page.status}]\n{text[:2_000]}"
        if not is_html(text, page.headers.get("content-type", "")):
            return _cut(text, self._characters, page.truncated)
        shown, whole = markdown_of(text, self._convert, self._characters)
        return _cut(shown, self._characters, page.truncated or not whole)

    def _convert(self, html: str) -> str:
        markdown: str = self._markdown(html, heading_style="ATX")
        return markdown


def _anywhere(_: Any) -> None:
    """Allow every address: which connections are made is the network's own rule."""


def _cut(text: str, limit: int, truncated: bool) -> str:
    if len(text) > limit:
        return f"{text[:limit]}\n[cut: {len(text) - limit} more characters]"
    return f"{text}\n[cut: the page is longer than what is shown of one]" if truncated else text


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
