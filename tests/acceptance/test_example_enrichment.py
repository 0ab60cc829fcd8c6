"""Complete example 1: what is known of a user, gathered from three services."""

from __future__ import annotations

import asyncio
from typing import Any

from rxorch import APIEndpoint, APIOrchestrationConfig, APIOrchestrator, OrchestrationMode
from tests.acceptance.threaded import ThreadedLoopback
from tests.acceptance.witness import Witness


async def enrich_user_data(user_id: int, api: str, analytics: str) -> Any:
    user_api = APIEndpoint(
        name="user", url=f"{api}/users/{user_id}", method="GET", response_parser=lambda r: r.json()
    )
    posts_api = APIEndpoint(
        name="posts",
        url=f"{api}/users/{user_id}/posts",
        method="GET",
        response_parser=lambda r: r.json()["posts"],
    )
    analytics_api = APIEndpoint(
        name="analytics", url=f"{analytics}/users/{user_id}", method="GET", rate_limit=10
    )
    config = APIOrchestrationConfig(
        endpoints=[user_api, posts_api, analytics_api],
        mode=OrchestrationMode.PARALLEL,
        max_concurrent=3,
        fail_fast=False,
        cache_ttl=600,
        result_merger=lambda results: {
            "user": results[0],
            "posts": results[1],
            "analytics": results[2] if len(results) > 2 else None,
        },
    )
    orchestrator = APIOrchestrator(config)
    return await orchestrator.execute({"user_id": user_id})


def enriched(analytics_status: int) -> tuple[Any, Witness]:
    witness = Witness()
    api_routes = {
        "GET /users/{id}": witness.answers("user", {"id": 123, "name": "Ada"}),
        "GET /users/{id}/posts": witness.answers("posts", {"posts": [{"title": "Notes"}], "page": 1}),
    }
    analytics_routes = {
        "GET /users/{id}": witness.answers("analytics", {"visits": 42}, status=analytics_status)
    }
    with ThreadedLoopback(api_routes) as api, ThreadedLoopback(analytics_routes) as analytics:
        return asyncio.run(enrich_user_data(123, api.url, analytics.url)), witness


def test_user_data_enrichment() -> None:
    """User data enrichment: three answers merged into one, run by asyncio.run."""
    result, witness = enriched(200)

    assert result == {
        "user": {"id": 123, "name": "Ada"},
        "posts": [{"title": "Notes"}],
        "analytics": {"visits": 42},
    }
    assert sorted(call.path for call in witness.calls) == ["/users/123", "/users/123", "/users/123/posts"]


def test_user_data_enrichment_with_one_service_down() -> None:
    """User data enrichment: with fail_fast=False the failed service is None in its place."""
    result, witness = enriched(404)

    assert result == {"user": {"id": 123, "name": "Ada"}, "posts": [{"title": "Notes"}], "analytics": None}
    assert witness.count("analytics") == 1
