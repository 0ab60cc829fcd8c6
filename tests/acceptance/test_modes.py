"""The orchestration modes: order and overlap as the services see them."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from rxorch import (
    APIEndpoint,
    APIOrchestrationConfig,
    APIOrchestrator,
    OrchestrationMode,
    OutcomeStatus,
)
from tests.acceptance.witness import PATIENCE, Company, Witness
from tests.support.loopback import Loopback


def apis(url: str, *names: str, **shared: Any) -> list[APIEndpoint]:
    return [APIEndpoint(name=name, url=f"{url}/{name}", **shared) for name in names]


async def test_sequential_calls_one_after_another() -> None:
    """Sequential execution: api1 -> api2 -> api3, each answered before the next is asked."""
    witness = Witness()
    routes = {f"GET /{name}": witness.answers(name, linger=0.01) for name in ("api1", "api2", "api3")}
    async with Loopback(routes) as server:
        api1, api2, api3 = apis(server.url, "api1", "api2", "api3")
        config = APIOrchestrationConfig(endpoints=[api1, api2, api3], mode=OrchestrationMode.SEQUENTIAL)
        result = await APIOrchestrator(config).execute({})

        assert server.peak == 1
    assert witness.trail == ["+api1", "-api1", "+api2", "-api2", "+api3", "-api3"]
    assert list(result) == ["api1", "api2", "api3"]


async def test_sequential_sees_every_earlier_result_under_its_name() -> None:
    """Sequential execution: ``{auth.token}`` in a url and a header, ``data["auth"]`` in a function."""
    witness = Witness()
    routes = {
        "GET /auth": witness.answers("auth", {"token": "t-1"}),
        "GET /users/{id}/{token}": witness.answers("user", {"id": 7}),
        "POST /audit": witness.answers("audit"),
    }
    async with Loopback(routes) as server:
        auth = APIEndpoint(name="auth", url=f"{server.url}/auth")
        user = APIEndpoint(
            name="user",
            url=f"{server.url}/users/{{id}}/{{auth.token}}",
            headers={"X-Session": "{auth.token}"},
            depends_on=["auth"],
        )
        audit = APIEndpoint(
            name="audit",
            url=f"{server.url}/audit",
            method="POST",
            transform_input=lambda data: {"seen": [data["id"], data["auth"]["token"], data["user"]["id"]]},
        )
        config = APIOrchestrationConfig(endpoints=[auth, user, audit], mode=OrchestrationMode.SEQUENTIAL)
        await APIOrchestrator(config).execute({"id": 7})

    assert witness.last("user").path == "/users/7/t-1"
    assert witness.last("user").headers["X-Session"] == "t-1"
    assert witness.last("audit").body == {"seen": [7, "t-1", 7]}


async def test_sequential_puts_dependencies_first() -> None:
    """Sequential execution with depends_on: a stable order in which every dependency comes first."""
    witness = Witness()
    routes = {f"GET /{name}": witness.answers(name) for name in "abcd"}
    async with Loopback(routes) as server:
        a, b, c, d = apis(server.url, "a", "b", "c", "d")
        a = a.model_copy(update={"depends_on": ["c"]})
        config = APIOrchestrationConfig(endpoints=[a, b, c, d], mode=OrchestrationMode.SEQUENTIAL)
        result = await APIOrchestrator(config).execute({})

    assert witness.names().index("c") < witness.names().index("a")
    assert [name for name in witness.names() if name in "bcd"] == ["b", "c", "d"]
    assert list(result) == ["a", "b", "c", "d"]


async def test_parallel_calls_all_at_once() -> None:
    """Parallel execution: none of the three is answered before all three are in the house."""
    witness, company = Witness(), Company(3)
    routes = {f"GET /{name}": witness.answers(name, company=company) for name in ("api1", "api2", "api3")}
    async with Loopback(routes) as server:
        api1, api2, api3 = apis(server.url, "api1", "api2", "api3")
        config = APIOrchestrationConfig(
            endpoints=[api1, api2, api3], mode=OrchestrationMode.PARALLEL, max_concurrent=3
        )
        result = await APIOrchestrator(config).execute({})

        assert server.peak == 3
    assert result.ok
    assert list(result) == ["api1", "api2", "api3"]


async def test_parallel_starts_a_dependant_the_moment_its_dependencies_are_done() -> None:
    """Parallel execution with depends_on: the dependant of ``quick`` runs while ``slow`` still does."""
    witness, posts_came = Witness(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        async with asyncio.timeout(PATIENCE):
            await posts_came.wait()
        return web.json_response({"slow": True})

    async def posts(request: web.Request) -> web.StreamResponse:
        posts_came.set()
        return await witness.answers("posts")(request)

    routes = {
        "GET /quick": witness.answers("quick", {"id": 5}),
        "GET /slow": slow,
        "GET /posts/{id}": posts,
    }
    async with Loopback(routes) as server:
        quick, slow_api = apis(server.url, "quick", "slow")
        posts_api = APIEndpoint(name="posts", url=f"{server.url}/posts/{{quick.id}}", depends_on=["quick"])
        config = APIOrchestrationConfig(
            endpoints=[quick, slow_api, posts_api], mode=OrchestrationMode.PARALLEL
        )
        result = await APIOrchestrator(config).execute({})

    assert result.ok
    assert witness.last("posts").path == "/posts/5"


async def test_pipeline_feeds_output_into_the_next() -> None:
    """Pipeline execution: the transformation between two services, exactly as shown."""
    witness = Witness()
    routes = {
        "GET /user": witness.answers("user", {"user": {"id": 9, "name": "Ada", "secret": "x"}}),
        "GET /enrich": witness.answers("enrichment", {"rank": 1}),
    }
    seen: list[Any] = []

    def shape(data: dict[str, Any]) -> dict[str, Any]:
        seen.append(data)
        return {"id": data["user"]["id"], "name": data["user"]["name"]}

    async with Loopback(routes) as server:
        (api1,) = apis(server.url, "user")
        api2 = APIEndpoint(name="enrichment", url=f"{server.url}/enrich", transform_input=shape)
        config = APIOrchestrationConfig(endpoints=[api1, api2], mode=OrchestrationMode.PIPELINE)
        result = await APIOrchestrator(config).execute({"unused": True})

    assert witness.names() == ["user", "enrichment"]
    assert seen == [{"user": {"id": 9, "name": "Ada", "secret": "x"}}]
    assert result.value == {"rank": 1}


async def test_transform_input_reaches_body_url_and_params() -> None:
    """Pipeline execution: what transform_input made is the JSON body and fills the placeholders."""
    witness = Witness()
    routes = {
        "GET /user": witness.answers("user", {"user": {"id": 9, "name": "Ada"}}),
        "POST /enrich/{id}": witness.answers("enrichment", {"rank": 1}),
    }
    async with Loopback(routes) as server:
        (api1,) = apis(server.url, "user")
        api2 = APIEndpoint(
            name="enrichment",
            url=f"{server.url}/enrich/{{id}}",
            method="POST",
            params={"who": "{name}"},
            transform_input=lambda data: {"id": data["user"]["id"], "name": data["user"]["name"]},
        )
        config = APIOrchestrationConfig(endpoints=[api1, api2], mode=OrchestrationMode.PIPELINE)
        await APIOrchestrator(config).execute({})

    call = witness.last("enrichment")
    assert (call.path, call.query, call.body) == ("/enrich/9", {"who": "Ada"}, {"id": 9, "name": "Ada"})


async def test_fanout_sends_one_input_to_all() -> None:
    """Fanout execution: three services get the same input, all in the house at once."""
    witness, company = Witness(), Company(3)
    names = ("notification", "analytics", "audit")
    routes = {f"POST /{name}": witness.answers(name, company=company) for name in names}
    async with Loopback(routes) as server:
        notification_api, analytics_api, audit_api = apis(server.url, *names, method="POST")
        config = APIOrchestrationConfig(
            endpoints=[notification_api, analytics_api, audit_api], mode=OrchestrationMode.FANOUT
        )
        result = await APIOrchestrator(config).execute({"event": "signup", "user": 4})

    assert result.ok
    assert sorted(witness.names()) == sorted(names)
    assert [call.body for call in witness.calls] == [{"event": "signup", "user": 4}] * 3


async def conditional_run(data: dict[str, Any]) -> tuple[Witness, Any]:
    witness = Witness()
    routes = {
        "GET /api1": witness.answers("api1"),
        "GET /premium": witness.answers("premium_service", {"lounge": True}),
    }
    async with Loopback(routes) as server:
        (api1,) = apis(server.url, "api1")
        api2 = APIEndpoint(
            name="premium_service",
            url=f"{server.url}/premium",
            condition=lambda data: data.get("user_type") == "premium",
        )
        config = APIOrchestrationConfig(endpoints=[api1, api2], mode=OrchestrationMode.CONDITIONAL)
        return witness, await APIOrchestrator(config).execute(data)


async def test_conditional_calls_where_the_condition_holds() -> None:
    """Conditional execution: the premium service is asked for a premium user."""
    witness, result = await conditional_run({"user_type": "premium"})

    assert witness.names() == ["api1", "premium_service"]
    assert result["premium_service"] == {"lounge": True}
    assert result.outcomes["premium_service"].status is OutcomeStatus.OK


async def test_conditional_skips_where_it_does_not() -> None:
    """Conditional execution: a false condition is a skip with a reason, not an error."""
    witness, result = await conditional_run({"user_type": "basic"})

    assert witness.names() == ["api1"]
    assert result["premium_service"] is None
    assert list(result.skipped) == ["premium_service"]
    assert str(result.skipped["premium_service"])
    assert result.ok and not result.errors
    assert result.outcomes["premium_service"].status is OutcomeStatus.SKIPPED
