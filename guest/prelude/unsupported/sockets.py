"""The module ``_socket`` of a system without a network.

``socket``, ``asyncio``, ``http`` and ``urllib`` import as usual; whatever would reach the network raises OSError.
Addresses are converted between text and bytes as the C library does it.
"""

import datetime
import ipaddress
import struct
import sys
from typing import Any, NoReturn

from cloche_guest.unsupported.reasons import NO_NETWORK

# fmt: off
__all__ = [
    "AF_INET",
    "AF_INET6",
    "AF_NETLINK",
    "AF_PACKET",
    "AF_UNIX",
    "AF_UNSPEC",
    "AI_ADDRCONFIG",
    "AI_ALL",
    "AI_CANONNAME",
    "AI_NUMERICHOST",
    "AI_NUMERICSERV",
    "AI_PASSIVE",
    "AI_V4MAPPED",
    "CAPI",
    "EAI_AGAIN",
    "EAI_BADFLAGS",
    "EAI_FAIL",
    "EAI_FAMILY",
    "EAI_MEMORY",
    "EAI_NONAME",
    "EAI_SERVICE",
    "EAI_SOCKTYPE",
    "EAI_SYSTEM",
    "INADDR_ALLHOSTS_GROUP",
    "INADDR_ANY",
    "INADDR_BROADCAST",
    "INADDR_LOOPBACK",
    "INADDR_NONE",
    "IPPROTO_ICMP",
    "IPPROTO_ICMPV6",
    "IPPROTO_IP",
    "IPPROTO_IPV6",
    "IPPROTO_RAW",
    "IPPROTO_TCP",
    "IPPROTO_UDP",
    "IPV6_JOIN_GROUP",
    "IPV6_LEAVE_GROUP",
    "IPV6_MULTICAST_HOPS",
    "IPV6_MULTICAST_IF",
    "IPV6_MULTICAST_LOOP",
    "IPV6_UNICAST_HOPS",
    "IPV6_V6ONLY",
    "IP_ADD_MEMBERSHIP",
    "IP_DROP_MEMBERSHIP",
    "IP_HDRINCL",
    "IP_MULTICAST_IF",
    "IP_MULTICAST_LOOP",
    "IP_MULTICAST_TTL",
    "IP_TOS",
    "IP_TTL",
    "MSG_CTRUNC",
    "MSG_DONTROUTE",
    "MSG_DONTWAIT",
    "MSG_NOSIGNAL",
    "MSG_OOB",
    "MSG_PEEK",
    "MSG_TRUNC",
    "MSG_WAITALL",
    "NI_DGRAM",
    "NI_NAMEREQD",
    "NI_NOFQDN",
    "NI_NUMERICHOST",
    "NI_NUMERICSERV",
    "SCM_RIGHTS",
    "SHUT_RD",
    "SHUT_RDWR",
    "SHUT_WR",
    "SOCK_CLOEXEC",
    "SOCK_DGRAM",
    "SOCK_NONBLOCK",
    "SOCK_RAW",
    "SOCK_RDM",
    "SOCK_SEQPACKET",
    "SOCK_STREAM",
    "SOL_IP",
    "SOL_SOCKET",
    "SOL_TCP",
    "SOL_UDP",
    "SOMAXCONN",
    "SO_BINDTODEVICE",
    "SO_BROADCAST",
    "SO_DEBUG",
    "SO_DONTROUTE",
    "SO_ERROR",
    "SO_KEEPALIVE",
    "SO_LINGER",
    "SO_OOBINLINE",
    "SO_RCVBUF",
    "SO_RCVTIMEO",
    "SO_REUSEADDR",
    "SO_REUSEPORT",
    "SO_SNDBUF",
    "SO_SNDTIMEO",
    "SO_TYPE",
    "TCP_CORK",
    "TCP_KEEPCNT",
    "TCP_KEEPIDLE",
    "TCP_KEEPINTVL",
    "TCP_MAXSEG",
    "TCP_NODELAY",
    "TCP_QUICKACK",
    "TCP_USER_TIMEOUT",
    "SocketType",
    "close",
    "dup",
    "error",
    "gaierror",
    "getaddrinfo",
    "getdefaulttimeout",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "gethostname",
    "getnameinfo",
    "getprotobyname",
    "getservbyname",
    "getservbyport",
    "has_ipv6",
    "herror",
    "htonl",
    "htons",
    "if_nameindex",
    "if_nametoindex",
    "inet_aton",
    "inet_ntoa",
    "inet_ntop",
    "inet_pton",
    "ntohl",
    "ntohs",
    "setdefaulttimeout",
    "sethostname",
    "socket",
    "timeout",
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
IP_TOS, IP_TTL, IP_HDRINCL, IP_MULTICAST_IF, IP_MULTICAST_TTL, IP_MULTICAST_LOOP = 1, 2, 3, 32, 33, 34
IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP = 35, 36
IPV6_UNICAST_HOPS, IPV6_MULTICAST_IF, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP, IPV6_JOIN_GROUP, IPV6_LEAVE_GROUP = (
    16,
    17,
    18,
    19,
    20,
    21,
)
IPPROTO_ICMPV6, IPPROTO_RAW = 58, 255
SO_DEBUG, SO_DONTROUTE, SO_OOBINLINE, SO_REUSEPORT, SO_RCVTIMEO, SO_SNDTIMEO = 1, 5, 10, 15, 20, 21
SO_BINDTODEVICE = 25
AF_NETLINK, AF_PACKET = 16, 17
SOCK_RDM, SOCK_SEQPACKET = 4, 5
MSG_DONTROUTE, MSG_CTRUNC, MSG_TRUNC, MSG_NOSIGNAL = 4, 8, 32, 16384
TCP_MAXSEG, TCP_CORK, TCP_QUICKACK, TCP_USER_TIMEOUT = 2, 3, 12, 18
AI_V4MAPPED, AI_ALL, AI_NUMERICSERV = 8, 16, 1024
NI_NOFQDN, NI_NAMEREQD, NI_DGRAM = 4, 8, 16
EAI_BADFLAGS, EAI_SOCKTYPE, EAI_SERVICE, EAI_MEMORY, EAI_SYSTEM = -1, -7, -8, -10, -11
SOL_IP, SOL_TCP, SOL_UDP = 0, 6, 17
SCM_RIGHTS = 1
INADDR_NONE, INADDR_ALLHOSTS_GROUP = 0xFFFFFFFF, 0xE0000001
has_ipv6 = False
# types.CapsuleType is the type of this name, whatever the capsule is for.
CAPI: Any = vars(datetime).get("datetime_CAPI")
error = OSError
timeout = TimeoutError
_default_timeout: float | None = None
_SIZES = {2: 4, 10: 16}  # by address family: AF_INET, AF_INET6
_BITS = 32


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

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise OSError. The methods are there for tests, which replace them or make doubles of the class."""
        raise OSError(NO_NETWORK)

    _accept = bind = connect = connect_ex = detach = getblocking = getpeername = getsockname = getsockopt = _refuse
    gettimeout = listen = recv = recv_into = recvfrom = recvfrom_into = recvmsg = recvmsg_into = send = _refuse
    sendall = sendmsg = sendto = setblocking = setsockopt = settimeout = shutdown = _refuse


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


def inet_aton(ip_addr: str, /) -> bytes:
    """Return the four bytes of an IPv4 address; one to four parts, each decimal, 0x hexadecimal or 0 octal."""
    try:
        *leading, last = [_number(part) for part in ip_addr.split(".")]
        value = last
        for index, part in enumerate(leading):
            value += _checked(part, 1 << 8) << (_BITS - 8 * (index + 1))
        _checked(last, 1 << (_BITS - 8 * len(leading)))
        return value.to_bytes(4, "big")
    except (ValueError, OverflowError):
        raise OSError("illegal IP address string passed to inet_aton") from None


def inet_ntoa(packed_ip: bytes, /) -> str:
    """Return the dotted text of four bytes."""
    if len(packed_ip) != 4:
        raise OSError("packed IP wrong length")
    return ".".join(map(str, bytes(packed_ip)))


def inet_pton(address_family: int, ip_string: str, /) -> bytes:
    """Return the bytes of an IPv4 or IPv6 address in its usual text form."""
    size = _size(address_family)
    try:
        packed = ipaddress.ip_address(ip_string).packed
    except ValueError:
        packed = b""
    if len(packed) != size:
        raise OSError("illegal IP address string passed to inet_pton")
    return packed


def inet_ntop(address_family: int, packed_ip: bytes, /) -> str:
    """Return the usual text of 4 or 16 bytes."""
    if len(packed_ip) != _size(address_family):
        raise ValueError("invalid length of packed IP address string")
    return str(ipaddress.ip_address(bytes(packed_ip)))


def _size(family: int) -> int:
    if family not in _SIZES:
        raise OSError(f"unknown address family {family}")
    return _SIZES[family]


def _number(text: str) -> int:
    if not text or not text[0].isdigit():
        raise ValueError(text)
    if text[:2].lower() == "0x":
        return int(text[2:], 16)
    return int(text, 8) if text[0] == "0" else int(text)


def _checked(number: int, bound: int) -> int:
    if number >= bound:
        raise ValueError(number)
    return number
