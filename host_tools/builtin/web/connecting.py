"""Connections to allowed addresses only, whatever a name resolves to and whenever."""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any, cast

import httpcore

from cloche.host_tools.builtin.web.addresses import Address, AddressRules
from cloche.host_tools.builtin.web.errors import WebRefused

__all__ = ["CheckedNetwork"]


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
