"""Addresses between text and bytes, as the C library does it, for programs that compute with them."""

import ipaddress

__all__ = ["inet_aton", "inet_ntoa", "inet_ntop", "inet_pton"]

_SIZES = {2: 4, 10: 16}  # by address family: AF_INET, AF_INET6
_BITS = 32


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
