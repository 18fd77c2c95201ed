"""HTTP requests to services on a list."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict

from cloche.host_tools.base import Tool
from cloche.host_tools.builtin.extras import need
from cloche.host_tools.errors import ToolRejected

__all__ = ["Answer", "HttpFetch"]

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
        self._allow: Any = need("cloche.host_tools.builtin.web.rules", "web").AllowList(allow)
        self._methods = frozenset(methods)
        self._secrets = {host.lower(): _lower(headers) for host, headers in (secrets or {}).items()}
        browser = need("cloche.host_tools.builtin.web.browser", "web")
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
