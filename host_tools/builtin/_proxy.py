"""The one way from a browser to the network: a SOCKS proxy on this machine that connects to checked addresses only."""

import ipaddress
import socket
import struct
import threading
from collections import deque
from contextlib import suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any, cast

from cloche.host_tools.builtin._network import AddressRules, CheckedNetwork, WebError

__all__ = ["CheckedProxy"]

_VERSION, _NO_PASSWORD, _CONNECT = 5, 0, 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_CONNECTED, _REFUSED, _FAILED = 0, 2, 4
_CHUNK = 1 << 16


class CheckedProxy(ThreadingTCPServer):
    """Serves SOCKS 5 on a port of this machine until :meth:`close`. Names are resolved here, once, and checked.

    ``problems`` are the latest reasons why a connection was not made.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, rules: AddressRules, timeout: float) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.network = CheckedNetwork(rules)
        self.seconds = timeout
        self.problems: deque[str] = deque(maxlen=20)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="cloche-proxy", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def close(self) -> None:
        """Take no more connections. Safe to call twice."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser leaves connections as it likes."""


class _Connection(BaseRequestHandler):
    request: socket.socket

    def handle(self) -> None:
        """Connect as the browser asks, and pass on what both say."""
        proxy = cast("CheckedProxy", self.server)
        self.request.settimeout(proxy.seconds)
        host, port = self._asked()
        try:
            stream = proxy.network.connect_tcp(host, port, proxy.seconds)
        except Exception as error:
            proxy.problems.append(f"{host[:200]}: {error}")
            self._answer(_REFUSED if isinstance(error, WebError) else _FAILED)
            return
        with suppress(OSError), stream.get_extra_info("socket") as far:
            self._answer(_CONNECTED)
            for side in (self.request, far):
                side.settimeout(None)
            back = threading.Thread(target=_pass_on, args=(far, self.request), daemon=True)
            back.start()
            _pass_on(self.request, far)
            back.join()

    def _asked(self) -> tuple[str, int]:
        version, methods = self._read(2)
        self._read(methods)
        if version != _VERSION:
            raise OSError("not SOCKS 5")
        self.request.sendall(bytes((_VERSION, _NO_PASSWORD)))
        _, command, _, kind = self._read(4)
        if command != _CONNECT:
            self._answer(7)
            raise OSError("connections only")
        if kind == _NAME:
            host = self._read(self._read(1)[0]).decode("ascii", "replace")
        else:
            host = str(ipaddress.ip_address(self._read(4 if kind == _IPV4 else 16)))
        return host, int(struct.unpack("!H", self._read(2))[0])

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.request.recv(count - len(data))
            if not piece:
                raise OSError("the browser left")
            data += piece
        return data

    def _answer(self, code: int) -> None:
        self.request.sendall(bytes((_VERSION, code, 0, _IPV4)) + bytes(6))


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(_CHUNK):
            other.sendall(data)
    for side, how in ((other, socket.SHUT_WR), (one, socket.SHUT_RD)):
        with suppress(OSError):
            side.shutdown(how)
