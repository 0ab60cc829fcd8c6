"""Which addresses may be connected to, where urls come from people who are not trusted."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from yarl import URL

from rxorch.errors import ApiAddressRefusedError, ApiConfigurationError

__all__ = ["AddressGate", "AddressRefused"]

Network = IPv4Network | IPv6Network

_REFUSED_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by the customers of a provider (CGNAT)
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; where clouds tell their machines secrets
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# Of IPv6 only what is handed out worldwide may be connected to. That leaves out loopback, link-local,
# unique local, multicast, mapped IPv4 (::ffff:0:0/96) and both NAT64 prefixes (64:ff9b::/96, 64:ff9b:1::/48).
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_REFUSED_V6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",  # documentation
    )
)


class AddressRefused(OSError):
    """What a connector hears of an address that the gate keeps shut."""


class AddressGate:
    """Keeps requests away from addresses that are not on the public internet.

    It looks at the address that a connection is about to be made to, after the name was resolved and for
    each connection anew: a name that points somewhere else the second time does not get past it, nor does an
    address written in an unusual way. Refused are loopback, private, link-local, shared (CGNAT), multicast
    and reserved addresses, and those of IPv6 in which one of IPv4 hides (mapped, NAT64, 6to4, Teredo).

    It cannot see where a proxy connects to: a transport takes either a gate or a proxy. Nor does it see what
    a test double answers in the place of the network.

    Args:
        allow_hosts: if given, no other host may be called; ``"*.example.com"`` stands for all names below
            ``example.com``. Their addresses are checked as well.
        allow_networks: networks that may be connected to although they are not public (``"10.1.0.0/16"``).
        deny_networks: networks that may not, although they are public or in ``allow_networks``.
        ports: if given, no other port may be called.

    Raises:
        ApiConfigurationError: something that is no host, network or port.

    Example:
        >>> gate = AddressGate(allow_networks=["10.1.0.0/16"], ports=[443])
        >>> [gate.allows(address) for address in ("8.8.8.8", "10.1.2.3", "10.2.0.1", "::ffff:8.8.8.8")]
        [True, True, False, False]
    """

    __slots__ = ("_allow", "_deny", "_hosts", "_ports", "_suffixes")

    def __init__(
        self,
        *,
        allow_hosts: Iterable[str] | None = None,
        allow_networks: Iterable[str | Network] = (),
        deny_networks: Iterable[str | Network] = (),
        ports: Iterable[int] | None = None,
    ) -> None:
        self._allow = _networks("allow_networks", allow_networks)
        self._deny = _networks("deny_networks", deny_networks)
        self._hosts: frozenset[str] | None = None
        self._suffixes: tuple[str, ...] = ()
        if allow_hosts is not None:
            names = _listed("allow_hosts", allow_hosts)
            self._hosts = frozenset(_name(name) for name in names if not str(name).startswith("*."))
            self._suffixes = tuple(f".{_name(name[2:])}" for name in names if str(name).startswith("*."))
        self._ports = None if ports is None else frozenset(_listed("ports", ports))
        if not all(isinstance(port, int) and 0 < port < 65536 for port in self._ports or ()):
            raise ApiConfigurationError("gate: ports are numbers from 1 to 65535")

    def check(self, url: URL) -> None:
        """Check the host and the port of ``url``; its address is checked when a connection is made.

        Raises:
            ApiAddressRefusedError: one of them is not allowed.
        """
        if self._ports is not None and url.port not in self._ports:
            raise ApiAddressRefusedError("the port of the url is not allowed")
        if self._hosts is None:
            return
        host = (url.raw_host or "").rstrip(".").lower()
        if host not in self._hosts and not host.endswith(self._suffixes or ("\0",)):
            raise ApiAddressRefusedError("the host of the url is not allowed")

    def allows(self, address: str) -> bool:
        """Tell whether a connection to this IP address may be made. What is no IP address is refused."""
        try:
            ip = ip_address(address)
        except ValueError:
            return False
        if any(ip in network for network in self._deny):
            return False
        return any(ip in network for network in self._allow) or _is_public(ip)

    def socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Make the socket of a connection, for aiohttp's ``TCPConnector(socket_factory=...)``.

        Args:
            info: what ``getaddrinfo`` says of the address that is about to be connected to.

        Raises:
            AddressRefused: it is not allowed.
        """
        family, kind, protocol, _, address = info
        if not self.allows(str(address[0])):
            raise AddressRefused
        return socket.socket(family, kind, protocol)


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    # By lists of our own: what ``is_global`` says has changed between versions of Python.
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _REFUSED_V4)
    return ip in _GLOBAL_V6 and not any(ip in network for network in _REFUSED_V6)


def _networks(name: str, given: Iterable[str | Network]) -> tuple[Network, ...]:
    networks = []
    for network in _listed(name, given):
        try:
            networks.append(ip_network(network))
        except ValueError:
            raise ApiConfigurationError(f"gate: {name} has {network!r}, which is no network") from None
    return tuple(networks)


def _listed(name: str, given: Iterable[Any]) -> list[Any]:
    if isinstance(given, str | bytes):
        raise ApiConfigurationError(f"gate: {name} is a list")
    return list(given)


def _name(host: str) -> str:
    try:
        # As it stands in a url: an international name in its ASCII form, IPv6 without brackets.
        bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
        name = URL(f"http://{bracketed}").raw_host
    except (ValueError, TypeError):
        name = None
    if not name or "*" in name or "/" in host or "@" in host:
        raise ApiConfigurationError(f"gate: allow_hosts has {host!r}, which is no name of a host")
    return name.rstrip(".").lower()
