"""How an API says where its next page is: by number, offset, cursor, or the url of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from multidict import CIMultiDictProxy
from pydantic import BaseModel
from yarl import URL

from rxorch.endpoint.values import MISSING, DottedPath, call_with_context
from rxorch.errors import ApiConfigurationError, ApiValidationError
from rxorch.http.link_header import link_to

__all__ = [
    "OwnRule",
    "Page",
    "PageRule",
    "Turn",
    "cursor",
    "link_header",
    "next_url",
    "offset",
    "page_number",
]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one page is asked for with.

    Attributes:
        data: of the call.
        params: what is set in it for this page; see `paginate` for how it reaches the request.
        url: where to ask, in the place of what the endpoint makes of the data.
        mark: the cursor or url; the same one again would lead round and round.
    """

    data: Any
    params: Mapping[str, Any] = field(default_factory=dict)
    url: URL | None = None
    mark: str | int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page that came.

    Attributes:
        turn: what it was asked for with.
        value: of the call.
        items: what is emitted of it.
        headers: of the answer, case-insensitive.
        url: where it came from.
    """

    turn: Turn
    value: Any
    items: Sequence[Any]
    headers: Mapping[str, str]
    url: URL


class PageRule(ABC):
    """A way from page to page."""

    needs_headers = False
    """Whether it reads the headers of the answers."""

    def first(self, data: Any) -> Turn:
        """What the first page is asked for with."""
        return Turn(data)

    @abstractmethod
    def after(self, page: Page) -> Turn | None:
        """What the page after this one is asked for with; None if there is none."""

    @property
    def params(self) -> tuple[str, ...]:
        """Names of the parameters that it sets."""
        return ()


class OwnRule(PageRule):
    """A function of the page and its data that returns the data for the next."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = call_with_context(function, label="next")

    def after(self, page: Page) -> Turn | None:
        data = self._function(page.value, page.turn.data)
        return None if data is None else Turn(data)


@dataclass(frozen=True)
class _Numbered(PageRule):
    """Numbers that go up until a page is empty."""

    param: str
    start: int
    size_param: str | None
    size: int | None
    by_items: bool

    @property
    def params(self) -> tuple[str, ...]:
        return (self.param,) if self.size_param is None else (self.param, self.size_param)

    def first(self, data: Any) -> Turn:
        return self._turn(data, self.start)

    def after(self, page: Page) -> Turn | None:
        if not page.items:
            return None
        step = len(page.items) if self.by_items else 1
        return self._turn(page.turn.data, page.turn.params[self.param] + step)

    def _turn(self, data: Any, number: int) -> Turn:
        params = {self.param: number}
        if self.size_param is not None and self.size is not None:
            params[self.size_param] = self.size
        return Turn(_with(data, params), params)


@dataclass(frozen=True)
class _Cursor(PageRule):
    path: DottedPath
    param: str
    more: DottedPath | None

    @property
    def params(self) -> tuple[str, ...]:
        return (self.param,)

    def first(self, data: Any) -> Turn:
        given = None if data is None else _with(data, {}).get(self.param)
        return Turn(_with(data, {}), {self.param: given})

    def after(self, page: Page) -> Turn | None:
        if self.more is not None and not _found(self.more, page.value, "more"):
            return None
        value = _found(self.path, page.value, "cursor")
        if value is None or value is False or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ApiValidationError(
                f"cursor: {self.path.text!r} leads to a {type(value).__name__}, not to text or a whole number"
            )
        params = {self.param: value}
        return Turn(_with(page.turn.data, params), params, mark=value)


@dataclass(frozen=True)
class _Linked(PageRule):
    """The url of the next page stands in the page, or in its head."""

    path: DottedPath | None
    relation: str = ""

    @property
    def needs_headers(self) -> bool:  # type: ignore[override] # here it depends on the rule
        return self.path is None

    def after(self, page: Page) -> Turn | None:
        if self.path is None:
            text: Any = link_to(_all(page.headers, "Link"), self.relation)
        else:
            text = _found(self.path, page.value, "next_url")
        if text is None or text is False or text == "":
            return None
        url = _url(text, page.url)
        return Turn(page.turn.data, url=url, mark=str(url))


def _url(text: Any, base: URL) -> URL:
    try:
        # Who answers has no say in the credentials of the next request.
        url = base.join(URL(text)).with_user(None).with_fragment(None)
        if url.scheme in ("http", "https") and url.host and text.isprintable():
            return url
    except (TypeError, ValueError):
        pass
    raise ApiValidationError("what should lead to the next page is not a url")


def _all(headers: Mapping[str, str], name: str) -> Sequence[str]:
    return headers.getall(name, []) if isinstance(headers, CIMultiDictProxy) else []


def _with(data: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    if data is not None and not isinstance(data, Mapping):
        raise ApiConfigurationError(
            f"data: a page parameter is set in a mapping, and this is {type(data).__name__}; give "
            "next=a function that makes the data for the next page"
        )
    return {**(data or {}), **params}


def _found(path: DottedPath, value: Any, label: str) -> Any:
    found = path.find(value)
    if found is not MISSING:
        return found
    named = not path.keys[0].removeprefix("-").isdecimal()
    if named and not isinstance(value, Mapping | BaseModel):
        raise ApiValidationError(
            f"{label}: {path.text!r} cannot be found in a {type(value).__name__}; let the endpoint give the "
            "whole page (without response_key), and say by items= where its items are"
        )
    return None


def page_number(
    param: str = "page", start: int = 1, *, size_param: str | None = None, size: int | None = None
) -> PageRule:
    """Pages are numbered, and the first empty one is the end.

    Args:
        param: Name of the parameter for the number.
        start: Number of the first page.
        size_param: Name of the parameter for the number of items on a page.
        size: That number.

    Raises:
        ApiConfigurationError: An argument of the wrong kind, or only one of `size_param` and `size`.
    """
    if (size_param is None) != (size is None):
        raise ApiConfigurationError("page_number: give both size_param and size, or none")
    _check_name("page_number", param, size_param)
    _check_number("start", start, 0)
    _check_number("size", size, 1)
    return _Numbered(param, start, size_param, size, by_items=False)


def offset(
    param: str = "offset", limit: int = 100, *, limit_param: str = "limit", start: int = 0
) -> PageRule:
    """Each page begins behind the items that came so far, and the first empty one is the end.

    So nothing is passed over when the server gives fewer items at a time than `limit`.

    Args:
        param: Name of the parameter for the offset.
        limit: Items that are asked for at a time.
        limit_param: Name of the parameter for it.
        start: Items to leave out at the beginning.

    Raises:
        ApiConfigurationError: An argument of the wrong kind.
    """
    _check_name("offset", param, limit_param)
    _check_number("limit", limit, 1)
    _check_number("start", start, 0)
    return _Numbered(param, start, limit_param, limit, by_items=True)


def cursor(path: str, param: str = "cursor", *, more: str | None = None) -> PageRule:
    """Each page names the cursor of the next; the end is where there is none (missing, null or empty).

    Args:
        path: Dotted path of the cursor in the page: `"meta.next_cursor"`, or `"items.-1.id"` for the id of
            the last item.
        param: Name of the parameter for it. The first page is asked for without, unless the data has one.
        more: Dotted path of a flag; where it is false or missing there is no next page, whatever the cursor.

    Raises:
        ApiConfigurationError: A path or a name that is none.
    """
    _check_name("cursor", param)
    return _Cursor(_path("path", path), param, None if more is None else _path("more", more))


def link_header(rel: str = "next") -> PageRule:
    """The answer's `Link` header has the url of the next page (RFC 8288), as that of GitHub does.

    Args:
        rel: The relation.

    Raises:
        ApiConfigurationError: Not the name of a relation.
    """
    _check_name("link_header", rel)
    return _Linked(None, rel)


def next_url(path: str) -> PageRule:
    """Each page has the url of the next; the end is where there is none (missing, null or empty).

    Args:
        path: Dotted path of the url in the page: `"links.next"`.

    Raises:
        ApiConfigurationError: Not a dotted path.
    """
    return _Linked(_path("path", path))


def _path(label: str, text: str) -> DottedPath:
    if not isinstance(text, str):
        raise ApiConfigurationError(f"{label}: give a dotted path such as 'meta.next'")
    return DottedPath(text)


def _check_name(label: str, *names: str | None) -> None:
    for name in names:
        if name is not None and not (isinstance(name, str) and name.strip()):
            raise ApiConfigurationError(f"{label}: a name is text, and not empty")


def _check_number(label: str, number: int | None, least: int) -> None:
    if number is not None and (type(number) is not int or number < least):
        raise ApiConfigurationError(f"{label}: give a whole number, {least} or more")
