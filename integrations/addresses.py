"""Which addresses of the network are public. No Django here: a process of its own uses it too."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: IPv6 that carries an IPv4 address, which is where it really leads: NAT64 (RFC 6052, 8215).
_CARRIERS = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


def address_in(text: str) -> IPAddress:
    """The address as it is connected to, without its zone; an IPv4 address that is written as IPv6
    is the IPv4 address.

    Raises:
        ValueError: it is no address.
    """
    ip = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    carried = ip.ipv4_mapped or ip.sixtofour
    if carried is None and ip.teredo is not None:
        carried = ip.teredo[1]
    if carried is None and any(ip in network for network in _CARRIERS):
        carried = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return carried or ip


def is_public(ip: IPAddress) -> bool:
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def is_within(ip: IPAddress, entries: Iterable[str]) -> bool:
    """Whether one of these networks or addresses has it; names are passed over."""
    for entry in entries:
        try:
            if ip in ipaddress.ip_network(entry):
                return True
        except ValueError:
            continue
    return False
