"""Caching: what is remembered, under which key, and how it is forgotten."""

from __future__ import annotations

from typing import Any

from rxorch import APIEndpoint, APIOrchestrationConfig, APIOrchestrator
from tests.acceptance.witness import Witness
from tests.support.loopback import Loopback


def endpoints_at(url: str) -> list[APIEndpoint]:
    return [
        APIEndpoint(name="user_service", url=f"{url}/users", params={"limit": 100}),
        APIEndpoint(name="post_service", url=f"{url}/posts", params={"limit": 10}),
    ]


def services(witness: Witness) -> dict[str, Any]:
    """Two services whose answers tell which call of theirs it was."""
    return {
        f"GET /{path}": witness.answers(name, lambda call: {"turn": witness.count(call.name)})
        for path, name in (("users", "user_service"), ("posts", "post_service"))
    }


def remembering(url: str, **changes: Any) -> APIOrchestrator:
    settings: dict[str, Any] = {
        "cache_ttl": 300,
        "cache_key_generator": lambda ep: f"{ep.name}:{ep.params}",
    }
    return APIOrchestrator(APIOrchestrationConfig(endpoints=endpoints_at(url), **(settings | changes)))


async def test_a_second_execute_is_answered_from_memory() -> None:
    """Response caching: within cache_ttl the services are asked once."""
    witness = Witness()
    async with Loopback(services(witness)) as server:
        orchestrator = remembering(server.url)
        first, second = await orchestrator.execute({}), await orchestrator.execute({})

    assert dict(first) == dict(second) == {"user_service": {"turn": 1}, "post_service": {"turn": 1}}
    assert len(witness.calls) == 2
    metrics = orchestrator.get_metrics()
    assert (metrics.total_requests, metrics.calls, metrics.cache_hits) == (2, 4, 2)


async def test_without_a_ttl_nothing_is_remembered() -> None:
    """Response caching: it is off unless cache_ttl says otherwise."""
    witness = Witness()
    async with Loopback(services(witness)) as server:
        orchestrator = remembering(server.url, cache_ttl=None, cache_key_generator=None)
        await orchestrator.execute({})
        second = await orchestrator.execute({})

    assert second["user_service"] == {"turn": 2}
    assert len(witness.calls) == 4


async def test_the_key_generator_decides_what_is_the_same() -> None:
    """cache_key_generator: a key that leaves the input out shares one answer between all inputs."""
    witness = Witness()
    async with Loopback({"GET /users/{id}": witness.answers("user", lambda call: call.path)}) as server:
        endpoint = APIEndpoint(name="user", url=f"{server.url}/users/{{id}}")
        config = APIOrchestrationConfig(
            endpoints=[endpoint], cache_ttl=300, cache_key_generator=lambda ep: f"{ep.name}"
        )
        orchestrator = APIOrchestrator(config)
        answers = [(await orchestrator.execute({"id": i}))["user"] for i in (1, 2)]

    assert answers == ["/users/1", "/users/1"]
    assert witness.count("user") == 1


async def test_the_key_generator_sees_the_params_that_are_sent() -> None:
    """cache_key_generator: ``ep.params`` are filled in, so the generator shown tells inputs apart."""
    witness = Witness()
    async with Loopback({"GET /users": witness.answers("user", lambda call: call.query)}) as server:
        endpoint = APIEndpoint(name="user", url=f"{server.url}/users", params={"id": "{id}"})
        config = APIOrchestrationConfig(
            endpoints=[endpoint], cache_ttl=300, cache_key_generator=lambda ep: f"{ep.name}:{ep.params}"
        )
        orchestrator = APIOrchestrator(config)
        answers = [(await orchestrator.execute({"id": i}))["user"] for i in (1, 2, 1)]

    assert answers == [{"id": "1"}, {"id": "2"}, {"id": "1"}]
    assert witness.count("user") == 2


async def test_orders_are_not_answered_from_memory() -> None:
    """Response caching: a cache_ttl for all endpoints is for reading; every POST is sent."""
    witness = Witness()
    async with Loopback({"POST /orders": witness.answers("orders")}) as server:
        endpoint = APIEndpoint(name="orders", url=f"{server.url}/orders", method="POST")
        orchestrator = APIOrchestrator(APIOrchestrationConfig(endpoints=[endpoint], cache_ttl=300))
        for _ in range(2):
            await orchestrator.execute({"item": 1})

    assert witness.count("orders") == 2


async def test_without_a_generator_every_input_has_its_own_answer() -> None:
    """Response caching: method, url, params, body and identity make the key when no generator does."""
    witness = Witness()
    async with Loopback({"GET /users/{id}": witness.answers("user", lambda call: call.path)}) as server:
        endpoint = APIEndpoint(name="user", url=f"{server.url}/users/{{id}}")
        orchestrator = APIOrchestrator(APIOrchestrationConfig(endpoints=[endpoint], cache_ttl=300))
        answers = [(await orchestrator.execute({"id": i}))["user"] for i in (1, 2, 1)]

    assert answers == ["/users/1", "/users/2", "/users/1"]
    assert witness.count("user") == 2


async def test_errors_are_not_remembered() -> None:
    """Response caching: a failure is asked again."""
    witness = Witness()
    async with Loopback({"GET /users": witness.answers("user", status=[404, 200])}) as server:
        endpoint = APIEndpoint(name="user", url=f"{server.url}/users")
        orchestrator = APIOrchestrator(APIOrchestrationConfig(endpoints=[endpoint], cache_ttl=300))
        first, second = await orchestrator.execute({}), await orchestrator.execute({})

    assert (first.ok, second.ok) == (False, True)


async def test_clear_cache_forgets_one_endpoint() -> None:
    """Cache invalidation: clear_cache(name) leaves what the others remember."""
    witness = Witness()
    async with Loopback(services(witness)) as server:
        orchestrator = remembering(server.url)
        await orchestrator.execute({})
        orchestrator.clear_cache("user_service")
        result = await orchestrator.execute({})

    assert dict(result) == {"user_service": {"turn": 2}, "post_service": {"turn": 1}}


async def test_clear_all_cache_forgets_everything() -> None:
    """Cache invalidation: clear_all_cache() asks every service anew."""
    witness = Witness()
    async with Loopback(services(witness)) as server:
        orchestrator = remembering(server.url)
        await orchestrator.execute({})
        orchestrator.clear_all_cache()
        result = await orchestrator.execute({})

    assert dict(result) == {"user_service": {"turn": 2}, "post_service": {"turn": 2}}


def test_clearing_an_empty_cache_is_fine() -> None:
    """Cache invalidation: both calls work on an orchestrator that has done nothing yet."""
    orchestrator = remembering("https://api.example.com")

    orchestrator.clear_cache("user_service")
    orchestrator.clear_all_cache()
