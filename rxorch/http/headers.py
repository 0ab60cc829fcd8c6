"""Which request headers a user may set, and the check that keeps the others out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn

from rxorch.errors import ApiConfigurationError

__all__ = [
    "FORBIDDEN_HEADERS",
    "NEUTRAL_HEADERS",
    "SAFE_METHODS",
    "check_headers",
    "check_method",
    "header_key",
]

FORBIDDEN_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Framing, routing and hop-by-hop headers: the transport's own business, or a way to smuggle a request."""

NEUTRAL_HEADERS = frozenset(
    {
        "idempotency-key",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-correlation-id",
        "x-request-id",
    }
)
"""Headers that tell neither who is calling nor what the answer looks like; all others do."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1), of those that may be used here."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2


@lru_cache(maxsize=2048)
def header_key(name: str) -> str:
    """Return ``name`` in lower case; raise ``ApiConfigurationError`` if it may not be set."""
    if not isinstance(name, str) or _TOKEN.fullmatch(name) is None:
        raise ApiConfigurationError(f"not a valid header name: {_beginning(name)}")
    key = name.lower()
    if key in FORBIDDEN_HEADERS:
        raise ApiConfigurationError(f"header {name!r} is set by the transport and cannot be given")
    return key


def _beginning(name: object) -> str:
    # As far as it could be a name: what follows may be the value, as in {"Authorization: Bearer ...": ""}.
    if not isinstance(name, str):
        return type(name).__name__
    match = _TOKEN.match(name[:60])
    start = match.group() if match else ""
    return repr(start if start == name else f"{start}...")


@lru_cache(maxsize=256)
def check_method(method: str) -> str:
    """Return ``method``; raise ``ApiConfigurationError`` unless it is one in capitals, and not CONNECT."""
    if not isinstance(method, str) or _TOKEN.fullmatch(method) is None or method != method.upper():
        raise ApiConfigurationError(f"not a valid HTTP method: {_beginning(method)}")
    if method == "CONNECT":
        raise ApiConfigurationError("the CONNECT method opens a tunnel and is not supported")
    return method


def check_headers(headers: Mapping[str, str]) -> None:
    r"""Check names and values of request headers.

    Refused: names that are no token, framing and hop-by-hop headers (``FORBIDDEN_HEADERS``), the same name
    twice in different case, values that are no text or hold control characters (CR, LF, NUL, tab ...).

    Raises:
        ApiConfigurationError: (a ``ValueError``) with the header's name; never with its value.

    Example:
        >>> check_headers({"Accept": "application/json"})
        >>> check_headers({"X-Id": "1\r\nX-Admin: yes"})
        Traceback (most recent call last):
        ...
        rxorch.errors.ApiConfigurationError: header 'X-Id' has control characters in its value
    """
    seen = set()
    for name, value in headers.items():
        key = header_key(name)
        if key in seen:
            raise ApiConfigurationError(f"header {name!r} is given twice")
        seen.add(key)
        if not isinstance(value, str):
            raise ApiConfigurationError(f"header {name!r} must be text, not {type(value).__name__}")
        if not value.isprintable():
            raise ApiConfigurationError(f"header {name!r} has control characters in its value")


class FrozenHeaders(dict[str, str]):
    """Headers that all requests of an endpoint share: who wants others gives the request a new mapping.

    Example:
        >>> shared = FrozenHeaders({"Accept": "text/html"})
        >>> shared["Accept"] = "text/plain"
        Traceback (most recent call last):
        ...
        TypeError: these headers are shared; set request.headers = {**request.headers, ...}
    """

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("these headers are shared; set request.headers = {**request.headers, ...}")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)  # a copy is nobody's but its owner's
