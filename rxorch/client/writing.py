"""From an ``ApiRequestModel`` to the request that is sent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from yarl import URL

from rxorch.endpoint._placeholders import CONTROL
from rxorch.endpoint.build import ACCEPT, USER_AGENT
from rxorch.endpoint.encoding import Body, encode_body
from rxorch.endpoint.template import encode_query, is_relative
from rxorch.errors import ApiConfigurationError, ApiValidationError
from rxorch.http.headers import check_headers, check_method
from rxorch.http.request import DEFAULT_MAX_RESPONSE_BYTES, Request

__all__ = ["parse_url", "write_request"]

_FORM: Final = "application/x-www-form-urlencoded"


@lru_cache(maxsize=1024)
def parse_url(text: str, base_url: str | None = None) -> URL:
    """Return an absolute url; characters that must be quoted are, quoted ones stay.

    Args:
        text: absolute, or a path to put behind ``base_url``.
        base_url: absolute.

    Raises:
        ApiValidationError: not a valid http or https url; the text is not quoted, for it may hold a secret.

    Example:
        >>> parse_url("/users/a b?q=ä", "https://api.example.com/v1")
        URL('https://api.example.com/v1/users/a%20b?q=%C3%A4')
    """
    if is_relative(text):
        if base_url is None:
            raise _refused("is a path, and the client has no base_url to put it behind")
        text = base_url.rstrip("/") + text
    if text != text.strip() or CONTROL.search(text):
        raise _refused("has white space around it, or control characters in it")
    try:
        url = URL(text)
    except ValueError:
        raise _refused("is not valid") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise _refused("must begin with http:// or https:// and name a host")
    return url.with_fragment(None) if url.raw_fragment else url


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
    if model.params:
        url = _with_query(url, encode_query(model.params, endpoint=name))
    headers = dict(model.headers) if model.headers else {}
    if headers:
        check_headers(headers)
    given = {title.lower() for title in headers}
    if "accept" not in given:
        headers["Accept"] = ACCEPT
    if "user-agent" not in given:
        headers["User-Agent"] = USER_AGENT
    body = _body(model, headers, name)
    content = None
    if body is not None:
        content, headers = body.content, body.described(headers)
    return Request(check_method(model.method.upper()), url, headers, content, max_response_bytes, name)


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
    if model.data is None:
        return None
    return encode_body(model.data, _FORM if isinstance(model.data, Mapping) else "", endpoint=name)


def _refused(reason: str) -> ApiValidationError:
    fault = {"loc": ("url",), "msg": reason, "type": "unfit_url"}
    return ApiValidationError(f"the url {reason}", errors=[fault])
