"""What RFC 9111 says about storing an answer and about a 304, by the state machine of hishel.

This module needs the extra ``http-cache`` and is imported by whoever makes an ``HttpCache``. Only what needs
no clock is asked here: hishel reads the system's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import uuid4

from hishel import CacheMiss, CacheOptions, Entry, Headers, NeedRevalidation, NeedToBeUpdated, StoreAndUse
from hishel import Request as CacheRequest
from hishel import Response as CacheResponse
from multidict import CIMultiDict, CIMultiDictProxy

from rxorch.http.response import Response

__all__ = ["refreshed_headers", "storable_headers"]

_ABOUT_TIME: Final = frozenset({"age", "date", "warning"})
"""What a stored answer says about its own age, which an answer of 304 ends."""


def storable_headers(
    request_headers: Mapping[str, str], response: Response, *, shared: bool
) -> CIMultiDictProxy[str] | None:
    """The headers to store with the answer to a GET; None if it must not be stored (sections 3 and 3.1).

    Args:
        request_headers: those of the request; only which of them there are is looked at.
        response: the answer.
        shared: whether the rules for shared caches hold.
    """
    state = CacheMiss(request=_get(request_headers), options=_options(shared)).next(_answer(response))
    if not isinstance(state, StoreAndUse):
        return None
    dropped = {
        name.strip().lower() for name in ",".join(response.headers.getall("Connection", ())).split(",")
    }
    kept = [name for name in state.response.headers if name not in dropped]
    return _proxy((name, text) for name in kept for text in response.headers.getall(name))


def refreshed_headers(
    stored: Response, validation: Response, *, shared: bool
) -> CIMultiDictProxy[str] | None:
    """The headers of a stored answer after a 304; None if the 304 is about another one (sections 3.2, 4.3.4).

    Args:
        stored: the answer that was asked about.
        validation: the answer with status 304.
        shared: whether the rules for shared caches hold.
    """
    asked, told = stored.headers.get("ETag"), validation.headers.get("ETag")
    if asked is not None and told is not None and _opaque(asked) != _opaque(told):
        return None
    lasting = CIMultiDict(
        [(name, text) for name, text in stored.headers.items() if name.lower() not in _ABOUT_TIME]
    )
    before = Response(stored.status, stored.content, CIMultiDictProxy(lasting))
    request = _get({})
    state = NeedRevalidation(
        request=request,
        original_request=request,
        revalidating_entries=[Entry(id=uuid4(), request=request, response=_answer(before))],
        options=_options(shared),
    ).next(_answer(validation))
    if not isinstance(state, NeedToBeUpdated):
        return None
    headers = state.updating_entries[0].response.headers
    return _proxy((name, text) for name in headers for text in headers.get_list(name) or ())


def _opaque(tag: str) -> str:
    return tag.strip().removeprefix("W/")


def _options(shared: bool) -> CacheOptions:
    return CacheOptions(shared=shared, supported_methods=["GET"], allow_stale=False)


def _get(headers: Mapping[str, str]) -> CacheRequest:
    # No url and no values: the verdict depends on neither.
    return CacheRequest(method="GET", url="", headers=Headers(dict.fromkeys(headers, "")))


def _answer(response: Response) -> CacheResponse:
    headers = {name.lower(): list(response.headers.getall(name)) for name in response.headers}
    return CacheResponse(status_code=response.status, headers=Headers(headers))


def _proxy(pairs: Iterable[tuple[str, str]]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(list(pairs)))
