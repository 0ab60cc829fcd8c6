"""Where an API lives: the url of a server of its description."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from yarl import URL

from rxorch.endpoint.template import Template
from rxorch.errors import ApiConfigurationError
from rxorch.openapi.document import Document, Raw

__all__ = ["Servers", "origin_of"]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_NOT_IN_HOST = re.compile(r"[/?#@{}\\\s\x00-\x1f\x7f-\x9f]")
_NOT_IN_URL = re.compile(r"[{}\\\x00-\x1f\x7f-\x9f]")


class Servers:
    """Picks the server of an operation.

    Args:
        document: the description.
        server: position in its list of servers, one of their urls as written there, or any absolute url; None
            for the first one.
        base_url: absolute url that relative ones are resolved against.
        variables: values for variables in the urls of servers, in the place of their defaults.

    Raises:
        ApiConfigurationError: there is no such server, or its url is relative and ``base_url`` is missing.
    """

    def __init__(
        self,
        document: Document,
        *,
        server: int | str | None,
        base_url: str | None,
        variables: Mapping[str, str] | None,
    ) -> None:
        self._kinds = document.kinds
        self._base = base_url
        self._variables = dict(variables or {})
        for name, given in self._variables.items():
            if not isinstance(given, str):
                raise ApiConfigurationError(f"variables: {name!r} is a text, not {type(given).__name__}")
        self._known: set[str] = set()
        # A url that was asked for holds for all; servers of single operations count where none was.
        self._is_fixed = isinstance(server, str)
        self._main = self._pick(_listed(document.raw) or [{"url": "/"}], server)
        unknown = sorted(set(self._variables) - self._known)
        if unknown:
            raise ApiConfigurationError(f"variables: no server has a variable {unknown[0]!r}")

    @property
    def origin(self) -> URL:
        """Scheme, host and port of the main server."""
        return origin_of(self._main)

    def url(self, *levels: Raw) -> str:
        """Return the url for an operation, without a slash at its end.

        Args:
            levels: the operation, then its path item; the first one with servers of its own counts.
        """
        for level in levels:
            listed = _listed(level)
            if listed and not self._is_fixed:
                return self._filled(listed[0])
        return self._main

    def _pick(self, listed: Sequence[Any], server: int | str | None) -> str:
        if isinstance(server, str):
            chosen = next(
                (each for each in listed if isinstance(each, Mapping) and each.get("url") == server), None
            )
            return self._filled(chosen or {"url": server}, main=True)
        position = server or 0
        if not 0 <= position < len(listed):
            raise ApiConfigurationError(
                f"server: the description has {len(listed)} servers, none at {position}"
            )
        return self._filled(listed[position], main=True)

    def _filled(self, raw: Any, *, main: bool = False) -> str:
        try:
            server = self._kinds.Server.model_validate(raw)
        except ValueError:
            raise ApiConfigurationError("servers: an entry of the description is not a server") from None
        variables = server.variables or {}
        self._known.update(variables)

        def value(found: re.Match[str]) -> str:
            name = found.group(1)
            if name not in variables and name not in self._variables:
                raise ApiConfigurationError(f"servers: nothing tells the variable {name!r}; give variables=")
            given = self._variables.get(name)
            allowed = variables[name].enum if name in variables else None
            if given is not None and allowed and given not in allowed:
                raise ApiConfigurationError(
                    f"variables: {name!r} must be one of {', '.join(map(repr, allowed))}"
                )
            filler = str(variables[name].default) if given is None else given
            _check(name, filler, server.url[: found.start()], server.url[found.end() :])
            return filler

        return self._absolute(_PLACEHOLDER.sub(value, server.url), main).rstrip("/")

    def _absolute(self, url: str, main: bool) -> str:
        is_absolute = re.match(r"https?://", url, re.IGNORECASE) is not None
        if is_absolute:
            if self._base is not None and main:
                raise ApiConfigurationError(
                    "base_url: the url of the server is absolute already; to call another give server=..."
                )
        elif self._base is None:
            raise ApiConfigurationError(
                "the description has no absolute url of a server; give base_url='https://...' (where it came "
                "from) or server='https://...'"
            )
        else:
            Template(self._base)
            url = str(URL(self._base).join(URL(url)))
        Template(url)
        return url


def origin_of(url: str) -> URL:
    """Return scheme, host and port of an absolute url; its path may have placeholders.

    Example:
        >>> origin_of("https://api.example.com:443/users/{id}")
        URL('https://api.example.com')
    """
    start = re.match(r"https?://[^/?#]+", url, re.IGNORECASE)
    if start is None or _NOT_IN_URL.search(start.group()):
        raise ApiConfigurationError("the url of a server has no host that can be told")
    origin = URL(start.group().lower()).origin()
    return origin.with_port(None) if origin.is_default_port() else origin


def _check(name: str, filler: str, before: str, after: str) -> None:
    """Refuse the value of a variable that would move the end of the host, or that has placeholders."""
    is_whole = not before and (not after or after.startswith("/"))  # a variable for scheme and host
    in_host = re.search(r"[/?#]", re.sub(r"^[^/]*//", "", _PLACEHOLDER.sub("x", before))) is None
    if _NOT_IN_URL.search(filler) or (in_host and not is_whole and _NOT_IN_HOST.search(filler)):
        raise ApiConfigurationError(
            f"servers: the variable {name!r} has characters that its place in the url cannot have"
        )


def _listed(level: Raw) -> list[Any]:
    servers = level.get("servers")
    return servers if isinstance(servers, list) else []
