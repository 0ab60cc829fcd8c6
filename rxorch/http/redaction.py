"""Urls and headers without their secrets, fit for messages, logs and events.

A name gives a secret away (``token``, ``X-API-Key``, ``Authorization``), or its value does (a JSON web
token, the prefixes of well-known key formats, a long random string). What is neither stays readable.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from urllib.parse import unquote_plus

from yarl import URL

__all__ = ["REDACTED", "is_secret_name", "is_secret_value", "redact_headers", "redact_url"]

REDACTED = "***"
"""What stands in the place of a secret."""

_SECRET_NAME = re.compile(
    r"auth|token|secret|passw|passphrase|passcode|pwd|credential|cookie|session|signature|private|bearer"
    r"|(api|access|account|client|subscription|shared|master|encryption)[-_.]?key|(?<!idempotency)[-_.]key$"
    r"|^(key|pass|sas|mac|sig|sign|code|otp|pin|jwt|sid|hmac|nonce|assertion|apikey|x-functions-key)$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"^(basic|bearer|digest|negotiate|token|apikey)\s+\S"
    r"|eyJ[\w-]{8,}\.[\w-]{4,}"  # a JSON web token
    r"|\b(sk|pk|rk|whsec)[-_][\w-]{8,}|\bgh[pousr]_\w{16,}|\bglpat-[\w-]{16,}|\bxox[abeoprs]-[\w-]{8,}"
    r"|\b(AKIA|ASIA)[A-Z0-9]{12,}|\bAIza[\w-]{20,}|-----BEGIN",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"^(?=[^\d]*\d)(?=[^A-Za-z]*[A-Za-z])[\w+/=~.-]{24,}$")
_UUID = re.compile(r"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Tell whether a header, parameter or field of this name holds a secret by custom."""
    return _SECRET_NAME.search(name) is not None


def is_secret_value(value: str) -> bool:
    """Tell whether a value looks like a key or token, whatever it is called. A UUID is an identifier."""
    if _SECRET_VALUE.search(value) is not None:
        return True
    return _RANDOM.match(value) is not None and _UUID.match(value) is None


def redact_url(url: URL | str, hidden: Collection[str] = ()) -> str:
    """Return ``url`` as text without user info, fragment and secret-looking query values and path segments.

    Args:
        url: the url.
        hidden: names of parameters that are secret whatever they look like.

    Example:
        >>> redact_url("https://me:pw@api.example.com/users?page=2&api_key=k1#top")
        'https://***@api.example.com/users?page=2&api_key=***'
    """
    text = str(url)
    text, _, _ = text.partition("#")
    base, mark, query = text.partition("?")
    scheme, slashes, rest = base.rpartition("://")
    netloc, slash, path = rest.partition("/")
    userinfo, at, host = netloc.rpartition("@")
    shown = f"{REDACTED}@{host}" if at and userinfo else host
    path = "/".join(map(_redact_segment, path.split("/")))
    query = "&".join(_redact_pair(pair, hidden) for pair in query.split("&"))
    return f"{scheme}{slashes}{shown}{slash}{path}{mark}{query}"


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of ``headers`` in which each secret-looking value is replaced.

    Example:
        >>> redact_headers({"Authorization": "Bearer abc", "Accept": "text/html"})
        {'Authorization': '***', 'Accept': 'text/html'}
    """
    return {name: _redact(name, value) for name, value in headers.items()}


def _redact(name: str, value: str) -> str:
    return REDACTED if is_secret_name(name) or is_secret_value(value) else value


def _redact_segment(segment: str) -> str:
    # Only well-known formats here: a long random segment is mostly the identity of a resource.
    return REDACTED if _SECRET_VALUE.search(unquote_plus(segment)) else segment


def _redact_pair(pair: str, hidden: Collection[str]) -> str:
    name, equals, value = pair.partition("=")
    if not equals:
        # A query without names (?sometoken) has nothing but its value to judge by.
        return REDACTED if is_secret_value(unquote_plus(name)) else name
    if unquote_plus(name) in hidden:
        return f"{name}={REDACTED}"
    shown = _redact(unquote_plus(name), unquote_plus(value)) if value else value
    return f"{name}={shown if shown == REDACTED else value}"
