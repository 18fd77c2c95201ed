"""Where on the network a tool may go.

Allow-lists of URLs, rules for addresses, and connections that are made to checked addresses only.
"""

import ipaddress
import math
import re
import socket
import ssl
import unicodedata
from collections.abc import Iterable
from time import monotonic
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import httpcore
import httpx

from cloche.runtime.errors import ConfigurationError, GuestVisibleError
from cloche.runtime.threads import Expired, call_on_thread

__all__ = ["Address", "AddressRules", "AllowList", "CheckedNetwork", "WebError", "WebRefused"]


class WebError(GuestVisibleError):
    """A request failed. In the guest it is a ConnectionError with this text."""

    guest_type = "ConnectionError"


class WebRefused(WebError):
    """A request that this host does not make. In the guest it is a PermissionError."""

    guest_type = "PermissionError"


Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Prefixes under which an IPv6 address only wraps an IPv4 one: what is behind them decides.
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_DECODINGS = 5
_ESCAPE = re.compile("%[0-9a-fA-F]{2}")
_UNICODE_ESCAPE = re.compile("%u[0-9a-fA-F]{4}")
# Control characters, and those without a width.
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp"})
# Bytes written under one timeout.
_WRITTEN = 1 << 16


class AddressRules:
    """Allows public addresses, and the private networks named in ``private`` (``"127.0.0.1"``, ``"10.0.0.0/8"``).

    Everything else is refused: loopback, private and link-local networks, the cloud's metadata address among
    them, multicast, and reserved ranges, also where an IPv6 address wraps them.
    Raises ConfigurationError for a network that is none.
    """

    def __init__(self, private: Iterable[str] = ()) -> None:
        self._private = [_network(text) for text in private]

    def allows(self, address: Address) -> bool:
        """Return whether connections may be made to the address."""
        if any(address in network for network in self._private if network.version == address.version):
            return True
        inner = _unwrapped(address)
        if inner is not None:
            return self.allows(inner)
        return address.is_global and not address.is_multicast and not _is_site_local(address)


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigurationError("private", f"{error}; write '127.0.0.1' or '10.0.0.0/8'") from None


def _unwrapped(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    wrapped = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if wrapped is not None:
        return wrapped
    low = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if any(address in network for network in _NAT64):
        return low
    # ::1 and :: are addresses of their own.
    return low if address in _COMPATIBLE and int(address) > 1 else None


def _is_site_local(address: Address) -> bool:
    return isinstance(address, ipaddress.IPv6Address) and address.is_site_local


class CheckedNetwork(httpcore.NetworkBackend):
    """Resolves a name once, checks every address of it, and connects to a checked address, not to the name.

    A name that resolves to something else a moment later (DNS rebinding) therefore changes nothing: no second
    look-up is made. TLS still verifies the name. ``until``, on ``time.monotonic``'s clock, ends everything: a peer that
    sends a byte now and then keeps every timeout of a single read or write from being reached.
    """

    def __init__(self, rules: AddressRules, until: float = math.inf) -> None:
        self._rules = rules
        self._until = until
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers. Raises WebRefused if one of the name's is not allowed."""
        error: Exception = httpcore.ConnectError(f"no address is known for {host!r}")
        for address in self._checked(host, port):
            try:
                stream = self._inner.connect_tcp(
                    str(address), port, _left(self._until, timeout), local_address, socket_options
                )
                return _TimedStream(stream, self._until)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failure:
                error = failure
        raise error

    def connect_unix_socket(self, path: str, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        """Refuse: a socket file is never what an address of the web means."""
        raise WebRefused("connections go to addresses of the network only")

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._inner.sleep(seconds)

    def _checked(self, host: str, port: int) -> list[Address]:
        addresses = _resolve(host, port, self._until)
        # All of them: a name that mixes public and private addresses is an attack, not a service.
        if not all(map(self._rules.allows, addresses)):
            raise WebRefused(f"{host!r} is not a public address")
        return addresses


class _TimedStream(httpcore.NetworkStream):
    """A connection of which no read or write lasts beyond one moment."""

    def __init__(self, inner: httpcore.NetworkStream, until: float) -> None:
        self._inner = inner
        self._until = until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(self._until, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _WRITTEN):
            self._inner.write(buffer[start : start + _WRITTEN], _left(self._until, timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secure = self._inner.start_tls(ssl_context, server_hostname, _left(self._until, timeout))
        return _TimedStream(secure, self._until)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(until: float, timeout: float | None) -> float | None:
    left = until - monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    if timeout is not None:
        left = min(left, timeout)
    return None if left == math.inf else left


def _resolve(host: str, port: int, until: float) -> list[Address]:
    def look_up() -> list[Any]:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    try:
        # The resolver takes no timeout of ours, and waits for a silent server for half a minute and more.
        found = call_on_thread(look_up, _left(until, None))
    except Expired:
        raise httpcore.ConnectTimeout from None
    except (OSError, UnicodeError):
        raise httpcore.ConnectError(f"the name {host!r} cannot be resolved") from None
    # An address may carry its interface, as in fe80::1%eth0.
    texts = dict.fromkeys(str(cast("tuple[Any, ...]", entry[4])[0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(text) for text in texts]


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
        spelt = _spellings(url)
        if spelt is None:
            raise ConfigurationError("allow", f"{entry!r} has a path that servers read in several ways")
        self._sent = _below(_sent(url))
        self._path = _below(spelt[0])

    def allows(self, url: httpx.URL) -> bool:
        spelt = _spellings(url)
        below = spelt is not None and all(f"{path}/".startswith(self._path) for path in spelt)
        # Not every server takes %2f for a slash: "/v1%2fx" may be one name, which is not below "/v1/".
        return (
            below
            and f"{_sent(url)}/".startswith(self._sent)
            and (url.scheme, _normal(url.host), url.port) == self._origin
        )


def _below(path: str) -> str:
    return f"{path.rstrip('/')}/"


def _sent(url: httpx.URL) -> str:
    """Return the path as it is sent, its escapes spelt in one way."""
    return _ESCAPE.sub(lambda escape: escape[0].upper(), url.raw_path.partition(b"?")[0].decode("ascii"))


def _spellings(url: httpx.URL) -> list[str] | None:
    """Return the path as servers may read it, decoded once, twice, ...; None if it may be read as leading upwards.

    Proxies, frameworks and file systems each have their own idea of what steps up: ``..``, ``..;x``, ``..\\``,
    ``.%00.``, overlong UTF-8, wide dots, all of them encoded once or twice. No service needs any of these.
    """
    path, spelt = url.raw_path.partition(b"?")[0], list[str]()
    for _ in range(_DECODINGS):
        decoded = unquote_to_bytes(path)
        text = _plain_path(decoded)
        if text is None:
            return None
        spelt.append(text)
        if decoded == path:
            return spelt
        path = decoded
    return None


def _plain_path(raw: bytes) -> str | None:
    try:
        path = raw.decode()
    except UnicodeDecodeError:
        return None
    shown = unicodedata.normalize("NFKC", path)
    if "\\" in shown or _UNICODE_ESCAPE.search(shown) or not _UNSEEN.isdisjoint(map(unicodedata.category, path)):
        return None
    return None if any(map(_steps, shown.split("/"))) else path


def _steps(segment: str) -> bool:
    return segment != "" and not segment.partition(";")[0].strip(" .")


def _normal(host: str) -> str:
    return host.rstrip(".").lower()
