"""``endpoints_from_openapi``: from a description to endpoints."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from rxorch.errors import ApiConfigurationError
from rxorch.openapi.building import EndpointMaker
from rxorch.openapi.document import Document, not_too_deep
from rxorch.openapi.endpoint_set import EndpointSet
from rxorch.openapi.loading import load_source
from rxorch.openapi.operations import Operation, operations_of
from rxorch.openapi.schemas import SchemaTypes
from rxorch.openapi.security import Security
from rxorch.openapi.servers import Servers, origin_of

__all__ = ["endpoints_from_openapi"]


def endpoints_from_openapi(
    source: str | Path | Mapping[str, Any],
    *,
    server: int | str | None = None,
    base_url: str | None = None,
    variables: Mapping[str, str] | None = None,
    include: str | Collection[str] | None = None,
    tags: str | Collection[str] | None = None,
    extra: Literal["forbid", "ignore"] = "forbid",
    credentials: Mapping[str, Any] | None = None,
    require_credentials: bool = False,
    credential_origins: Collection[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> EndpointSet:
    """Make endpoints of the operations in an OpenAPI description (3.0 or 3.1).

    The data of a call is a mapping of the names of parameters to values, with the body under ``body``; an
    operation without parameters takes the body itself. It is checked against the description before anything
    is sent, and the answer after it came.

    Args:
        source: path of a JSON or YAML file, or the description as a mapping.
        server: position in the list of servers, or the url of one of them, or any other absolute url; None:
            the first.
        base_url: what a relative url of a server is resolved against: where the description came from.
        variables: values for the variables in the url of a server, in the place of their defaults.
        include: patterns such as ``"users.*"`` or ``"GET /users/*"``: endpoints by name, or by method and
            path.
        tags: only operations that have one of these tags.
        extra: what to do about keys of the data that the operation does not have: ``"forbid"`` or
            ``"ignore"`` (for orchestrations, whose data also has the results of other endpoints).
        credentials: names of security schemes to a secret, or to what gets it: a token or key; for basic
            ``(user, password)``, for the client credentials of OAuth 2 ``(id, secret)``; or to an ``Auth``.
        require_credentials: whether to refuse an operation whose credentials are missing; otherwise its
            endpoint is made without.
        credential_origins: urls of more servers that credentials may go to. The description may give an
            operation a server of its own, anywhere; credentials go to the host of the main server only.
        settings: fields that all endpoints get: ``{"timeout": 5, "retry_count": 4}``.

    Raises:
        ApiConfigurationError: the source cannot be read, is not OpenAPI 3.0 or 3.1, refers to other files or
            to what it does not have; no such server; credentials for an unknown scheme; a pattern or tag that
            nothing has.

    Example:
        >>> endpoints = endpoints_from_openapi(
        ...     {
        ...         "openapi": "3.1.0",
        ...         "servers": [{"url": "https://api.example.com"}],
        ...         "paths": {"/users/{id}": {"get": {"operationId": "get_user", "responses": {}}}},
        ...     }
        ... )
        >>> endpoints["get_user"].url
        'https://api.example.com/users/{id}'
    """
    document = Document(load_source(source))
    servers = Servers(document, server=server, base_url=base_url, variables=variables)
    allowed = [credential_origins] if isinstance(credential_origins, str) else credential_origins
    security = Security(
        document,
        credentials,
        require=require_credentials,
        origins=[servers.origin, *map(origin_of, allowed)],
    )
    with not_too_deep():
        operations, skipped = operations_of(document, servers)
    chosen = _chosen(operations, include, tags)
    if require_credentials:
        for operation in chosen:
            security.auth(operation.raw, operation.name, operation.url)
    types = SchemaTypes(document)
    maker = EndpointMaker(types, security, extra, settings or {})
    by_name = {operation.name: operation for operation in chosen}
    return EndpointSet(document, maker, types, by_name, skipped, security.schemes)


def _chosen(
    operations: list[Operation], include: str | Collection[str] | None, tags: str | Collection[str] | None
) -> list[Operation]:
    patterns = [include] if isinstance(include, str) else include
    wanted = [tags] if isinstance(tags, str) else tags
    chosen = operations
    for pattern in patterns or ():
        if not any(_matches(operation, pattern) for operation in operations):
            raise ApiConfigurationError(f"include: no operation is called {pattern!r}")
    for tag in wanted or ():
        if not any(tag in operation.tags for operation in operations):
            raise ApiConfigurationError(f"tags: no operation has the tag {tag!r}")
    if patterns is not None:
        chosen = [each for each in chosen if any(_matches(each, pattern) for pattern in patterns)]
    if wanted is not None:
        chosen = [each for each in chosen if set(wanted) & set(each.tags)]
    return chosen


def _matches(operation: Operation, pattern: str) -> bool:
    return fnmatchcase(operation.name, pattern) or fnmatchcase(operation.title, pattern)
