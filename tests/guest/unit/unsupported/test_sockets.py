"""The stand-in for _socket, against the real one where both can answer."""

import socket as real
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloche_guest.unsupported import select, sockets

FAMILIES = (real.AF_INET, real.AF_INET6)


@given(data=st.binary(min_size=4, max_size=4))
def test_ipv4_addresses_agree(data: bytes) -> None:
    assert sockets.inet_ntoa(data) == real.inet_ntoa(data)
    assert sockets.inet_aton(real.inet_ntoa(data)) == data
    assert sockets.inet_pton(2, real.inet_ntoa(data)) == data
    assert sockets.inet_ntop(2, data) == real.inet_ntop(real.AF_INET, data)


@given(data=st.binary(min_size=16, max_size=16))
def test_ipv6_addresses_agree(data: bytes) -> None:
    assert sockets.inet_pton(10, real.inet_ntop(real.AF_INET6, data)) == data
    assert sockets.inet_pton(10, sockets.inet_ntop(10, data)) == data


@pytest.mark.parametrize("text", ["1", "1.2", "1.2.3", "0x7f.1", "0177.1", "1.65535", "255.16777215", "4294967295"])
def test_short_forms_agree(text: str) -> None:
    assert sockets.inet_aton(text) == real.inet_aton(text)


@pytest.mark.parametrize(
    "text", ["", "1.2.3.4.5", "256.1", "1.2.3.256", "1.2.65536", "x", "1..2", "4294967296", "08.1", "-1"]
)
def test_malformed_addresses_are_refused_by_both(text: str) -> None:
    for module in (sockets, real):
        with pytest.raises(OSError, match="illegal IP address"):
            module.inet_aton(text)


@pytest.mark.parametrize(
    ("family", "text"), [(2, "::1"), (10, "1.2.3.4"), (2, "1.2.3"), (10, "1::2::3"), (7, "1.2.3.4")]
)
def test_inet_pton_refuses(family: int, text: str) -> None:
    with pytest.raises(OSError, match=r"illegal IP|unknown address family"):
        sockets.inet_pton(family, text)


def test_wrong_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="invalid length"):
        sockets.inet_ntop(2, b"123")
    with pytest.raises(OSError, match="wrong length"):
        sockets.inet_ntoa(b"123")


@given(number=st.integers(0, 0xFFFFFFFF))
def test_byte_order_agrees(number: int) -> None:
    assert sockets.htonl(number) == real.htonl(number)
    assert sockets.ntohs(number & 0xFFFF) == real.ntohs(number & 0xFFFF)


@pytest.mark.parametrize("number", [-1, 1 << 16])
def test_numbers_out_of_range_are_refused(number: int) -> None:
    with pytest.raises(OverflowError):
        sockets.htons(number)


LOOKUPS: list[Any] = [
    lambda: sockets.getaddrinfo("example.org", 80),
    lambda: sockets.gethostbyname("example.org"),
    lambda: sockets.socket(2, 1),
    lambda: select.select([1], [], [], 0),
    lambda: select.select([], [], []),
]


@pytest.mark.parametrize("attempt", LOOKUPS)
def test_the_network_says_why_not(attempt: Any) -> None:
    with pytest.raises(OSError, match=r"there is no network in this sandbox: .* registered tools"):
        attempt()


def test_select_of_nothing_waits() -> None:
    assert select.select([], [], [], 0) == ([], [], [])


def test_the_default_timeout_is_kept() -> None:
    sockets.setdefaulttimeout(2.5)
    assert sockets.getdefaulttimeout() == 2.5
    sockets.setdefaulttimeout(None)
    with pytest.raises(ValueError, match="out of range"):
        sockets.setdefaulttimeout(-1)


def test_constants_are_linuxs() -> None:
    module = vars(types.ModuleType("none"))
    for name, value in vars(sockets).items():
        if name.isupper() and name not in module and name not in ("NO_NETWORK", "CAPI") and hasattr(real, name):
            assert value == getattr(real, name), name
    assert type(sockets.CAPI) is type(vars(real)["CAPI"])
