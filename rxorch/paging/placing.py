"""Where the parameters and the url of a page go in its request."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import unquote_plus

from yarl import URL

from rxorch.endpoint import APIEndpoint
from rxorch.endpoint.template import encode_query
from rxorch.errors import ApiError
from rxorch.http.origins import same_origin
from rxorch.http.redaction import is_secret_name
from rxorch.paging.rules import Turn

__all__ = ["SENDS_DATA", "placed"]

SENDS_DATA: Final = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose body is the data of the call."""


def placed(endpoint: APIEndpoint, turn: Turn) -> tuple[Any, Callable[[URL], URL] | None]:
    """The data of a call, and what its url is made into."""
    if turn.url is not None:
        return turn.data, partial(_elsewhere, turn.url)
    data, query = turn.data, {}
    for name, value in turn.params.items():
        if name in endpoint.template_fields:
            data = {**data, name: value}  # also None, which leaves the parameter out
        elif value is not None and endpoint.method not in SENDS_DATA and not callable(endpoint.params):
            query[name] = value
    return data, partial(_with_query, query) if query else None


def _with_query(query: dict[str, Any], url: URL) -> URL:
    base, _, given = str(url).partition("?")
    kept = [pair for pair in given.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in query]
    return URL(f"{base}?{'&'.join([*kept, encode_query(query)])}", encoded=True)


def _elsewhere(target: URL, url: URL) -> URL:
    if not same_origin(target, url):
        raise ApiError(
            "the next page is at another origin (scheme, host or port) than its endpoint: it is not asked for"
        )
    given = {unquote_plus(pair.partition("=")[0]) for pair in target.raw_query_string.split("&")}
    secret = [
        pair
        for pair in url.raw_query_string.split("&")
        if (name := unquote_plus(pair.partition("=")[0])) not in given and is_secret_name(name)
    ]
    if not secret:
        return target
    base, _, query = str(target).partition("?")
    return URL(f"{base}?{'&'.join([query, *secret]).lstrip('&')}", encoded=True)
