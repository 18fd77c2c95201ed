"""Which addresses of the network a tool may talk to."""

import ipaddress
from collections.abc import Iterable

from cloche.runtime.errors import ConfigurationError

__all__ = ["Address", "AddressRules"]

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
