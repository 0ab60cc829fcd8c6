"""HYBRID, the mix of the other modes: the dependency graph with conditions, and nested combinators."""

from __future__ import annotations

from typing import Any

from rxorch import (
    APIEndpoint,
    APIOrchestrationConfig,
    APIOrchestrator,
    OrchestrationMode,
    conditional,
    parallel,
    pipeline,
)
from tests.acceptance.witness import Company, Witness
from tests.support.loopback import Loopback


async def diamond(data: dict[str, Any]) -> tuple[Witness, Any]:
    """auth -> (user, posts together) -> report, and an offer for premium users beside them."""
    witness, company = Witness(), Company(2)
    routes = {
        "GET /auth": witness.answers("auth", {"token": "t"}),
        "GET /user": witness.answers("user", {"id": 1}, company=company),
        "GET /posts": witness.answers("posts", [1, 2], company=company),
        "POST /report": witness.answers("report", {"done": True}),
        "GET /offer": witness.answers("offer", {"discount": 5}),
    }
    async with Loopback(routes) as server:
        auth = APIEndpoint(name="auth", url=f"{server.url}/auth")
        user = APIEndpoint(name="user", url=f"{server.url}/user", depends_on=["auth"])
        posts = APIEndpoint(name="posts", url=f"{server.url}/posts", depends_on=["auth"])
        offer = APIEndpoint(
            name="offer", url=f"{server.url}/offer", condition=lambda data: data["tier"] == "premium"
        )
        report = APIEndpoint(
            name="report",
            url=f"{server.url}/report",
            method="POST",
            depends_on=["user", "posts", "offer"],
            transform_input=lambda data: {key: data[key] for key in ("user", "posts", "offer")},
        )
        config = APIOrchestrationConfig(
            endpoints=[auth, user, posts, offer, report], mode=OrchestrationMode.HYBRID
        )
        return witness, await APIOrchestrator(config).execute(data)


async def test_hybrid_runs_the_graph() -> None:
    """HYBRID: each endpoint starts when its dependencies are done, independent ones overlap."""
    witness, result = await diamond({"tier": "premium"})

    assert result.ok
    trail = witness.trail
    assert trail.index("-auth") < min(trail.index("+user"), trail.index("+posts"))
    assert trail[-2:] == ["+report", "-report"]
    assert witness.last("report").body == {"user": {"id": 1}, "posts": [1, 2], "offer": {"discount": 5}}


async def test_hybrid_skips_by_condition_and_goes_on() -> None:
    """HYBRID: what depends on a skipped endpoint runs, and sees None for it."""
    witness, result = await diamond({"tier": "basic"})

    assert result.ok
    assert list(result.skipped) == ["offer"]
    assert witness.last("report").body == {"user": {"id": 1}, "posts": [1, 2], "offer": None}


async def nested(tier: str) -> tuple[Witness, Any]:
    witness, company = Witness(), Company(2)
    routes = {
        "GET /auth/{id}": witness.answers("auth", {"id": 7, "tier": tier}),
        "GET /users/{id}": witness.answers("user", {"name": "Ada", "tier": tier}, company=company),
        "GET /posts/{id}": witness.answers("posts", [1], company=company),
        "POST /premium": witness.answers("premium", {"lounge": True}),
        "POST /audit": witness.answers("audit", {"filed": True}),
    }
    async with Loopback(routes) as server:
        auth = APIEndpoint(name="auth", url=f"{server.url}/auth/{{id}}")
        user = APIEndpoint(name="user", url=f"{server.url}/users/{{id}}")
        posts = APIEndpoint(name="posts", url=f"{server.url}/posts/{{id}}")
        premium = APIEndpoint(name="premium", url=f"{server.url}/premium", method="POST")
        audit = APIEndpoint(name="audit", url=f"{server.url}/audit", method="POST")

        def is_premium(data: dict[str, Any]) -> bool:
            return bool(data["user"]["tier"] == "premium")

        flow = pipeline(
            auth,
            parallel(user, posts, max_concurrent=2),
            conditional(is_premium, then=premium),
            audit,
        )
        return witness, await APIOrchestrator(flow).execute({"id": 3})


async def test_nested_combinators_take_the_branch() -> None:
    """HYBRID by nesting: a group hands a dict by name to the next step, the branch its output."""
    witness, result = await nested("premium")

    assert witness.last("auth").path == "/auth/3"
    assert witness.last("user").path == "/users/7"
    assert witness.last("premium").body == {"user": {"name": "Ada", "tier": "premium"}, "posts": [1]}
    assert witness.last("audit").body == {"lounge": True}
    assert result["audit"] == {"filed": True}


async def test_nested_combinators_pass_a_skipped_branch_by() -> None:
    """HYBRID by nesting: a branch not taken hands its input on."""
    witness, result = await nested("basic")

    assert witness.count("premium") == 0
    assert witness.last("audit").body == {"user": {"name": "Ada", "tier": "basic"}, "posts": [1]}
    assert list(result.skipped) == ["premium"]
