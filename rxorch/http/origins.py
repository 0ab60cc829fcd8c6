"""The origin of a url: scheme, host and port. What is meant for one origin goes to no other."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from yarl import URL

from rxorch.errors import ApiConfigurationError

__all__ = ["Origin", "is_loopback", "origin_of", "origins_from", "same_origin"]

Origin = tuple[str, str, int | None]


def origin_of(url: URL) -> Origin:
    """Scheme, host and port in one form for all ways to write them; the default port is filled in.

    The host is in lower case, and an address in its shortest form. A dot at the end of a name is dropped,
    but for a single label: ``intranet`` is looked for in the domains that the machine searches, ``intranet.``
    is not. Never raises; what is no valid host stays as it is and so is the same as no other.

    Example:
        >>> origin_of(URL("https://API.example.com./users"))
        ('https', 'api.example.com', 443)
        >>> origin_of(URL("https://api.example.com@example.org"))
        ('https', 'example.org', 443)
    """
    return url.scheme, _host(url.raw_host or ""), url.port


def _host(raw: str) -> str:
    host = raw.lower() if raw.isascii() else raw  # as it is on the wire; what is not encoded is never sent
    if ":" in host or host[-1:].isdigit():
        try:
            return str(ip_address(host))
        except ValueError:
            return host
    name = host.removesuffix(".")
    return name if "." in name and not name.endswith(".") else host


def is_loopback(url: URL) -> bool:
    """Tell whether a url leads to this machine and over no network: ``localhost``, 127.0.0.0/8, ``::1``.

    Example:
        >>> is_loopback(URL("http://127.0.0.1:8080/")), is_loopback(URL("http://localhost.example.com/"))
        (True, False)
    """
    host = origin_of(url)[1]
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def same_origin(one: URL, other: URL) -> bool:
    """Tell whether two urls have the same origin."""
    return origin_of(one) == origin_of(other)


def origins_from(urls: Iterable[str | URL] | str | URL, *, label: str = "origins") -> frozenset[Origin]:
    """The origins of these urls; of each, scheme, host and port count.

    Raises:
        ApiConfigurationError: none is given, or one is not an absolute http or https url without user info.

    Example:
        >>> origins_from(["https://api.example.com", "https://api.example.com:443/v1"])
        frozenset({('https', 'api.example.com', 443)})
    """
    found = set()
    several: Iterable[object] = (
        (urls,) if isinstance(urls, str | URL) or not isinstance(urls, Iterable) else urls
    )
    for each in several:
        try:
            url = each if isinstance(each, URL) else URL(each)  # type: ignore[arg-type] # or it raises
        except (TypeError, ValueError):
            url = URL()
        if url.scheme not in ("http", "https") or not url.host or not (url.raw_host or "").isascii():
            raise ApiConfigurationError(f"{label}: give urls such as https://api.example.com")
        if url.user is not None or url.password is not None:
            raise ApiConfigurationError(f"{label}: no user info may be in a url; only its host counts")
        found.add(origin_of(url))
    if not found:
        raise ApiConfigurationError(f"{label}: give one url at least")
    return frozenset(found)
