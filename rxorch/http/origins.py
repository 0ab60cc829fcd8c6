"""The origin of a url: scheme, host and port. What is meant for one origin goes to no other."""

from __future__ import annotations

from collections.abc import Iterable

from yarl import URL

from rxorch.errors import ApiConfigurationError

__all__ = ["Origin", "origin_of", "origins_from", "same_origin"]

Origin = tuple[str, str, int | None]


def origin_of(url: URL) -> Origin:
    """Scheme, host in lower case (as it is on the wire) and port, the default one filled in.

    Example:
        >>> origin_of(URL("https://API.example.com/users"))
        ('https', 'api.example.com', 443)
    """
    return url.scheme, (url.raw_host or "").lower(), url.port


def same_origin(one: URL, other: URL) -> bool:
    """Tell whether two urls have the same origin."""
    return origin_of(one) == origin_of(other)


def origins_from(urls: Iterable[str], *, label: str = "origins") -> frozenset[Origin]:
    """The origins of these urls.

    Raises:
        ApiConfigurationError: none is given, or one is not an absolute http or https url.

    Example:
        >>> origins_from(["https://api.example.com", "https://api.example.com:443/v1"])
        frozenset({('https', 'api.example.com', 443)})
    """
    found = set()
    for text in [urls] if isinstance(urls, str) else urls:
        try:
            url = URL(text)
        except (TypeError, ValueError):
            url = URL()
        if url.scheme not in ("http", "https") or not url.host:
            raise ApiConfigurationError(f"{label}: give urls such as https://api.example.com")
        found.add(origin_of(url))
    if not found:
        raise ApiConfigurationError(f"{label}: give one url at least")
    return frozenset(found)
