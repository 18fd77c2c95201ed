"""Requests to the web within limits: addresses, redirects, size, time.

Compressed bodies are unpacked without trusting their size.
"""

import codecs
import re
import ssl
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from time import monotonic
from typing import Any, Protocol

import httpcore
import httpx

from cloche.host_tools.builtin._network import AddressRules, CheckedNetwork, WebError, WebRefused
from cloche.runtime.limits import parse_seconds, parse_size

__all__ = ["ACCEPTED", "Browser", "Page", "UrlCheck", "inflater"]


ACCEPTED = "gzip, deflate"
"""For the Accept-Encoding header: what :func:`inflater` understands."""


class _Inflater(Protocol):
    """Unpacks a body piece by piece."""

    def unpack(self, piece: bytes, limit: int) -> bytes:
        """Return the next bytes, at most ``limit`` of them. Raises WebError for damaged data."""
        ...


def inflater(encoding: str) -> _Inflater:
    """Return what unpacks a Content-Encoding. Raises WebError for an unknown one."""
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip":
            return _Deflated(31)
        case "deflate":
            return _Deflated(zlib.MAX_WBITS)
        case _:
            raise WebError(f"the server answered in an encoding that was not asked for: {encoding[:40]!r}")


class _Plain:
    def unpack(self, piece: bytes, limit: int) -> bytes:
        return piece[:limit]


class _Deflated:
    """One piece of 64 KiB can unpack to 64 MiB, so each is given a limit rather than checked afterwards."""

    def __init__(self, window: int) -> None:
        self._decompressor = zlib.decompressobj(window)

    def unpack(self, piece: bytes, limit: int) -> bytes:
        try:
            # 0 would mean without limit.
            return self._decompressor.decompress(piece, max(limit, 1))
        except zlib.error:
            raise WebError("the server's answer is damaged: it cannot be decompressed") from None


_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_URL = 8_192
_AFTER_PATH = re.compile("[?#]")
_CHARSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,39}")
# By the names that Python's codecs have; each of these takes a time that grows with the size of the body.
_LINEAR = re.compile(
    r"ascii|utf-(8|8-sig|16|16-le|16-be|32|32-le|32-be)|iso8859-\d{1,2}|cp\d{3,4}|koi8-[rtu]|mac-\w{1,12}|tis-620"
    r"|gb2312|gbk|gb18030|hz|big5|big5hkscs|euc_(jp|jis_2004|jisx0213|kr)|shift_jis(_2004|x0213)?|johab|iso2022_\w{2,6}"
)
_HIDDEN_HEADERS = frozenset({"set-cookie", "set-cookie2"})


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: where it came from at last, its status, its headers in lower case, its body unpacked."""

    url: str
    status: int
    headers: dict[str, str]
    body: bytes
    truncated: bool

    def text(self) -> str:
        """Return the body as text, in the charset that the headers name if it is one of the usual ones, or as UTF-8."""
        named = self.headers.get("content-type", "").partition("charset=")[2].split(";")[0].strip("\"' ")
        return self.body.decode(_codec(named), "replace")


def _codec(charset: str) -> str:
    # Not whatever Python has a codec for: punycode takes a time that grows with the square of the body's size.
    if not _CHARSET.fullmatch(charset):
        return "utf-8"
    try:
        name = codecs.lookup(charset).name
    except LookupError:
        return "utf-8"
    return name if _LINEAR.fullmatch(name) else "utf-8"


UrlCheck = Callable[[httpx.URL], None]
"""Raises WebRefused for an address that may not be asked for; called again for each redirect."""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    headers: Mapping[str, str]
    body: bytes | None


class Browser:
    """Makes requests for programs. Safe to use from several threads.

    ``size``       bytes of an answer, unpacked; what is beyond is cut off. Default 2 MiB.
    ``time``       seconds for everything, redirects included. Default 20.
    ``redirects``  how many are followed. Default 5.
    ``private``    networks that are not public and yet allowed; default none.
    ``tls``        an SSL context of one's own, for a private certificate authority.

    The environment's proxy and credentials are not used, cookies are neither kept nor sent, and each request
    has a connection of its own.
    """

    def __init__(
        self,
        *,
        size: int | str = "2 MiB",
        time: float = 20.0,
        redirects: int = 5,
        private: Iterable[str] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._size = parse_size("size", size, minimum=1, maximum=1 << 30)
        self._time = parse_seconds("time", time)
        self._redirects = redirects
        self._rules = AddressRules(private)
        self._own_tls = tls

    def request(
        self,
        method: str,
        url: str,
        check: UrlCheck,
        *,
        headers: Callable[[httpx.URL], Mapping[str, str]] | None = None,
        body: bytes | None = None,
    ) -> Page:
        """Make a request, follow its redirects, and return the answer, whatever its status is.

        ``headers`` gives those for each address in turn, with names in lower case, so that none meant for one host
        reaches another.
        Raises WebRefused or WebError.
        """
        until = monotonic() + self._time
        target = _parsed(url)
        for _ in range(self._redirects + 1):
            check(target)
            given = {} if headers is None else dict(headers(target))
            page = self._ask(_Request(method, given, body), target, until)
            if page.status not in _REDIRECTS or "location" not in page.headers:
                return page
            target = _parsed(page.headers["location"], target)
            if page.status not in (307, 308) and method not in ("GET", "HEAD"):
                method, body = "GET", None
        raise WebError(f"more than {self._redirects} redirects")

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Made at first need and once: reading the certificates takes some 20 ms.
        return self._own_tls or httpx.create_ssl_context(trust_env=False)

    def _ask(self, asked: _Request, target: httpx.URL, until: float) -> Page:
        try:
            tls = self._tls if target.scheme == "https" else None
            network = CheckedNetwork(self._rules, until)
            with httpcore.ConnectionPool(tls, network_backend=network) as pool:
                return self._receive(pool, asked, target, until)
        except httpcore.TimeoutException:
            raise WebError(f"{target.host} did not answer within {self._time:g} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, ssl.SSLError) as error:
            raise WebError(f"{target.host} cannot be reached: {str(error)[:200] or type(error).__name__}") from None

    def _receive(self, pool: httpcore.ConnectionPool, asked: _Request, target: httpx.URL, until: float) -> Page:
        left = max(0.001, until - monotonic())
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), left)
        headers: Any = {
            "Host": target.netloc.decode(),
            "Accept-Encoding": ACCEPTED,
            "User-Agent": "cloche",
            **asked.headers,
        }
        request = (asked.method, str(target.copy_with(fragment=None)))
        try:
            stream = pool.stream(*request, headers=headers, content=asked.body, extensions={"timeout": timeouts})
        except (TypeError, ValueError, UnicodeError) as error:
            raise WebError(f"the request cannot be written: {error}") from None
        with stream as response:
            return self._read(response, target)

    def _read(self, response: httpcore.Response, target: httpx.URL) -> Page:
        headers = _headers(response.headers)
        unpack = inflater(headers.get("content-encoding", "")).unpack
        body = bytearray()
        for piece in response.iter_stream():
            body += unpack(piece, self._size + 1 - len(body))
            if len(body) > self._size:
                break
        return Page(str(target), response.status, headers, bytes(body[: self._size]), len(body) > self._size)


def _headers(raw: Any) -> dict[str, str]:
    pairs = ((name.decode("ascii", "replace").lower(), value.decode("latin-1")) for name, value in raw)
    return {name: value for name, value in pairs if name not in _HIDDEN_HEADERS}


def _parsed(url: str, base: httpx.URL | None = None) -> httpx.URL:
    """Return the address, seen from another if that is given. Raises WebRefused unless it is plain http or https."""
    try:
        fits = 0 < len(url) <= _MAX_URL and url.isprintable() and " " not in url
        parsed = (base or httpx.URL()).join(url) if fits else None
    except (httpx.InvalidURL, ValueError, TypeError):
        parsed = None
    if parsed is None or parsed.scheme not in ("http", "https") or not parsed.host:
        raise WebRefused(f"{url[:100]!r} is not an http or https address")
    if parsed.userinfo:
        raise WebRefused("an address with a user name or password in it is not asked for")
    address = _AFTER_PATH.split(url, maxsplit=1)[0]
    path = (address.partition("://")[2] or address).split("/")
    if ".." in path and "" in path[1:-1]:
        # Some take the empty step for one to go back from, others do not see it.
        raise WebRefused(f"{url[:100]!r} has a path that servers read in several ways")
    return parsed
