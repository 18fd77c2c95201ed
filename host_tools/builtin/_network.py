"""Where on the network a tool may go.

Allow-lists of URLs, rules for addresses, and connections that are made to checked addresses only.
"""

import ipaddress
import posixpath
import socket
from collections.abc import Iterable
from typing import Any, cast
from urllib.parse import unquote

import httpcore
import httpx

from cloche.runtime.errors import ClocheError, ConfigurationError

__all__ = ["Address", "AddressRules", "AllowList", "CheckedNetwork", "WebError", "WebRefused"]


class WebError(ClocheError):
    """A request failed. In the guest it is a ConnectionError with this text."""

    guest_type = "ConnectionError"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.guest_message = message


class WebRefused(WebError):
    """A request that this host does not make, for anybody. In the guest it is a PermissionError."""

    guest_type = "PermissionError"


Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Prefixes under which an IPv6 address only wraps an IPv4 one: what is behind them decides.
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.IPv6Network("::/96")


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
    look-up is made. TLS still verifies the name.
    """

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules
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
                return self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
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
        addresses = _resolve(host, port)
        # All of them: a name that mixes public and private addresses is an attack, not a service.
        if not all(map(self._rules.allows, addresses)):
            raise WebRefused(f"{host!r} is not a public address")
        return addresses


def _resolve(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
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
        self._path = url.path if url.path.endswith("/") else f"{url.path}/"

    def allows(self, url: httpx.URL) -> bool:
        # Unquoted and normal, as the server may read it: /v1/%2e%2e/admin is not below /v1/.
        path = posixpath.normpath(unquote(unquote(url.path))) + "/"
        return (url.scheme, _normal(url.host), url.port) == self._origin and path.startswith(self._path)


def _normal(host: str) -> str:
    return host.rstrip(".").lower()
