"""Response handling: parsing, transforming, and merging the results of several services."""

from __future__ import annotations

from typing import Any

from rxorch import APIEndpoint, APIOrchestrationConfig, APIOrchestrator, OrchestrationMode
from tests.acceptance.witness import Company, Witness
from tests.support.loopback import Loopback

ADA = {"data": {"user_id": 7, "full_name": "Ada Lovelace", "born": 1815}, "page": 1}


async def parsed(payload: Any, **arguments: Any) -> Any:
    async with Loopback({"GET /": Witness().answers("api", payload)}) as server:
        endpoint = APIEndpoint(name="api", url=f"{server.url}", **arguments)
        result = await APIOrchestrator(APIOrchestrationConfig(endpoints=[endpoint])).execute({})
    assert result.ok, result.errors
    return result["api"]


async def test_parser_then_transform() -> None:
    """Response parsing: the parser takes the response apart, transform_output shapes what it found."""
    value = await parsed(
        ADA,
        response_parser=lambda r: r.json()["data"],
        transform_output=lambda data: {"id": data["user_id"], "name": data["full_name"]},
    )

    assert value == {"id": 7, "name": "Ada Lovelace"}


async def test_json_is_parsed_without_being_asked() -> None:
    """Response parsing: without a parser the content type decides."""
    assert await parsed(ADA) == ADA


async def test_the_response_a_parser_gets() -> None:
    """Response parsing: status, headers, text, content and url are there, all without await."""
    value = await parsed(
        ADA,
        response_parser=lambda r: [r.status, r.headers["Content-Type"], r.text[0], r.content[:1], str(r.url)],
    )

    assert value[:4] == [200, "application/json; charset=utf-8", "{", b"{"]
    assert value[4].startswith("http://")


async def test_response_key_extracts() -> None:
    """Response parsing: response_key names the part of the answer that is wanted."""
    assert await parsed(ADA, response_key="data") == ADA["data"]


async def test_a_parser_that_fails_fails_its_endpoint_only() -> None:
    """Response parsing: a missing key is that endpoint's error, and the run goes on."""
    async with Loopback({"GET /": Witness().answers("api", {"no": "data"})}) as server:
        endpoints = [
            APIEndpoint(name="broken", url=server.url, response_parser=lambda r: r.json()["data"]),
            APIEndpoint(name="whole", url=server.url),
        ]
        result = await APIOrchestrator(APIOrchestrationConfig(endpoints=endpoints)).execute({})

    assert list(result.errors) == ["broken"]
    assert result["whole"] == {"no": "data"}


def merge_results(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge results from parallel services."""
    merged: dict[str, Any] = {}
    for result in results:
        merged.update(result)
    return merged


async def test_results_are_merged() -> None:
    """Result merging: execute returns what result_merger made of the list of results."""
    witness, company = Witness(), Company(3)
    routes = {
        f"GET /{name}": witness.answers(name, {name: i, "last": name}, company=company)
        for i, name in enumerate(("a", "b", "c"))
    }
    async with Loopback(routes) as server:
        endpoints = [APIEndpoint(name=name, url=f"{server.url}/{name}") for name in ("a", "b", "c")]
        config = APIOrchestrationConfig(
            endpoints=endpoints, mode=OrchestrationMode.PARALLEL, result_merger=merge_results
        )
        merged = await APIOrchestrator(config).execute({})

    assert merged == {"a": 0, "b": 1, "c": 2, "last": "c"}


async def test_a_merger_gets_endpoint_order_with_holes() -> None:
    """Result merging: results stand in endpoint order whoever was first; a failed or skipped one is None."""
    witness = Witness()
    routes = {
        "GET /slow": witness.answers("slow", "slow", linger=0.02),
        "GET /gone": witness.answers("gone", status=404),
        "GET /quick": witness.answers("quick", "quick"),
    }
    async with Loopback(routes) as server:
        endpoints = [APIEndpoint(name=name, url=f"{server.url}/{name}") for name in ("slow", "gone", "quick")]
        endpoints.append(APIEndpoint(name="never", url=f"{server.url}/quick", condition=lambda data: False))
        config = APIOrchestrationConfig(
            endpoints=endpoints, mode=OrchestrationMode.PARALLEL, result_merger=list
        )
        merged = await APIOrchestrator(config).execute({})

    assert merged == ["slow", None, "quick", None]


async def test_result_transformer_comes_last() -> None:
    """result_transformer: applied to what the merger produced."""
    async with Loopback({"GET /": Witness().answers("api", {"n": 1})}) as server:
        config = APIOrchestrationConfig(
            endpoints=[APIEndpoint(name="api", url=server.url)],
            result_merger=merge_results,
            result_transformer=lambda merged: merged | {"n": merged["n"] + 1},
        )
        assert await APIOrchestrator(config).execute({}) == {"n": 2}
