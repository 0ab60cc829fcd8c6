"""``paginate``: one call for each page, made when its items are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel
from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase

from rxorch.endpoint import APIEndpoint, Call, Caller, EndpointCall, InSession
from rxorch.endpoint.call import LOOSE
from rxorch.endpoint.extracting import extractor
from rxorch.endpoint.values import check_parser
from rxorch.errors import ApiConfigurationError, ApiError, ApiValidationError
from rxorch.paging.placing import SENDS_DATA, placed
from rxorch.paging.rules import (
    OwnRule,
    Page,
    PageRule,
    Turn,
    cursor,
    link_header,
    next_url,
    offset,
    page_number,
)
from rxorch_operators import from_async_iterable, last_of
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Stage, as_stage

__all__ = ["paginate"]

_RULES: Final = (cursor, link_header, next_url, offset, page_number)


def paginate(
    client: Caller,
    endpoint: APIEndpoint,
    data: Any = None,
    *,
    next: PageRule | Callable[..., Any],
    items: str | Callable[[Any], Any] | None = None,
    max_pages: int | None = None,
    prefetch: Literal[0, 1] = 0,
) -> Observable[Any]:
    """The items of all pages of an endpoint, one by one. A page is asked for when its items are wanted.

    Each page is an ordinary call: retries, limits, breaker, credentials and events are those of the endpoint.
    A page parameter is set in the data of the call. There a placeholder (`{page}`), a callable of the
    endpoint, or the body of a POST takes it; a request without a body whose endpoint has no placeholder of
    that name gets it as a query parameter. The url of a next page must have the origin of the endpoint; the
    query parameters of the endpoint that look like credentials are added where that url lacks them.

    Args:
        client: What calls.
        endpoint: What is called. Its value is the page.
        data: For the first page.
        next: How pages follow: `page_number()`, `offset()`, `cursor(path)`, `link_header()`,
            `next_url(path)`; or a function `(page, data)` that returns the data for the next, None at the
            end.
        items: Where the items of a page are: a dotted path, JMESPath, or a function of the page. By default
            the page itself is the list of them.
        max_pages: Pages at most; None for no limit.
        prefetch: 1 asks for the next page while the items of this one are used.

    Emits: the items in their order, and completes behind the last page.
    Errors: those of the calls, behind the items of the pages before. An `ApiError` when the same cursor or
    url comes again, or a page is at another origin; an `ApiValidationError` when a page has no items where
    they should be.
    Disposal: cancels the call under way.

    Raises:
        ApiConfigurationError: Arguments that cannot work, named.

    >>> import asyncio
    >>> from rxorch import APIEndpoint, ApiClient
    >>> from rxorch import operators as rxo
    >>> from rxorch.paging import page_number
    >>> from rxorch.testing import MockTransport
    >>> users = APIEndpoint(name="users", url="https://api.example.com/users")
    >>> async def main():
    ...     transport = MockTransport({"users": [["Ada", "Grace"], ["Barbara"], []]})
    ...     async with ApiClient(transport) as client:
    ...         pages = paginate(client, users, next=page_number())
    ...         names = [name async for name in rxo.to_async_iterable(pages)]
    ...     return names, [call.url.query_string for call in transport.calls]
    >>> asyncio.run(main())
    (['Ada', 'Grace', 'Barbara'], ['page=1', 'page=2', 'page=3'])
    """
    rule = next if isinstance(next, PageRule) else _own_rule(next)
    _check_limits(max_pages, prefetch)
    _check(client, endpoint, rule)
    pages = _Pages(client, endpoint, data, rule, _items_of(items, endpoint.name), max_pages, prefetch)
    return InSession(as_stage(from_async_iterable(pages)), client)


class _Pages:
    """Asks for page after page, anew each time it is iterated."""

    def __init__(
        self,
        client: Caller,
        endpoint: APIEndpoint,
        data: Any,
        rule: PageRule,
        items: Callable[[Any], Sequence[Any]],
        max_pages: int | None,
        prefetch: int,
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._data = data
        self._rule = rule
        self._items = items
        self._max_pages = max_pages
        self._prefetch = prefetch

    async def __aiter__(self) -> AsyncGenerator[Any]:
        ahead: asyncio.Task[Page | None] | None = None
        seen = _Seen()
        try:
            page: Page | None = await self._asked(self._rule.first(self._data))
            number = 1
            while page is not None:
                last = number == self._max_pages
                if self._prefetch and not last:
                    ahead = asyncio.create_task(self._after(page, seen))
                for item in page.items:
                    yield item
                if last:
                    return
                page = await (self._after(page, seen) if ahead is None else ahead)
                number += 1
        finally:
            if ahead is not None:
                await _ended(ahead)

    async def _after(self, page: Page, seen: _Seen) -> Page | None:
        try:
            turn = self._rule.after(page)
            if turn is None:
                return None
            seen.check(turn)
        except ApiError as error:
            error.endpoint = error.endpoint or self._endpoint.name
            raise
        return await self._asked(turn)

    async def _asked(self, turn: Turn) -> Page:
        data, rewrite = placed(self._endpoint, turn)
        call = Call(self._client.runtime(self._endpoint), data, LOOSE)
        call.rewrite = rewrite
        value = await last_of(_Begun(call))
        assert call.request is not None
        return Page(turn, value, self._items(value), call.headers, call.request.url)


class _Begun(Stage[Any]):
    """A call whose facts are read when it is over."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        return EndpointCall.start(self.call, sink, scheduler)


class _Seen:
    """Notices a cursor or url that leads round in a circle, however long, and keeps only one of them.

    It is compared with the one at the last power of two (Brent's method).
    """

    __slots__ = ("_count", "_kept")

    def __init__(self) -> None:
        self._count = 0
        self._kept: str | int | None = None

    def check(self, turn: Turn) -> None:
        """Refuse a turn whose mark was seen."""
        if turn.mark is None:
            return
        if turn.mark == self._kept:
            raise ApiError("the pages go round in a circle: the cursor or url of the next one came before")
        self._count += 1
        if self._count & (self._count - 1) == 0:
            self._kept = turn.mark


async def _ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # nobody wants it any more


def _own_rule(given: Any) -> PageRule:
    if not callable(given):
        raise ApiConfigurationError(
            "next: give page_number(), offset(), cursor(), link_header(), next_url(), or a function of the "
            f"page and its data; not {type(given).__name__}"
        )
    if given in _RULES:
        raise ApiConfigurationError(f"next: a rule is made by calling it: next={given.__name__}(...)")
    return OwnRule(given)


def _check_limits(max_pages: int | None, prefetch: int) -> None:
    if max_pages is not None and (type(max_pages) is not int or max_pages < 1):
        raise ApiConfigurationError("max_pages: give a whole number, 1 or more, or None")
    if prefetch not in (0, 1):
        raise ApiConfigurationError("prefetch: give 0 or 1")


def _check(client: Caller, endpoint: APIEndpoint, rule: PageRule) -> None:
    name = endpoint.name
    if endpoint.stream is not None:
        raise ApiConfigurationError("a stream has elements and no pages; observe it as it is", endpoint=name)
    if rule.needs_headers and client.runtime(endpoint).cached:
        raise ApiConfigurationError(
            "link_header: kept answers have no headers; set cache_ttl=0 on the endpoint", endpoint=name
        )
    body = endpoint.body
    fixed = body is not None and (not callable(body) or isinstance(body, BaseModel))
    if not fixed or endpoint.method not in SENDS_DATA or callable(endpoint.params):
        return
    for param in rule.params:
        if param not in endpoint.template_fields:
            raise ApiConfigurationError(
                f"{param!r} would be the same on every page, for the body is fixed: give a body that is a "
                "function of the data, or none",
                endpoint=name,
            )


def _items_of(items: Any, endpoint: str) -> Callable[[Any], Sequence[Any]]:
    find: Callable[[Any], Any]
    if items is None:
        find = _itself
    elif isinstance(items, str):
        find = extractor(items, endpoint=endpoint, label="items")
    elif callable(items):
        check_parser(items, label="items")
        find = items
    else:
        raise ApiConfigurationError("items: give a path or a function of the page", endpoint=endpoint)

    def found(page: Any) -> Sequence[Any]:
        values = find(page)
        if values is None:
            return ()
        if not isinstance(values, list | tuple):
            raise ApiValidationError(
                f"items: a list was expected, not a {type(values).__name__}; say by items= where they are",
                endpoint=endpoint,
            )
        return values

    return found


def _itself(page: Any) -> Any:
    return page
