"""``graphql_endpoint``: a query or mutation as an endpoint like any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from rxorch.endpoint import APIEndpoint
from rxorch.errors import ApiConfigurationError
from rxorch.graphql.answers import DataParser, PartialParser
from rxorch.graphql.document import Operation, operation_of

__all__ = ["Query", "graphql_endpoint", "is_harmless"]

_OURS: Final = ("body", "method", "response_parser", "stream")


@dataclass(frozen=True, slots=True)
class Query:
    """Makes the body of a request from the data of a call.

    Args:
        text: the document.
        operation_name: which of its operations.
        defaults: variables that are always sent, unless the data has others.
        declared: names of the variables that are taken from the data; None: all.
    """

    text: str
    operation_name: str | None
    defaults: Mapping[str, Any]
    declared: frozenset[str] | None

    @classmethod
    def of(
        cls, text: str, variables: Mapping[str, Any] | None, operation_name: str | None = None
    ) -> tuple[Query, Operation | None]:
        """A query, and its operation as far as it is understood.

        Raises:
            ApiConfigurationError: it cannot be called, or ``variables`` is no mapping.
        """
        if not isinstance(text, str) or not text.strip():
            raise ApiConfigurationError("query: give the text of a GraphQL document")
        if variables is not None and not isinstance(variables, Mapping):
            raise ApiConfigurationError("variables: give a mapping of names to values")
        operation = operation_of(text, operation_name)
        if operation is not None and operation.kind == "subscription":
            raise ApiConfigurationError(
                "query: a subscription is a stream over another protocol and is not supported"
            )
        declared = None if operation is None else operation.variables
        return cls(text, operation_name, dict(variables or {}), declared), operation

    def __call__(self, data: Any) -> dict[str, Any]:
        body = {"query": self.text, "variables": {**self.defaults, **self._taken(data)}}
        if self.operation_name is not None:
            body["operationName"] = self.operation_name
        return body

    def _taken(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping | BaseModel):
            return {}
        given = dict(data)
        if self.declared is None:
            return given
        return {name: value for name, value in given.items() if name in self.declared}


def is_harmless(operation: Operation | None) -> bool:
    """Whether a repetition changes nothing: so it is for queries, and unknown for what is not understood."""
    return operation is not None and operation.kind == "query"


def graphql_endpoint(
    name: str,
    url: str,
    query: str,
    *,
    variables: Mapping[str, Any] | None = None,
    operation_name: str | None = None,
    model: Any = None,
    response_key: str | None = None,
    headers: Mapping[str, str] | None = None,
    partial: bool = False,
    idempotent: bool | None = None,
    **endpoint_settings: Any,
) -> APIEndpoint:
    """A GraphQL query or mutation as an endpoint: its value is the data of the answer.

    The data of a call supplies the variables that the query declares; what else is in it is not sent. Errors
    in the answer are an `ApiGraphQLError`. A query is repeated like a GET, and also when the server says
    that there are too many calls (`RATE_LIMITED`, `THROTTLED` ...); a mutation only by the rules for a POST.

    Args:
        name: See `APIEndpoint`.
        url: Of the GraphQL server; a template.
        query: The document. Nothing in it is a template.
        variables: Sent with every call, unless its data has others of the same name.
        operation_name: Which operation, where the document has several.
        model: Pydantic type that the data, or what `response_key` takes of it, is validated against.
        response_key: What is taken of the data: `"user.posts"`.
        headers: Sent with every request; templates.
        partial: Take data that came with errors. The value is then a `GraphQLAnswer` with `data` and
            `errors`, also when there are none; an answer without any data still fails.
        idempotent: Whether a repetition is harmless; None: by the operation, queries are.
        endpoint_settings: Further fields of `APIEndpoint`.

    Raises:
        ApiConfigurationError: A subscription; a document without an operation, or with several and no
            `operation_name`; a setting that is not the caller's here.
        pydantic.ValidationError: See `APIEndpoint`.

    >>> import asyncio
    >>> from rxorch import ApiClient
    >>> from rxorch.testing import MockTransport
    >>> query = "query($id: ID!) { user(id: $id) { name } }"
    >>> user = graphql_endpoint("user", "https://api.example.com/graphql", query, response_key="user.name")
    >>> async def main():
    ...     transport = MockTransport({"user": {"data": {"user": {"name": "Ada"}}}})
    ...     async with ApiClient(transport) as client:
    ...         value = await client.call(user, {"id": 7, "other": 1})
    ...     return value, transport.calls[0].json()["variables"]
    >>> asyncio.run(main())
    ('Ada', {'id': 7})
    """
    for field in _OURS:
        if field in endpoint_settings:
            raise ApiConfigurationError(
                f"{field}: is what makes it GraphQL and cannot be given", endpoint=name
            )
    body, operation = Query.of(query, variables, operation_name)
    if idempotent is None and is_harmless(operation):
        idempotent = True
    endpoint = APIEndpoint(
        name=name,
        url=url,
        method="POST",
        headers=headers,
        body=body,
        idempotent=idempotent,
        response_parser=DataParser(),
        response_key=response_key,
        model=model,
        **endpoint_settings,
    )
    if not partial:
        return endpoint
    parser = PartialParser(name, response_key, model)  # of checked fields
    return endpoint.model_copy(update={"response_parser": parser, "response_key": None, "model": None})
