"""What a server allows: limits, token, host names, and which address it may listen on."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any, Final

from rxorch.errors import ApiConfigurationError

__all__ = ["LOOPBACK_HOSTS", "ServerLimits", "check_bind", "check_hosts", "check_origins", "check_token"]

LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
"""Names by which a server on loopback is called."""

_SHORTEST_TOKEN: Final = 16
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750, section 2.1
_HOST: Final = re.compile(r"[^:\[\]/?#@\s]+")
_ORIGIN: Final = re.compile(r"https?://[^/?#\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """How much a client may send, and how long it may take.

    Attributes:
        body_bytes: Of a JSON body after decompression, and of each line of a stream.
        head_seconds: For the head of a request, from its first byte; of the first request of a connection
            from the beginning of the connection.
        body_seconds: For a JSON body.
        idle_seconds: For a connection between requests; for a stream, how long the client may send nothing;
            how long it may take nothing of what it is sent (of an answer in one piece: on Linux).
        connections: At once. What comes beyond is answered 503 and closed.
        runs: Requests that run a flow or wait for a saga, and runs of flows in the background, at once; a
            stream is one. What comes beyond is answered 503.
        sagas: Runs of sagas that this process drives, at once. What comes beyond is answered 503.
        listeners: Answers of server-sent events, at once. What comes beyond is answered 503.
        kept_runs: Runs of flows that are known after their end. Those of sagas are in their journal.
        kept_bytes: Of results and events of these; the oldest are forgotten first.

    `head_seconds` and `connections` are kept by `Serving`; another server has to do that by itself.

    >>> ServerLimits(runs=20).body_bytes
    1048576
    """

    body_bytes: int = 1024 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 60.0
    connections: int = 256
    runs: int = 100
    sagas: int = 1000
    listeners: int = 64
    kept_runs: int = 1000
    kept_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        """Refuses what is no limit."""
        for each in fields(self):
            value: Any = getattr(self, each.name)
            kind = (int, float) if each.name.endswith("_seconds") else int
            if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < float("inf"):
                raise ApiConfigurationError(f"{each.name}: give a number above 0")


def check_token(token: str | None) -> str | None:
    """Refuses a token that is easily guessed or cannot be sent. No message shows it."""
    if token is None:
        return None
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
        raise ApiConfigurationError("token: give letters, digits and -._~+/ (RFC 6750), without spaces")
    if len(token) < _SHORTEST_TOKEN:
        raise ApiConfigurationError(f"token: give {_SHORTEST_TOKEN} characters or more")
    return token


def check_hosts(hosts: Collection[str]) -> frozenset[str]:
    """Host names in lower case, addresses of IPv6 without brackets; `*` is any."""
    if isinstance(hosts, str):
        raise ApiConfigurationError("hosts: give a list of host names")
    return frozenset(map(_checked_host, hosts))


def _checked_host(host: str) -> str:
    if isinstance(host, str):
        if _HOST.fullmatch(host) is not None:
            return host.lower()
        bare = host.lower().removeprefix("[").removesuffix("]")
        try:
            ipaddress.IPv6Address(bare)
        except ValueError:
            pass
        else:
            return bare
    raise ApiConfigurationError(f"hosts: {host!r}: give a name or an address, without scheme, port and path")


def check_origins(origins: Collection[str]) -> frozenset[str]:
    """Origins such as `https://app.example.com`."""
    if isinstance(origins, str):
        raise ApiConfigurationError("origins: give a list of origins")
    for origin in origins:
        if not isinstance(origin, str) or _ORIGIN.fullmatch(origin) is None:
            raise ApiConfigurationError("origins: give each as https://host or https://host:port")
    return frozenset(origin.lower() for origin in origins)


def check_bind(host: str, *, has_token: bool) -> None:
    """Refuses to listen where others can call, as long as nobody has to show a token."""
    if has_token or host == "localhost":
        return
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ApiConfigurationError(f"host {host!r}: others can call it there; give a token, or 127.0.0.1")
