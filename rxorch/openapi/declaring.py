"""Declaring an operation by the types of its parameters and body, so that the data of a call is checked.

``rxorch import-openapi`` writes such declarations; they are as good by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.values import MISSING, call_with_context
from rxorch.errors import ApiConfigurationError
from rxorch.openapi.bodies import RequestBody
from rxorch.openapi.inputs import CONTENT_TYPE, COOKIE, CallInput, content_of, query_of
from rxorch.openapi.names import placeholder_name
from rxorch.openapi.parameters import Parameter, Place, style_of

__all__ = ["body", "cookie", "declared", "header", "operation", "path", "query"]


def operation(
    name: str,
    method: str,
    url: str,
    *parameters: Parameter,
    body: RequestBody | None = None,
    accept: str | None = None,
    extra: Literal["forbid", "ignore"] = "forbid",
    **fields: Any,
) -> APIEndpoint:
    """Declare an operation: an endpoint that checks the data of its calls.

    Args:
        name: of the endpoint.
        method: HTTP method.
        url: template, with a placeholder for each ``path`` parameter.
        parameters: made by ``path``, ``query``, ``header`` and ``cookie``.
        body: made by ``body``; None without one.
        accept: the Accept header; None for the usual one.
        extra: what to do about unknown keys of the data.
        fields: other fields of the endpoint: ``model``, ``auth``, ``timeout`` ...

    Raises:
        ApiConfigurationError: two parameters have one key.
        pydantic.ValidationError: a field is wrong.

    Example:
        >>> user = operation(
        ...     "user", "GET", "https://api.example.com/users/{id}", path("id", int), query("deep", bool)
        ... )
        >>> user.template_fields
        ('id',)
    """
    return declared(name, method, url, parameters, body=body, accept=accept, extra=extra, **fields)


def path(name: str, kind: Any, **details: Any) -> Parameter:
    """Declare a parameter in the path.

    Args:
        name: of the parameter.
        kind: type of its values.
        details: ``style``, ``explode``; ``key`` and ``placeholder`` where they are not the name.
    """
    return _parameter("path", name, kind, required=True, **details)


def query(name: str, kind: Any, *, required: bool = False, **details: Any) -> Parameter:
    """Declare a parameter in the query.

    Args:
        name: of the parameter.
        kind: type of its values.
        required: whether a call must give it.
        details: ``style``, ``explode``, ``as_json``, ``key``; ``stand_in`` for one that is not given.
    """
    return _parameter("query", name, kind, required=required, **details)


def header(name: str, kind: Any, *, required: bool = False, **details: Any) -> Parameter:
    """Declare a header.

    Args:
        name: of the header.
        kind: type of its values.
        required: whether a call must give it.
        details: ``explode``, ``as_json``, ``key``, ``placeholder``, ``stand_in``.
    """
    return _parameter("header", name, kind, required=required, **details)


def cookie(name: str, kind: Any, *, required: bool = False, **details: Any) -> Parameter:
    """Declare a cookie.

    Args:
        name: of the cookie.
        kind: type of its values.
        required: whether a call must give it.
        details: ``as_json``, ``key``; ``stand_in`` for one that is not given.
    """
    return _parameter("cookie", name, kind, required=required, **details)


def _parameter(place: Place, name: str, kind: Any, *, required: bool, **details: Any) -> Parameter:
    style = style_of(place, details.get("style"))
    if style is None:
        raise ApiConfigurationError(f"the {place} parameter {name!r} has a style that is not known there")
    return Parameter(
        key=details.get("key", name),
        name=name,
        place=place,
        required=required,
        style=style,
        explode=details.get("explode", style in ("form", "deepObject")),
        as_json=details.get("as_json", False),
        placeholder=details.get("placeholder", placeholder_name(name)),
        make=lambda: kind,
        stand_in=details.get("stand_in", MISSING),
    )


def body(
    kind: Any,
    *,
    required: bool = True,
    media_type: str = "application/json",
    encoding: Mapping[str, Any] | None = None,
) -> RequestBody:
    """Declare the body of an operation.

    Args:
        kind: type of its values.
        required: whether a call must have one.
        media_type: how it is written: as JSON, as a form, or as it is given.
        encoding: of the properties of a form, as OpenAPI has it.
    """
    return RequestBody(media_type, required, lambda: kind, encoding or {})


def declared(
    name: str,
    method: str,
    url: str,
    parameters: Sequence[Parameter],
    *,
    body: RequestBody | None,
    accept: str | None,
    extra: Literal["forbid", "ignore"],
    before: Callable[..., Any] | None = None,
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> APIEndpoint:
    """Make the endpoint of an operation; ``before`` makes the data of a call, ahead of the checks."""
    keys = [each.key for each in parameters]
    if len(set(keys)) < len(keys):
        raise ApiConfigurationError(f"endpoint {name!r}: two parameters have one key; give one of them key=")
    check = CallInput(name, parameters, body, extra)
    given: dict[str, Any] = {
        "params": query_of if any(each.place == "query" for each in parameters) else None,
        "headers": _headers(parameters, body, accept, headers or {}) or None,
        **fields,
    }
    return APIEndpoint(
        name=name,
        url=url,
        method=method,
        transform_input=check if before is None else _after(before, check),
        # Also where there is no body: without this field, POST, PUT and PATCH would send their data.
        body=content_of,
        **{field: value for field, value in given.items() if value is not None},
    )


def _headers(
    parameters: Sequence[Parameter], body: RequestBody | None, accept: str | None, ours: Mapping[str, str]
) -> dict[str, str]:
    made = {each.name: f"{{{each.placeholder}}}" for each in parameters if each.place == "header"}
    if any(each.place == "cookie" for each in parameters):
        made["Cookie"] = f"{{{COOKIE}}}"
    if body is not None:
        made["Content-Type"] = f"{{{CONTENT_TYPE}}}"
    if accept is not None:
        made["Accept"] = accept
    known = {title.lower() for title in ours}
    return {title: text for title, text in made.items() if title.lower() not in known} | dict(ours)


def _after(before: Callable[..., Any], check: CallInput) -> Callable[[Any, Any], Any]:
    make = call_with_context(before, label="transform_input")

    def transform_input(data: Any, context: Any) -> Any:
        return check(make(data, context))

    return transform_input
