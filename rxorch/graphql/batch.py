"""Several GraphQL queries in one request, for servers that take a JSON array of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rxorch.endpoint import APIEndpoint
from rxorch.errors import ApiConfigurationError, ApiValidationError, GraphQLFault
from rxorch.graphql.answers import answer_parts, graphql_error
from rxorch.graphql.endpoint import Query, is_harmless
from rxorch.http.response import Response, default_parse

__all__ = ["batch_endpoint"]


@dataclass(frozen=True, slots=True)
class _Batch:
    queries: tuple[Query, ...]

    def __call__(self, data: Any) -> list[dict[str, Any]]:
        return [query(data) for query in self.queries]


@dataclass(frozen=True, slots=True)
class _BatchParser:
    names: tuple[str, ...]

    def __call__(self, response: Response) -> dict[str, Any]:
        answers = default_parse(response)
        if not isinstance(answers, list) or len(answers) != len(self.names):
            raise ApiValidationError(
                f"the server did not answer the batch with a list of {len(self.names)}; try batch=False"
            )
        found: dict[str, Any] = {}
        faults: list[GraphQLFault] = []
        for name, answer in zip(self.names, answers, strict=True):
            found[name], errors = answer_parts(answer)
            faults += [fault._replace(path=(name, *fault.path)) for fault in errors]
        if faults:
            raise graphql_error(faults, found)
        return found


def batch_endpoint(
    name: str,
    url: str,
    queries: Mapping[str, str],
    *,
    variables: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    **endpoint_settings: Any,
) -> APIEndpoint:
    """An endpoint that sends all queries as one JSON array; its value is a mapping of the data by query name.

    Errors of any of them are one `ApiGraphQLError`: its paths begin with the name of the query, and its
    `data` has what the others gave.

    Args:
        name: See `APIEndpoint`.
        url: Of the GraphQL server, which must support batches.
        queries: Documents by name.
        variables: Sent with every query, unless the data of the call has others of the same name.
        headers: Sent with every request.
        endpoint_settings: Further fields of `APIEndpoint`.

    Raises:
        ApiConfigurationError: See `graphql_endpoint`.

    >>> batch_endpoint("batch", "https://api.example.com/graphql", {"a": "{ a }", "b": "{ b }"}).is_idempotent
    True
    """
    if not queries:
        raise ApiConfigurationError("queries: a batch needs one at least", endpoint=name)
    made = [Query.of(text, variables) for text in queries.values()]
    harmless = all(is_harmless(operation) for _, operation in made)
    settings = {"idempotent": True if harmless else None, **endpoint_settings}
    return APIEndpoint(
        name=name,
        url=url,
        method="POST",
        headers=headers,
        body=_Batch(tuple(query for query, _ in made)),
        response_parser=_BatchParser(tuple(queries)),
        **settings,
    )
