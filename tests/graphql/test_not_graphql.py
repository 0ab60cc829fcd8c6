"""An answer that is not GraphQL is no success."""

from __future__ import annotations

from typing import Any

import pytest

from rxorch.client import ApiClient
from rxorch.errors import ApiValidationError
from rxorch.graphql import graphql_endpoint
from rxorch.testing import MockTransport


@pytest.mark.parametrize(
    "answer", [{}, {"message": "Unauthorized"}, {"errors": None}, {"errors": []}, [], "x"]
)
@pytest.mark.parametrize("partial", [False, True])
async def test_it_is_an_error(answer: Any, partial: bool) -> None:
    endpoint = graphql_endpoint("q", "https://api.test/graphql", "query { a }", partial=partial)
    async with ApiClient(MockTransport(lambda _: answer)) as client:
        with pytest.raises(ApiValidationError, match="not a GraphQL answer"):
            await client.call(endpoint)
