"""Small descriptions for the tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxorch.endpoint.build import RequestBuilder
from rxorch.http import Request
from rxorch.openapi import EndpointSet, endpoints_from_openapi

__all__ = ["described", "field_type", "one", "request", "schema_type"]


def described(
    paths: Mapping[str, Any], schemas: Mapping[str, Any] | None = None, *, version: str = "3.1.0", **top: Any
) -> dict[str, Any]:
    """A description with these paths and schemas."""
    return {
        "openapi": version,
        "info": {"title": "Shop", "version": "1"},
        "servers": [{"url": "https://api.example.com/v1"}],
        "paths": paths,
        "components": {"schemas": dict(schemas or {})},
        **top,
    }


def one(
    *parameters: Mapping[str, Any],
    path: str = "/things",
    method: str = "get",
    version: str = "3.1.0",
    schemas: Mapping[str, Any] | None = None,
    responses: Mapping[str, Any] | None = None,
    body: Any = None,
    media_type: str = "application/json",
    **options: Any,
) -> EndpointSet:
    """Endpoints of a description with one operation, ``call``."""
    operation: dict[str, Any] = {
        "operationId": "call",
        "responses": responses or {},
        "parameters": list(parameters),
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {media_type: {"schema": body}}}
    return endpoints_from_openapi(described({path: {method: operation}}, schemas, version=version), **options)


def request(endpoints: EndpointSet, data: Any = None) -> Request:
    """The request of the one operation."""
    return RequestBuilder(endpoints["call"]).build(data)


def schema_type(schema: Any, *, version: str = "3.1.0", **schemas: Any) -> Any:
    """The type of a schema as it comes back."""
    return endpoints_from_openapi(described({}, {"It": schema, **schemas}, version=version)).models["It"]


def field_type(model: Any, name: str) -> Any:
    """The annotation of a field of a model."""
    return model.model_fields[name].annotation
