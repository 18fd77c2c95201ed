"""Allow-lists of addresses: hosts, hosts with their subdomains, or everything below a URL."""

import posixpath
from collections.abc import Iterable
from urllib.parse import unquote

import httpx

from cloche.host_tools.builtin.web.errors import WebRefused
from cloche.runtime.errors import ConfigurationError

__all__ = ["AllowList"]


class AllowList:
    """Entries are ``"api.example.com"``, ``"*.example.com"`` (subdomains only) or ``"https://example.com/v1/"``.

    A host alone allows http and https on their usual ports; a URL allows its own scheme and port, and paths
    below its path. Raises ConfigurationError for an empty list or an entry that is neither.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._entries = tuple(entries)
        if not self._entries:
            raise ConfigurationError("allow", "the list is empty, so nothing could be fetched: name the hosts")
        self._rules = [_Below(entry) if "://" in entry else _Host(entry) for entry in self._entries]

    def check(self, url: httpx.URL) -> None:
        """Raise WebRefused unless an entry allows the URL."""
        if not any(rule.allows(url) for rule in self._rules):
            raise WebRefused(
                f"{url.host!r} is not on the list of what may be fetched: {', '.join(self._entries)[:500]}"
            )


class _Host:
    def __init__(self, entry: str) -> None:
        if not entry or any(mark in entry for mark in "/:@?# ") or "*" in entry.removeprefix("*."):
            raise ConfigurationError("allow", f"{entry!r} is not a host: write 'api.example.com' or '*.example.com'")
        self._host = _normal(entry.removeprefix("*."))
        self._below = entry.startswith("*.")

    def allows(self, url: httpx.URL) -> bool:
        host = _normal(url.host)
        return url.port is None and (host.endswith(f".{self._host}") if self._below else host == self._host)


class _Below:
    def __init__(self, entry: str) -> None:
        url = httpx.URL(entry)
        if url.scheme not in ("http", "https") or not url.host or url.query or url.userinfo:
            raise ConfigurationError("allow", f"{entry!r} is not a URL to stay below: write 'https://example.com/v1/'")
        self._origin = (url.scheme, _normal(url.host), url.port)
        self._path = url.path if url.path.endswith("/") else f"{url.path}/"

    def allows(self, url: httpx.URL) -> bool:
        # Unquoted and normal, as the server may read it: /v1/%2e%2e/admin is not below /v1/.
        path = posixpath.normpath(unquote(unquote(url.path))) + "/"
        return (url.scheme, _normal(url.host), url.port) == self._origin and path.startswith(self._path)


def _normal(host: str) -> str:
    return host.rstrip(".").lower()
