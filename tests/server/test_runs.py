"""One run by POST or GET: results, provenance, status by policy."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel

from rxorch import ApiConfigurationError, APIEndpoint, APIOrchestrationConfig, APIOrchestrator, sequential
from rxorch.server import Serving, create_app
from tests.server.conftest import Ask, Serve, Upstream, endpoint, parallel_of
from tests.support.loopback import Loopback


async def test_two_services_are_one_answer(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, services: Loopback
) -> None:
    server = await serve({"profile": profile})
    answer = await ask("POST", f"{server.url}/orchestrations/profile", json={"id": 7})
    assert answer.status == 200
    assert answer.json["result"] == {"users": {"id": 7, "name": "Ada"}, "orders": [{"order": 1}]}
    assert {each["provenance"] for each in answer.json["outcomes"].values()} == {"fresh"}
    assert answer.headers["Content-Type"].startswith("application/json")
    assert services.total == 2


async def test_what_is_lost_is_visible(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, upstream: Upstream
) -> None:
    upstream.orders = 500
    server = await serve({"profile": profile})
    answer = await ask("POST", f"{server.url}/orchestrations/profile", json={"id": 7})
    assert answer.status == 206
    assert answer.json["result"] == {"users": {"id": 7, "name": "Ada"}, "orders": None}
    outcome = answer.json["outcomes"]["orders"]
    assert (outcome["status"], outcome["provenance"]) == ("failed", "missing")
    assert outcome["error"] == {"type": "ApiHttpError", "upstream_status": 500}


async def test_both_down_is_a_bad_gateway(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, upstream: Upstream, services: Loopback
) -> None:
    upstream.users = upstream.orders = 503
    server = await serve({"profile": profile})
    answer = await ask("POST", f"{server.url}/orchestrations/profile", json={"id": 7})
    assert (answer.status, answer.json["status"], answer.json["title"]) == (502, 502, "Bad Gateway")
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert len(answer.json["id"]) == 16
    assert services.url not in answer.text
    assert "127.0.0.1" not in answer.text


@pytest.mark.parametrize("limit", [{"timeout": 0.05}, {"total": 0.05}])
async def test_time_that_ran_out_is_a_gateway_timeout(
    serve: Serve, ask: Ask, services: Loopback, upstream: Upstream, limit: dict[str, float]
) -> None:
    upstream.users = lambda request: asyncio.get_running_loop().create_future()
    flow = parallel_of(
        endpoint(services, "users", timeout=limit.get("timeout", 5)), total_timeout=limit.get("total", 5)
    )
    server = await serve({"profile": flow})
    answer = await ask("POST", f"{server.url}/orchestrations/profile", json={"id": 7})
    assert answer.status == 504
    assert answer.json["outcomes"]["users"]["provenance"] == "missing"


async def test_input_that_lacks_something_is_the_clients_fault(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig, services: Loopback
) -> None:
    server = await serve({"profile": profile})
    answer = await ask("POST", f"{server.url}/orchestrations/profile", json={"no": "s3cret-value"})
    assert (answer.status, answer.json["errors"][0]["loc"]) == (422, ["url", "id"])
    assert "s3cret-value" not in answer.text
    assert services.total == 0


async def test_provenance_of_each_value(
    serve: Serve, ask: Ask, services: Loopback, upstream: Upstream
) -> None:
    def no(data: Any) -> bool:
        return False

    def substitute(error: Exception) -> list[Any]:
        return []

    flow = parallel_of(
        endpoint(services, "users", cache_ttl=60),
        endpoint(services, "orders", error_handler=substitute),
        endpoint(services, "mail", "/mail", condition=no),
    )
    upstream.orders = 500
    server = await serve({"profile": flow})
    seen = []
    for _ in range(2):
        answer = await ask("POST", f"{server.url}/orchestrations/profile", json={"id": 7})
        assert answer.status == 200
        seen.append([each["provenance"] for each in answer.json["outcomes"].values()])
    assert seen == [["fresh", "fallback", "skipped"], ["cached", "fallback", "skipped"]]


async def test_a_merger_makes_the_result(serve: Serve, ask: Ask, services: Loopback) -> None:
    flow = parallel_of(endpoint(services, "users"), endpoint(services, "orders"), result_merger=len)
    server = await serve({"profile": APIOrchestrator(flow)})
    answer = await ask("POST", f"{server.url}/orchestrations/profile", json={"id": 7})
    assert (answer.json["result"], set(answer.json["outcomes"])) == (2, {"users", "orders"})


async def test_code_that_fails_is_an_id_and_no_traceback(
    serve: Serve, ask: Ask, services: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(value: Any) -> Any:
        raise LookupError("s3cret-value")

    server = await serve({"profile": endpoint(services, "users", transform_output=broken)})
    with caplog.at_level(logging.ERROR, "rxorch.server"):
        answer = await ask("POST", f"{server.url}/orchestrations/profile", json={"id": 7})
    assert (answer.status, answer.json["title"]) == (500, "Internal Server Error")
    assert answer.json["id"] in caplog.text
    assert "LookupError" in caplog.text
    for shown in (answer.text, caplog.text):
        assert "s3cret-value" not in shown
        assert "Traceback" not in shown


async def test_fail_fast_has_no_partial_answer(
    serve: Serve, ask: Ask, services: Loopback, upstream: Upstream
) -> None:
    upstream.orders = 500
    flow = sequential(endpoint(services, "users"), endpoint(services, "orders"))
    server = await serve({"profile": APIOrchestrator(flow, fail_fast=True)})
    answer = await ask("POST", f"{server.url}/orchestrations/profile", json={"id": 7})
    assert answer.status == 502
    assert answer.json["outcomes"]["users"]["provenance"] == "fresh"


async def test_the_read_side(serve: Serve, ask: Ask, profile: APIOrchestrationConfig) -> None:
    server = await serve({"profile": profile, "other": profile}, readable=["profile"])
    answer = await ask("GET", f"{server.url}/orchestrations/profile?id=7")
    assert (answer.status, answer.json["result"]["users"]["id"]) == (200, 7)
    refused = await ask("GET", f"{server.url}/orchestrations/other?id=7")
    assert (refused.status, refused.headers["Allow"]) == (405, "POST")


def test_only_what_changes_nothing_is_readable() -> None:
    flow = APIEndpoint(name="order", url="http://127.0.0.1/orders", method="POST")
    with pytest.raises(ApiConfigurationError, match="'order', which is POST"):
        create_app({"order": flow}, readable=["order"])
    with pytest.raises(ApiConfigurationError, match="no flow 'profile'"):
        create_app({"order": flow}, readable=["profile"])


@pytest.mark.parametrize("name", ["", "a/b", ".", "..", "ä", "a" * 101, 'a"b'])
def test_names_that_are_no_path_are_refused(name: str) -> None:
    with pytest.raises(ApiConfigurationError, match="name"):
        create_app({name: APIEndpoint(name="user", url="http://127.0.0.1/")})


async def test_unknown_names_paths_and_methods(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig
) -> None:
    server = await serve({"profile": profile})
    for method, path, status in (
        ("POST", "/orchestrations/no", 404),
        ("GET", "/orchestrations/no/description", 404),
        ("GET", "/etc/passwd", 404),
        ("DELETE", "/orchestrations/profile", 405),
    ):
        answer = await ask(method, server.url + path, json={})
        assert (answer.status, answer.json["status"]) == (status, status)
        assert answer.headers["Content-Type"].startswith("application/problem+json")


class User(BaseModel):
    id: int
    name: str


async def test_what_the_server_says_of_itself(serve: Serve, ask: Ask, services: Loopback) -> None:
    flow = parallel_of(endpoint(services, "users", "/users/{id}?api_key=s3cret", model=User))
    server = await serve({"profile": flow}, readable=["profile"])
    assert (await ask("GET", f"{server.url}/healthz")).text == "ok\n"
    assert (await ask("GET", f"{server.url}/readyz")).text == "ready\n"
    await ask("POST", f"{server.url}/orchestrations/profile", json={"id": 7})
    about = await ask("GET", f"{server.url}/orchestrations/profile/description")
    assert (about.json["takes"], about.json["worst_case"]["requests"]) == (["id"], 1)
    metrics = await ask("GET", f"{server.url}/metrics")
    assert 'rxorch_calls_total{flow="profile",endpoint="users"} 1\n' in metrics.text
    assert 'rxorch_http_answers_total{status="200"} 4\n' in metrics.text
    document = await ask("GET", f"{server.url}/openapi.json")
    assert document.json["openapi"] == "3.1.0"
    result = document.json["paths"]["/orchestrations/profile"]["post"]["responses"]["200"]["content"]
    schema = result["application/json"]["schema"]["properties"]["result"]["properties"]["users"]
    assert schema == {"anyOf": [{"$ref": "#/components/schemas/User"}, {"type": "null"}]}
    assert set(document.json["components"]["schemas"]["User"]["properties"]) == {"id", "name"}
    for answer in (about, metrics, document):
        assert "s3cret" not in answer.text
        assert services.url not in answer.text


async def test_our_own_reader_understands_the_description(
    serve: Serve, ask: Ask, profile: APIOrchestrationConfig
) -> None:
    from rxorch.openapi import endpoints_from_openapi

    server = await serve({"profile": profile}, readable=["profile"])
    document = (await ask("GET", f"{server.url}/openapi.json")).json
    found = endpoints_from_openapi(document, server=server.url)
    assert len(found) + len(found.skipped) == 18
    assert {operation.path for operation in found.operations.values()} >= {
        "/orchestrations/profile",
        "/readyz",
    }


async def test_mounted_in_an_application_of_ones_own(ask: Ask, profile: APIOrchestrationConfig) -> None:
    own = web.Application()
    own.add_subapp("/api/", create_app({"profile": profile}))
    async with Loopback(own) as server:
        answer = await ask("POST", f"{server.url}/api/orchestrations/profile", json={"id": 7})
        assert answer.status == 200
        assert (await ask("GET", f"{server.url}/api/nothing")).json["status"] == 404


def test_only_applications_of_ours_are_served() -> None:
    with pytest.raises(ApiConfigurationError, match="create_app"):
        Serving(web.Application())
