"""The module ``_socket`` of a system without a network.

``socket``, ``asyncio``, ``http`` and ``urllib`` import as usual; whatever would reach the network raises OSError.
"""

import struct
import sys
from typing import Any, NoReturn

from cloche_guest.addresses import inet_aton, inet_ntoa, inet_ntop, inet_pton
from cloche_guest.reasons import NO_NETWORK

# fmt: off
__all__ = [
    "AF_INET", "AF_INET6", "AF_UNIX", "AF_UNSPEC", "AI_ADDRCONFIG", "AI_CANONNAME", "AI_NUMERICHOST", "AI_PASSIVE",
    "EAI_AGAIN", "EAI_FAIL", "EAI_FAMILY", "EAI_NONAME", "INADDR_ANY", "INADDR_BROADCAST", "INADDR_LOOPBACK",
    "IPPROTO_ICMP", "IPPROTO_IP", "IPPROTO_IPV6", "IPPROTO_TCP", "IPPROTO_UDP", "IPV6_V6ONLY", "MSG_DONTWAIT",
    "MSG_OOB", "MSG_PEEK", "MSG_WAITALL", "NI_NUMERICHOST", "NI_NUMERICSERV", "SHUT_RD", "SHUT_RDWR", "SHUT_WR",
    "SOCK_CLOEXEC", "SOCK_DGRAM", "SOCK_NONBLOCK", "SOCK_RAW", "SOCK_STREAM", "SOL_SOCKET", "SOMAXCONN",
    "SO_BROADCAST", "SO_ERROR", "SO_KEEPALIVE", "SO_LINGER", "SO_RCVBUF", "SO_REUSEADDR", "SO_SNDBUF", "SO_TYPE",
    "TCP_KEEPCNT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_NODELAY", "SocketType", "close", "dup", "error",
    "gaierror", "getaddrinfo", "getdefaulttimeout", "gethostbyaddr", "gethostbyname", "gethostbyname_ex",
    "gethostname", "getnameinfo", "getprotobyname", "getservbyname", "getservbyport", "has_ipv6", "herror", "htonl",
    "htons", "if_nameindex", "if_nametoindex", "inet_aton", "inet_ntoa", "inet_ntop", "inet_pton", "ntohl", "ntohs",
    "setdefaulttimeout", "sethostname", "socket", "timeout",
]
# fmt: on

# Linux's numbers: programs print and compare them, nothing else.
AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6 = 0, 1, 2, 10
SOCK_STREAM, SOCK_DGRAM, SOCK_RAW = 1, 2, 3
SOCK_NONBLOCK, SOCK_CLOEXEC = 0o4000, 0o2000000
SOL_SOCKET, SOMAXCONN = 1, 4096
SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, SO_LINGER = 2, 3, 4, 6, 7, 8, 9, 13
IPPROTO_IP, IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6 = 0, 1, 6, 17, 41
TCP_NODELAY, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT = 1, 4, 5, 6
IPV6_V6ONLY = 26
MSG_OOB, MSG_PEEK, MSG_DONTWAIT, MSG_WAITALL = 1, 2, 64, 256
SHUT_RD, SHUT_WR, SHUT_RDWR = 0, 1, 2
AI_PASSIVE, AI_CANONNAME, AI_NUMERICHOST, AI_ADDRCONFIG = 1, 2, 4, 32
EAI_NONAME, EAI_AGAIN, EAI_FAIL, EAI_FAMILY = -2, -3, -4, -6
NI_NUMERICHOST, NI_NUMERICSERV = 1, 2
INADDR_ANY, INADDR_LOOPBACK, INADDR_BROADCAST = 0, 0x7F000001, 0xFFFFFFFF
has_ipv6 = False
error = OSError
timeout = TimeoutError
_default_timeout: float | None = None


class herror(OSError):
    """The name could not be looked up; kept for ``except socket.herror``."""

    __module__ = "socket"


class gaierror(OSError):
    """The address could not be found; raised by every look-up."""

    __module__ = "socket"


class socket:
    """Cannot be made: every use of it raises OSError."""

    __slots__ = ()  # Lib/socket.py adds its own, __weakref__ among them

    family = type = proto = -1
    timeout: float | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse()

    def close(self) -> None:
        """Do nothing: it was never open."""

    def fileno(self) -> int:
        """Return -1, as a closed socket does."""
        return -1


SocketType = socket


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise OSError(NO_NETWORK)


def _no_address(*args: Any, **kwargs: Any) -> NoReturn:
    raise gaierror(EAI_FAIL, NO_NETWORK)


getaddrinfo = getnameinfo = gethostbyname = gethostbyname_ex = gethostbyaddr = _no_address
getservbyname = getservbyport = getprotobyname = if_nameindex = if_nametoindex = _refuse
dup = close = sethostname = _refuse


def gethostname() -> str:
    """Return ``localhost``."""
    return "localhost"


def getdefaulttimeout() -> float | None:
    """Return the seconds set last, None at first."""
    return _default_timeout


def setdefaulttimeout(timeout: float | None, /) -> None:
    """Remember the seconds; no socket will ever use them."""
    global _default_timeout
    if timeout is not None and timeout < 0:
        raise ValueError("Timeout value out of range")
    _default_timeout = timeout


def _swap(number: int, code: str) -> int:
    """Turn a number between the host's byte order and the network's; raises OverflowError like the C function."""
    try:
        packed = struct.pack(f"!{code}", number)
    except struct.error:
        raise OverflowError(f"number does not fit {struct.calcsize(f'!{code}')} bytes") from None
    return int.from_bytes(packed, sys.byteorder)


def htons(x: int, /) -> int:
    """Return a 16-bit number in network byte order."""
    return _swap(x, "H")


def htonl(x: int, /) -> int:
    """Return a 32-bit number in network byte order."""
    return _swap(x, "I")


ntohs, ntohl = htons, htonl
