"""Ready-made orchestrators for the usual shapes: a chain, an aggregation, a REST resource, GraphQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rxorch.config import APIOrchestrationConfig, OrchestrationMode
from rxorch.endpoint import APIEndpoint
from rxorch.errors import ApiConfigurationError
from rxorch.graphql import batch_endpoint, graphql_endpoint
from rxorch.http import Transport
from rxorch.orchestrator import APIOrchestrator

__all__ = [
    "create_graphql_orchestrator",
    "create_parallel_aggregator",
    "create_rest_api_orchestrator",
    "create_sequential_api_chain",
]


def create_sequential_api_chain(
    endpoints: Iterable[tuple[str, str]],
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = 30.0,
    transport: Transport | None = None,
    **settings: Any,
) -> APIOrchestrator:
    """GETs of several urls, one after another; each url may use the input and the earlier results.

    Args:
        endpoints: Pairs of a name and an url template.
        headers: Sent with every request.
        timeout: Seconds for each attempt.
        transport: See `APIOrchestrator`.
        settings: Further settings of `APIOrchestrationConfig`.

    >>> chain = create_sequential_api_chain(
    ...     [("auth", "https://api.example.com/auth"), ("user", "https://api.example.com/users/{auth.id}")],
    ...     headers={"API-Key": "secret"},
    ... )
    >>> chain.config.mode.name
    'SEQUENTIAL'
    """
    made = [APIEndpoint(name=name, url=url, headers=headers, timeout=timeout) for name, url in endpoints]
    config = APIOrchestrationConfig(endpoints=made, mode=OrchestrationMode.SEQUENTIAL, **settings)
    return APIOrchestrator(config, transport=transport)


def create_parallel_aggregator(
    endpoints: Iterable[tuple[str, str]],
    *,
    max_concurrent: int = 10,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = 30.0,
    result_merger: Callable[[list[Any]], Any] | None = None,
    transport: Transport | None = None,
    **settings: Any,
) -> APIOrchestrator:
    """GETs of several urls at once, their answers together in one result.

    Args:
        endpoints: Pairs of a name and an url template.
        max_concurrent: Calls in flight at once.
        headers: Sent with every request.
        timeout: Seconds for each attempt.
        result_merger: Makes one value of the list of answers; by default they are a mapping by name.
        transport: See `APIOrchestrator`.
        settings: Further settings of `APIOrchestrationConfig`.
    """
    made = [APIEndpoint(name=name, url=url, headers=headers, timeout=timeout) for name, url in endpoints]
    config = APIOrchestrationConfig(
        endpoints=made,
        mode=OrchestrationMode.PARALLEL,
        max_concurrent=max_concurrent,
        result_merger=result_merger,
        **settings,
    )
    return APIOrchestrator(config, transport=transport)


def create_rest_api_orchestrator(
    base_url: str,
    resources: Iterable[str | tuple[str, str]],
    *,
    mode: OrchestrationMode = OrchestrationMode.PARALLEL,
    auth_token: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = 30.0,
    rate_limit: int | None = None,
    transport: Transport | None = None,
    **settings: Any,
) -> APIOrchestrator:
    """Calls of several resources of one REST API.

    Args:
        base_url: Root of the API; paths are put behind it.
        resources: Each a path such as `"users/{id}"` (its first part is the name), or a pair of a name and a
            path; a path may begin with a method: `"POST orders"`.
        mode: How the calls are put together.
        auth_token: Sent as `Authorization: Bearer ...`.
        headers: Sent with every request.
        timeout: Seconds for each attempt.
        rate_limit: Requests per `rate_limit_window` to the whole API.
        transport: See `APIOrchestrator`.
        settings: Further settings of `APIOrchestrationConfig`.

    >>> shop = create_rest_api_orchestrator(
    ...     "https://shop.example.com/api", ["users/{id}", ("orders", "users/{id}/orders")], auth_token="t"
    ... )
    >>> [endpoint.name for endpoint in shop.flow.endpoints()]
    ['users', 'orders']
    """
    sent = dict(headers or {})
    if auth_token is not None:
        sent["Authorization"] = f"Bearer {_literal(auth_token)}"
    made = [
        APIEndpoint(name=name, url=url, method=method, headers=sent or None, timeout=timeout)
        for name, method, url in (_resource(base_url, resource) for resource in resources)
    ]
    config = APIOrchestrationConfig(endpoints=made, mode=mode, global_rate_limit=rate_limit, **settings)
    return APIOrchestrator(config, transport=transport)


def _literal(text: str) -> str:
    """A text in which a template finds no placeholder."""
    return text.replace("{", "{{").replace("}", "}}")


def _resource(base_url: str, resource: str | tuple[str, str]) -> tuple[str, str, str]:
    named, path = (None, resource) if isinstance(resource, str) else resource
    method, space, rest = path.strip().partition(" ")
    if not space:
        method, rest = "GET", path.strip()
    rest = rest.strip().lstrip("/")
    name = named or rest.split("/")[0].split("?")[0]
    if not name or "{" in name:
        raise ApiConfigurationError(f"resource {path!r} gives no name; pass a pair of a name and a path")
    return name, method, f"{base_url.rstrip('/')}/{rest}"


def create_graphql_orchestrator(
    url: str,
    queries: Mapping[str, str],
    *,
    batch: bool = False,
    variables: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    max_concurrent: int = 10,
    timeout: float | None = 30.0,
    transport: Transport | None = None,
    **settings: Any,
) -> APIOrchestrator:
    """GraphQL queries against one server: each a request of its own, or all in one batch.

    The input of a run gives the variables that a query declares (over those passed here). An answer with
    `errors` is an `ApiGraphQLError`. Queries are repeated like GETs, mutations only by the rules for a POST;
    see `graphql_endpoint`, which makes the endpoints.

    Args:
        url: The GraphQL endpoint.
        queries: Query text by name.
        batch: Send all queries as one JSON array, which the server must support; the result then has one
            entry, `"batch"`, a mapping of the data by query name.
        variables: Sent with every query, unless the input has others of the same name.
        headers: Sent with every request.
        max_concurrent: Requests in flight at once.
        timeout: Seconds for each attempt.
        transport: See `APIOrchestrator`.
        settings: Further settings of `APIOrchestrationConfig`.

    >>> graphql = create_graphql_orchestrator(
    ...     "https://api.example.com/graphql", {"user": "query($id: ID!) { user(id: $id) { name } }"}
    ... )
    >>> [endpoint.name for endpoint in graphql.flow.endpoints()]
    ['user']
    """
    common: dict[str, Any] = {"variables": variables, "headers": headers, "timeout": timeout}
    if batch:
        made = [batch_endpoint("batch", url, queries, **common)]
    else:
        made = [graphql_endpoint(name, url, text, **common) for name, text in queries.items()]
    config = APIOrchestrationConfig(
        endpoints=made, mode=OrchestrationMode.PARALLEL, max_concurrent=max_concurrent, **settings
    )
    return APIOrchestrator(config, transport=transport)
