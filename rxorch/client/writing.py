"""From an ``ApiRequestModel`` to the request that is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from yarl import URL

from rxorch.client.arguments import are_pairs, named_params, unfit
from rxorch.endpoint.build import ACCEPT, USER_AGENT
from rxorch.endpoint.encoding import Body, encode_body
from rxorch.endpoint.template import encode_query
from rxorch.endpoint.values import CONTROL
from rxorch.errors import ApiConfigurationError, ApiValidationError
from rxorch.http.body import StreamedBody
from rxorch.http.headers import check_headers, check_method
from rxorch.http.request import DEFAULT_MAX_RESPONSE_BYTES, Request

__all__ = ["method_of", "parse_url", "write_request"]

_FORM: Final = "application/x-www-form-urlencoded"
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def parse_url(text: str | URL, base_url: str | None = None) -> URL:
    """Return an absolute url; characters that must be quoted are, quoted ones stay.

    Args:
        text: absolute, or a path to put behind ``base_url``: with or without a slash before it, or a query.
        base_url: absolute.

    Raises:
        ApiValidationError: not a valid http or https url; the text is not quoted, for it may hold a secret.

    Example:
        >>> parse_url("/users/a b?q=ä", "https://api.example.com/v1")
        URL('https://api.example.com/v1/users/a%20b?q=%C3%A4')
    """
    if isinstance(text, str):
        return _parsed(text, base_url)
    if isinstance(text, URL):
        return _parsed(str(text), base_url)
    raise _refused(f"is text or a yarl.URL; not {type(text).__name__}")


@lru_cache(maxsize=1024)
def _parsed(text: str, base_url: str | None) -> URL:
    if text != text.strip() or CONTROL.search(text):
        raise _refused("has white space around it, or control characters in it")
    if base_url is not None and not _SCHEME.match(text):
        slash = "" if text[:1] in ("", "/", "?", "#") else "/"
        text = f"{base_url.rstrip('/')}{slash}{text}"
    elif text.startswith("/") and not text.startswith("//"):
        raise _refused("is a path, and the client has no base_url to put it behind")
    try:
        url = URL(text)
    except ValueError:
        raise _refused("is not valid") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise _refused("must begin with http:// or https:// and name a host")
    return url.with_fragment(None) if url.raw_fragment else url


def method_of(given: Any) -> str:
    """Return a method in capitals.

    Raises:
        ApiConfigurationError: one that may not be sent, or no text.
    """
    if not isinstance(given, str):
        raise ApiConfigurationError(
            f"method: give the name of one, such as 'GET'; not {type(given).__name__}"
        )
    method = check_method(given.upper())
    if method == "TRACE":
        raise ApiConfigurationError("TRACE echoes the request with its credentials and is not supported")
    return method


def write_request(
    model: Any,
    *,
    url: URL | None = None,
    base_url: str | None = None,
    max_response_bytes: int | None = DEFAULT_MAX_RESPONSE_BYTES,
    name: str | None = None,
) -> Request:
    """Return the request that a model describes.

    Args:
        model: a ``BaseRequestModel``.
        url: its url where that is parsed already; the parameters are added.
        base_url: of the client.
        max_response_bytes: limit for the answer.
        name: what errors call it.

    Raises:
        ApiConfigurationError: method or header names that may not be sent, or both ``data`` and
            ``json_payload``.
        ApiValidationError: a url, parameter or body that cannot be sent.

    Example:
        >>> from rxorch.client.request_model import ApiRequestModel
        >>> model = ApiRequestModel(url="https://api.example.com/users", params={"page": 2})
        >>> write_request(model)
        <Request GET https://api.example.com/users?page=2>
    """
    if url is None:
        url = parse_url(model.url, base_url)
    if model.params is not None:
        params = named_params(model.params)
        url = _with_query(url, encode_query(params, endpoint=name)) if params else url
    headers = _headers(model.headers)
    given = {title.lower() for title in headers}
    if "accept" not in given:
        headers["Accept"] = ACCEPT
    if "user-agent" not in given:
        headers["User-Agent"] = USER_AGENT
    body = _body(model, headers, name)
    content = None
    if body is not None:
        content, headers = body.content, body.described(headers)
    return Request(method_of(model.method), url, headers, content, max_response_bytes, name)


def _headers(given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ApiConfigurationError(f"headers: give a mapping of names to texts; not {type(given).__name__}")
    headers = dict(given)
    if headers:
        check_headers(headers)
    return headers


def _with_query(url: URL, query: str) -> URL:
    if not query:
        return url
    if url.raw_query_string:
        query = f"{url.raw_query_string}&{query}"
    return URL.build(
        scheme=url.scheme, authority=url.raw_authority, path=url.raw_path, query_string=query, encoded=True
    )


def _body(model: Any, headers: Mapping[str, str], name: str | None) -> Body | None:
    if model.json_payload is not None:
        if model.data is not None:
            raise ApiConfigurationError("a request has one body: give data or json_payload", endpoint=name)
        return encode_body(model.json_payload, endpoint=name, as_json=True)
    data = model.data
    if data is None:
        return None
    if isinstance(data, Mapping):
        return encode_body(data, _FORM, endpoint=name)
    if isinstance(data, bytes | bytearray | memoryview | str | StreamedBody):
        return encode_body(data, endpoint=name)
    if not are_pairs(data):
        wanted = "give bytes, text, a StreamedBody, or for a form a mapping or pairs (for JSON: json_payload)"
        raise unfit("data", wanted, data)
    texts = (encode_query({title: value}, endpoint=name, label="data") for title, value in data)
    return Body("&".join(filter(None, texts)).encode(), _FORM)


def _refused(reason: str) -> ApiValidationError:
    fault = {"loc": ("url",), "msg": reason, "type": "unfit_url"}
    return ApiValidationError(f"the url {reason}", errors=[fault])
