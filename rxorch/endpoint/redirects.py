"""Following a redirect, hop by hop and by rules of our own: none is followed unless somebody asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from yarl import URL

from rxorch.errors import ApiConfigurationError
from rxorch.http.origins import same_origin
from rxorch.http.request import Request

__all__ = ["REDIRECTS", "RedirectPolicy", "next_hop", "redirects_from"]

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""Statuses whose Location a client may follow by itself (RFC 9110, section 15.4)."""

_KEEPS_METHOD: Final = frozenset({307, 308})
_HARMLESS: Final = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
"""Headers that go to another origin too. Any other may hold a secret (X-API-Key, Cookie ...)."""
_OF_BODY: Final = frozenset({"content-type", "content-encoding", "content-language", "content-location"})


@dataclass(frozen=True, slots=True)
class RedirectPolicy:
    """How far redirects are followed.

    Args:
        max_hops: most redirects in a row for one attempt.
        cross_origin: whether one may lead to another scheme, host or port. It is then followed without
            body and without any header that may hold a secret. From https to http none is followed.

    Raises:
        ApiConfigurationError: ``max_hops`` is not from 1 to 20.

    Example:
        >>> RedirectPolicy()
        RedirectPolicy(max_hops=5, cross_origin=False)
    """

    max_hops: int = 5
    cross_origin: bool = False

    def __post_init__(self) -> None:
        if (
            isinstance(self.max_hops, bool)
            or not isinstance(self.max_hops, int)
            or not 1 <= self.max_hops <= 20
        ):
            raise ApiConfigurationError("max_hops of a RedirectPolicy is a number from 1 to 20")


def redirects_from(value: Any) -> RedirectPolicy | Literal[False] | None:
    """A policy; True for the usual one, a number for so many hops."""
    if value is None or value is False or isinstance(value, RedirectPolicy):
        return value
    if value is True:
        return RedirectPolicy()
    if isinstance(value, int):
        return RedirectPolicy(max_hops=value) if value else False
    raise ValueError("follow_redirects is True, False, a number of hops, or a RedirectPolicy")


def next_hop(
    request: Request, status: int, headers: Mapping[str, str], policy: RedirectPolicy, hops: int
) -> Request | str | None:
    """Return the request that a redirect asks for.

    301 and 302 turn a POST, and 303 any method but HEAD, into a GET without body, as all browsers do (RFC
    9110, sections 15.4.2 to 15.4.4); 307 and 308 change nothing.

    Args:
        request: what was answered.
        status: of the answer.
        headers: of the answer.
        policy: how far to follow.
        hops: redirects that were followed before this one.

    Returns:
        The next request; or, as text, why there is none; or None if the answer is no redirect.

    Example:
        >>> first = Request("GET", URL("https://api.example.com/old?page=2"), {"Authorization": "Bearer x"})
        >>> second = next_hop(first, 301, {"Location": "/new"}, RedirectPolicy(), 0)
        >>> second, second.headers
        (<Request GET https://api.example.com/new>, {'Authorization': 'Bearer x'})
        >>> next_hop(first, 301, {"Location": "https://example.org/"}, RedirectPolicy(), 0)
        'the redirect leads to another origin; RedirectPolicy(cross_origin=True) follows it'
    """
    location = headers.get("Location") if status in REDIRECTS else None
    if location is None:
        return None
    if hops >= policy.max_hops:
        return f"more than {policy.max_hops} redirects in a row"
    url = _target(request.url, location)
    if url is None:
        return "the redirect leads to no valid http address"
    same = same_origin(url, request.url)
    if not same:
        if request.url.scheme == "https" and url.scheme != "https":
            return "the redirect leads from https to http, which is never followed"
        if not policy.cross_origin:
            return "the redirect leads to another origin; RedirectPolicy(cross_origin=True) follows it"
    return _request(request, status, url, same)


def _request(request: Request, status: int, url: URL, same: bool) -> Request | str:
    method, body, kept = request.method, request.body, dict(request.headers)
    if status not in _KEEPS_METHOD and method != "HEAD" and (status == 303 or method == "POST"):
        method, body = "GET", None
    if not same:
        if body is not None:
            return "the redirect would send the body to another origin, which is never done"
        kept = {name: value for name, value in kept.items() if name.lower() in _HARMLESS}
    if body is None:
        kept = {name: value for name, value in kept.items() if name.lower() not in _OF_BODY}
    elif not request.repeatable:
        return "the redirect asks for the body again, and it can be sent only once"
    return Request(method, url, kept, body, request.max_response_bytes, request.endpoint)


def _target(base: URL, location: str) -> URL | None:
    if not location.isprintable():
        return None
    try:
        # Byte for byte, for the address may be signed; but servers send spaces and letters as they are, too.
        quoted = location.isascii() and " " not in location
        url = base.join(URL(location, encoded=quoted)).with_fragment(None)
        named = url.host and url.port and url.user is None and url.password is None
    except ValueError:  # yarl looks at some parts only when they are asked for
        return None
    if not named or url.scheme not in ("http", "https"):
        return None
    return url
