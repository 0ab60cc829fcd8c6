"""The routes of a ``MockTransport``: which answer is meant for a request, and its path parameters."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, unquote

from yarl import URL

from rxorch.errors import ApiConfigurationError

__all__ = ["Route"]

_ROUTE: Final = re.compile(r"(?:(?P<method>[A-Za-z]+|\*)\s+)?(?P<target>(?:https?:/)?/\S*)")
_NAME: Final = re.compile(r"[\w.-]+")
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_PORTS: Final = {"http": 80, "https": 443}


class Route:
    """What a request has to look like.

    Args:
        text: ``"GET https://api.example.com/users/{id}"``; without a method, or with ``*``, for any; without
            scheme and host for any. A query names parameters that must be there, among others. A text without
            a slash is the name of an endpoint.

    Raises:
        ApiConfigurationError: it is none of these.

    Example:
        >>> Route("GET /users/{id}").match("GET", URL("https://api.example.com/users/a%2Fb?x=1"), None)
        {'id': 'a/b'}
        >>> Route("/users?page=2").match("GET", URL("https://api.example.com/users"), None) is None
        True
    """

    __slots__ = ("_host", "_method", "_name", "_path", "_port", "_query", "_scheme", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._name = text if isinstance(text, str) and _NAME.fullmatch(text) else None
        self._scheme, self._host, self._port = "", None, None
        if self._name is not None:
            self._method, self._path, self._query = "*", [], []
            return
        found = _ROUTE.fullmatch(text) if isinstance(text, str) else None
        if found is None or "#" in text:
            raise ApiConfigurationError(
                "a route of a MockTransport is a method and a url or path, such as "
                "'GET https://api.example.com/users/{id}', or the name of an endpoint"
            )
        self._method = (found["method"] or "*").upper()
        base, _, query = found["target"].partition("?")
        self._query = parse_qsl(query, keep_blank_values=True)
        scheme, absolute, rest = base.partition("://")
        if absolute:
            authority, _, base = rest.partition("/")
            host, _, port = authority.rpartition(":")
            if not port.isdigit():
                host, port = authority, str(_PORTS[scheme])
            self._scheme, self._port = scheme, int(port)
            self._host = _pattern(host.lower().strip("[]"), "[^.]+")
        self._path = [_pattern(unquote(segment), ".+") for segment in base.removeprefix("/").split("/")]

    def match(self, method: str, url: URL, endpoint: str | None) -> dict[str, str] | None:
        """Return the path parameters, decoded; None if the request is not meant."""
        if self._name is not None:
            return {} if self._name == endpoint else None
        if self._method not in ("*", method) or not self._has_query(url):
            return None
        segments = [unquote(segment) for segment in url.raw_path.removeprefix("/").split("/")]
        pairs = list(zip(self._path, segments, strict=False))
        if len(self._path) != len(segments):
            return None
        if self._host is not None:
            if (url.scheme, url.port) != (self._scheme, self._port):
                return None
            pairs.append((self._host, (url.raw_host or "").lower()))
        found: dict[str, str] = {}
        for pattern, text in pairs:
            matched = pattern.fullmatch(text)
            if matched is None:
                return None
            found |= matched.groupdict()
        return found

    def _has_query(self, url: URL) -> bool:
        return all(value in url.query.getall(name, []) for name, value in self._query)


def _pattern(text: str, value: str) -> re.Pattern[str]:
    literals = _PLACEHOLDER.split(text)
    parts = [
        f"(?P<{part}>{value})" if number % 2 else re.escape(part) for number, part in enumerate(literals)
    ]
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:  # a name twice, or one that begins with a digit
        raise ApiConfigurationError("a placeholder of a route is a name, each once: {id}") from None
