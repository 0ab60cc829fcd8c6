"""From the data of a call to the request that is sent.

Everything that does not depend on the data is prepared once, when the builder is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from uuid import uuid4

from pydantic import BaseModel

from rxorch.endpoint._cache_key import CacheKey, CacheKeyGenerator, cache_key
from rxorch.endpoint._placeholders import header_text
from rxorch.endpoint.encoding import Body, encode_body
from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.notes import noted
from rxorch.endpoint.template import ParamsTemplate, TextTemplate, encode_query
from rxorch.endpoint.values import UnfitValueError, call_with_context
from rxorch.errors import ApiValidationError
from rxorch.http import Request
from rxorch.http.headers import SAFE_METHODS, FrozenHeaders

__all__ = [
    "USER_AGENT",
    "CacheKey",
    "CacheKeyGenerator",
    "RequestBuilder",
    "again",
    "cache_key",
]


def _user_agent() -> str:
    try:
        return f"rxorch/{version('rxorch')}"
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "rxorch"


USER_AGENT: Final = _user_agent()
ACCEPT: Final = "application/json, */*;q=0.5"
_ACCEPTS: Final = {
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson, application/json;q=0.5, */*;q=0.1",
    "lines": "text/plain, */*;q=0.5",
    "bytes": "*/*",
}
IDEMPOTENCY_KEY: Final = "Idempotency-Key"

_SENDS_DATA: Final = frozenset({"POST", "PUT", "PATCH"})


class RequestBuilder:
    """Makes the requests of one endpoint; made once, used for every call.

    ``transform_input`` makes the data of the call out of the input; url, params, headers and key are
    filled from it, and it is the JSON body of a POST, PUT or PATCH whose endpoint has no ``body``.

    Args:
        endpoint: what to call.

    Attributes:
        takes_key: whether a run that makes idempotency keys by itself puts them on these requests: it may
            change something, and the endpoint says nothing of keys.

    Raises:
        ApiValidationError: the endpoint's literal ``body`` cannot be written.

    Example:
        >>> endpoint = APIEndpoint(
        ...     name="user", url="https://api.example.com/users/{id}", params={"deep": True}
        ... )
        >>> RequestBuilder(endpoint).build({"id": 7})
        <Request GET https://api.example.com/users/7?deep=true>
    """

    __slots__ = (
        "_body",
        "_content",
        "_expand",
        "_headers",
        "_key",
        "_max_bytes",
        "_method",
        "_name",
        "_params",
        "_query",
        "_same",
        "_templates",
        "_transform",
        "could_take_key",
        "endpoint",
        "takes_key",
    )

    def __init__(self, endpoint: APIEndpoint) -> None:
        self.endpoint = endpoint
        self._name = endpoint.name
        self._method = endpoint.method
        self._max_bytes = _max_bytes(endpoint)
        self._expand = endpoint.template.expand
        self._transform = _function(endpoint.transform_input, "transform_input")
        self._params, self._query = _params(endpoint)
        headers, self._templates = _headers(endpoint)
        self._key = _key(endpoint)
        self.could_take_key = _is_automatic(endpoint) and endpoint.method not in SAFE_METHODS
        self.takes_key = _is_automatic(endpoint) and not endpoint.is_idempotent
        self._body, literal = _body(endpoint)
        self._content = None if literal is None else literal.content
        self._headers = FrozenHeaders(headers if literal is None else literal.described(headers))
        # Nothing but the url differs from call to call.
        self._same = not (self._params or self._key or self._templates or self._body)

    def build(self, data: Any, context: Any = None) -> Request:
        """Return the request of one call.

        Args:
            data: the input of the call.
            context: results by name, for two-parameter callables and for placeholders that the data lacks.

        Raises:
            ApiValidationError: a placeholder without a fitting value, or a body that cannot be written; names
                endpoint and field, and no value.
            Exception: what a callable of the endpoint raises, with a note that names the endpoint.
        """
        if self._same and self._transform is None:
            url = self._expand(data, context, query=self._query)
            return Request(self._method, url, self._headers, self._content, self._max_bytes, self._name)
        return self.build_with_data(data, context)[0]

    def build_with_data(self, data: Any, context: Any = None) -> tuple[Request, Any]:
        """Return the request of one call, and the data it was made of: what ``transform_input`` returned."""
        if self._transform is not None:
            data = self._call(self._transform, "transform_input", data, context)
        if self._same:
            url = self._expand(data, context, query=self._query)
            return Request(self._method, url, self._headers, self._content, self._max_bytes, self._name), data
        return self._build(data, context), data

    def _build(self, data: Any, context: Any) -> Request:
        query = self._query
        if self._params is not None:
            query = encode_query(self._resolved_params(data, context), endpoint=self._name)
        url = self._expand(data, context, query=query)
        headers = dict(self._headers)
        for name, template in self._templates:
            text = template.expand_unless_absent(data, context)
            if text is not None:
                headers[name] = text
        if self._key is not None:
            key = self._call(self._key, "idempotency_key", data, context)
            if key is not None:
                headers[IDEMPOTENCY_KEY] = self._key_text(key)
        content = self._content
        if self._body is not None:
            value = self._call(self._body, "body", data, context)
            if value is not None:
                body = _encoded(self.endpoint, value, as_json=self._body is _the_data)
                content, headers = body.content, body.described(headers)
        return Request(self._method, url, headers, content, self._max_bytes, self._name)

    def _resolved_params(self, data: Any, context: Any) -> Mapping[str, Any]:
        assert self._params is not None
        params = self._call(self._params, "params", data, context)
        if params is not None and not isinstance(params, Mapping):
            message = f"params returned {type(params).__name__}, not a mapping of names to values"
            raise ApiValidationError(message, endpoint=self._name)
        return params or {}

    def _key_text(self, key: Any) -> str:
        try:
            return header_text(key)
        except UnfitValueError as reason:
            raise ApiValidationError(f"the value of idempotency_key {reason}", endpoint=self._name) from None

    def _call(self, function: Callable[[Any, Any], Any], label: str, data: Any, context: Any) -> Any:
        try:
            return function(data, context)
        except ApiValidationError:
            raise
        except Exception as error:
            place = f"in {label} of endpoint {self._name!r}"
            named = noted(error, place)
            if named is error:
                raise
            raise named from error


def _the_data(data: Any, context: Any) -> Any:
    """Stands for the body of a method that takes one, where the endpoint names none."""
    return data


def _function(given: Callable[..., Any] | None, label: str) -> Callable[[Any, Any], Any] | None:
    return None if given is None else call_with_context(given, label=label)


def _params(endpoint: APIEndpoint) -> tuple[Callable[[Any, Any], Any] | None, str]:
    """Return what makes the parameters of each call, or else the query that is the same for all."""
    params = endpoint.params
    if params is None:
        return None, ""
    if not isinstance(params, Mapping):
        return call_with_context(params, label="params"), ""
    template = ParamsTemplate(params, endpoint=endpoint.name)
    return (template.resolve, "") if template.fields else (None, encode_query(template.resolve(None)))


def _body(endpoint: APIEndpoint) -> tuple[Callable[[Any, Any], Any] | None, Body | None]:
    """Return what makes the body of each call, or else the body that is the same for all."""
    body = endpoint.body
    if body is None:
        return (_the_data, None) if endpoint.method in _SENDS_DATA else (None, None)
    if callable(body) and not isinstance(body, BaseModel):
        return call_with_context(body, label="body"), None
    return None, _encoded(endpoint, body)


def _encoded(endpoint: APIEndpoint, value: Any, *, as_json: bool = False) -> Body:
    content_type = endpoint.header("content-type") or ""
    return encode_body(value, content_type, endpoint=endpoint.name, as_json=as_json)


def _headers(endpoint: APIEndpoint) -> tuple[dict[str, str], tuple[tuple[str, TextTemplate], ...]]:
    """Return the headers that are the same for all calls, and the templates of the others."""
    headers: dict[str, str] = {}
    templates = []
    for name, text in (endpoint.headers or {}).items():
        template = TextTemplate(text, label=f"header {name!r}", endpoint=endpoint.name)
        if template.literal is None:
            templates.append((name, template))
        else:
            headers[name] = template.literal
    defaults = {"Accept": _ACCEPTS.get(endpoint.stream or "", ACCEPT), "User-Agent": USER_AGENT}
    missing = {name: text for name, text in defaults.items() if endpoint.header(name) is None}
    return headers | missing, tuple(templates)


def _max_bytes(endpoint: APIEndpoint) -> int | None:
    # A stream may go on for ever: it has a limit only where somebody gives one.
    if endpoint.stream is not None and "max_response_bytes" not in endpoint.model_fields_set:
        return None
    return endpoint.max_response_bytes


def _key(endpoint: APIEndpoint) -> Callable[[Any, Any], Any] | None:
    """Return what makes the idempotency key of a call; None where none is sent."""
    given = endpoint.idempotency_key
    if given is None or endpoint.header(IDEMPOTENCY_KEY) is not None:
        return None
    if given == "auto":
        unsafe = not endpoint.is_idempotent and endpoint.max_attempts > 1
        return _fresh_key if unsafe else None
    if isinstance(given, str):
        return TextTemplate(given, label="idempotency_key", endpoint=endpoint.name).expand
    return call_with_context(given, label="idempotency_key")


def _is_automatic(endpoint: APIEndpoint) -> bool:
    """Whether it is left to us what key a call has, if any."""
    return endpoint.idempotency_key == "auto" and endpoint.header(IDEMPOTENCY_KEY) is None


def _fresh_key(data: Any, context: Any) -> str:
    return uuid4().hex


def again(request: Request) -> Request:
    """Return a request like this one that was not sent yet: one for each attempt, with the same key.

    Example:
        >>> from yarl import URL
        >>> first = Request("GET", URL("https://api.example.com/users/7"))
        >>> first.sent = True
        >>> again(first).sent
        False
    """
    return Request(
        request.method,
        request.url,
        request.headers,
        request.body,
        request.max_response_bytes,
        request.endpoint,
    )
