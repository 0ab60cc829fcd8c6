"""The key under which the answer to a request is kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from pydantic import BaseModel

from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.template import ParamsTemplate
from rxorch.endpoint.values import call_with_context
from rxorch.errors import ApiConfigurationError
from rxorch.http import Request
from rxorch.http.body import StreamedBody
from rxorch.http.headers import NEUTRAL_HEADERS

__all__ = ["CacheKey", "CacheKeyGenerator", "cache_key"]

CacheKey = tuple[str, Hashable]
"""Name of the endpoint, and a digest of what the answer depends on."""

CacheKeyGenerator = Callable[..., Hashable]
"""``(endpoint)`` or ``(endpoint, data)`` to the part of a cache key that stands for url, params and body."""


def cache_key(
    endpoint: APIEndpoint,
    request: Request,
    *,
    data: Any = None,
    generator: CacheKeyGenerator | None = None,
    identity: Mapping[str, str] | None = None,
) -> CacheKey:
    """Return the key under which the answer to a request may be kept.

    Two requests have the same key when name, method, url (the order of its parameters apart), body and
    headers are the same; of the headers only those that say nothing about the caller or the answer are left
    out (``NEUTRAL_HEADERS``). So callers with different credentials never share an answer. The
    key is a digest: it holds no secret.

    Args:
        endpoint: what is called.
        request: the request of the call.
        data: the input of the call, for a generator of two parameters.
        generator: takes the place of url, params and body: called with a copy of the endpoint whose ``url``
            and ``params`` are those that are sent (and with the data); name, method and headers are added to
            what it returns.
        identity: more headers that tell the caller apart, such as those that the client adds.

    Raises:
        ApiConfigurationError: the generator returned something that cannot be hashed, or the body is made
            while it is sent and there is no generator to stand for it.

    Example:
        >>> from rxorch.endpoint.build import RequestBuilder
        >>> endpoint = APIEndpoint(name="user", url="https://api.example.com/users/{id}")
        >>> builder = RequestBuilder(endpoint)
        >>> key = cache_key(endpoint, builder.build({"id": 7}))
        >>> key == cache_key(endpoint, builder.build({"id": "7"}))
        True
    """
    if generator is None:
        if isinstance(request.body, StreamedBody):
            message = "a StreamedBody cannot be part of a cache key; give a cache_key_generator, or no cache"
            raise ApiConfigurationError(message, endpoint=endpoint.name)
        identified = _identified(request.headers, identity, NEUTRAL_HEADERS)
        base, _, query = str(request.url).partition("?")
        facts = (request.method, base, _sorted(query), identified)
        return endpoint.name, _digest(facts, request.body)
    generated = _generated(generator)(_as_sent(endpoint, request), data)
    try:
        hash(generated)
    except TypeError:
        message = f"cache_key_generator returned {type(generated).__name__}, which cannot be a key"
        raise ApiConfigurationError(message, endpoint=endpoint.name) from None
    # The content type belongs to the body, which the generator stands for.
    identified = _identified(request.headers, identity, NEUTRAL_HEADERS | {"content-type"})
    return endpoint.name, (_digest((request.method, identified), None), generated)


def _identified(
    headers: Mapping[str, str], identity: Mapping[str, str] | None, neutral: frozenset[str]
) -> list[tuple[str, str]]:
    pairs = [*headers.items(), *identity.items()] if identity else headers.items()
    return sorted([(low, text) for name, text in pairs if (low := name.lower()) not in neutral])


def _sorted(query: str) -> str:
    if "&" not in query:
        return query
    return "&".join(sorted(query.split("&"), key=lambda pair: pair.partition("=")[0]))


def _digest(facts: tuple[Any, ...], body: bytes | None) -> bytes:
    digest = blake2b(repr(facts).encode(errors="surrogatepass"), digest_size=16)
    if body is not None:
        digest.update(b"\n" + body)
    return digest.digest()


@lru_cache(maxsize=64)
def _generated(generator: CacheKeyGenerator) -> Callable[[Any, Any], Any]:
    return call_with_context(generator, label="cache_key_generator")


def _as_sent(endpoint: APIEndpoint, request: Request) -> APIEndpoint:
    """Return a copy of the endpoint with url and params of a request, for a key generator to look at."""
    params = endpoint.params
    if params is not None and (not isinstance(params, Mapping) or ParamsTemplate(params).fields):
        sent = request.url.query
        names = params if isinstance(params, Mapping) else sent
        params = {
            name: values[0] if len(values) == 1 else values
            for name in names
            if (values := sent.getall(name, []))
        }
    # Not the endpoint's own model_copy: braces in values are no templates.
    return BaseModel.model_copy(endpoint, update={"url": str(request.url), "params": params})
