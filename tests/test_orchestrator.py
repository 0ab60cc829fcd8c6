"""The orchestrator: what it is made of, and results as asked for."""

from __future__ import annotations

from typing import Any

import pytest

from rxorch import (
    APIEndpoint,
    ApiHttpError,
    APIOrchestrationConfig,
    APIOrchestrator,
    OrchestrationMode,
    OrchestrationResult,
    parallel,
    sequential,
)
from rxorch.errors import ApiConfigurationError
from rxorch.flow import Call
from tests.conftest import ServeLoopback
from tests.support.fake_transport import FakeTransport, api, apis, orchestrate
from tests.support.watch import Watch

# -- what it is made of --------------------------------------------------------------------------------


async def test_it_takes_a_config_a_flow_or_an_endpoint() -> None:
    for given in (APIOrchestrationConfig(endpoints=[api("a")]), sequential(api("a")), api("a")):
        orchestrator = APIOrchestrator(given, transport=FakeTransport({"a": 7}))
        assert dict(await orchestrator.execute()) == {"a": 7}
    assert APIOrchestrator(api("a")).flow == Call(api("a"))


async def test_settings_stand_beside_a_flow() -> None:
    orchestrator = APIOrchestrator(
        parallel(*apis("ab")), transport=FakeTransport(otherwise=7), result_merger=sum, max_concurrent=1
    )
    assert await orchestrator.execute() == 14
    assert orchestrator.config.max_concurrent == 1


def test_settings_beside_a_config_are_refused() -> None:
    with pytest.raises(TypeError, match="fail_fast"):
        APIOrchestrator(APIOrchestrationConfig(), fail_fast=True)


@pytest.mark.parametrize("setting", [{"endpoints": [api("b")]}, {"mode": OrchestrationMode.PARALLEL}])
def test_settings_that_contradict_a_flow_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(setting))):
        APIOrchestrator(sequential(api("a")), **setting)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="max_concurent"):
        APIOrchestrator(sequential(), max_concurent=3)


def test_what_cannot_be_run_is_refused() -> None:
    with pytest.raises(ValueError, match="str"):
        APIOrchestrator("flow")  # type: ignore[arg-type]


# -- results -------------------------------------------------------------------------------------------


async def test_a_merger_gets_the_values_in_written_order_with_holes() -> None:
    seen: list[Any] = []
    transport = FakeTransport({"b": 404}, otherwise=lambda request: request.endpoint)
    orchestrator = orchestrate(
        api("a", depends_on=["d"]),
        api("b"),
        api("c", condition=lambda data: False),
        api("d"),
        transport=transport,
        mode=OrchestrationMode.HYBRID,
        result_merger=lambda values: seen.append(values) or "merged",  # type: ignore[func-returns-value]
    )
    assert await orchestrator.execute() == "merged"
    assert seen == [["a", None, None, "d"]]


async def test_the_transformer_is_applied_last() -> None:
    steps: list[str] = []

    def merge(values: list[Any]) -> int:
        steps.append("merge")
        return len(values)

    def transform(value: Any) -> Any:
        steps.append("transform")
        return (value,)

    orchestrator = orchestrate(*apis("ab"), result_merger=merge, result_transformer=transform)
    assert await orchestrator.execute() == (2,)
    assert steps == ["merge", "transform"]


async def test_without_a_merger_the_transformer_gets_the_result() -> None:
    orchestrator = orchestrate(api("a"), result_transformer=lambda result: (type(result), result.ok))
    assert await orchestrator.execute() == (OrchestrationResult, True)


async def test_a_merger_that_raises_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        await orchestrate(api("a"), result_merger=lambda values: 1 / 0).execute()


async def test_a_run_that_failed_fast_is_not_merged() -> None:
    orchestrator = orchestrate(
        api("a"), transport=FakeTransport({"a": 404}), fail_fast=True, result_merger=lambda values: 1 / 0
    )
    with pytest.raises(ApiHttpError):
        await orchestrator.execute()


async def test_without_endpoints_the_result_is_empty() -> None:
    for mode in OrchestrationMode:
        result = await orchestrate(mode=mode).execute({"id": 7})
        assert result.ok and dict(result) == {}
    assert await orchestrate(result_merger=list).execute() == []


# -- memory --------------------------------------------------------------------------------------------


async def test_clearing_is_by_endpoint_and_knows_their_names() -> None:
    transport = FakeTransport()
    orchestrator = orchestrate(*apis("ab"), transport=transport, cache_ttl=60.0)
    assert orchestrator.clear_cache("a") == 0
    await orchestrator.execute()
    assert orchestrator.clear_cache("a") == 1
    await orchestrator.execute()
    assert transport.names == ["a", "b", "a"]
    assert orchestrator.clear_all_cache() == 2
    with pytest.raises(KeyError, match=r"'c'.*'a', 'b'"):
        orchestrator.clear_cache("c")


# -- events --------------------------------------------------------------------------------------------


async def test_the_events_are_those_of_all_runs() -> None:
    orchestrator = orchestrate(api("a"))
    watch = Watch(orchestrator.events)
    results = [await orchestrator.execute() for _ in range(2)]
    assert watch.events == [event for result in results for event in result.events]


async def test_the_events_are_an_observable() -> None:
    orchestrator = orchestrate(api("a"))
    seen: list[Any] = []
    subscription = orchestrator.events.observable.subscribe(seen.append)
    await orchestrator.execute()
    subscription.dispose()
    await orchestrator.execute()
    assert len(seen) == 7


async def test_a_transport_is_chosen_by_its_name(loopback: ServeLoopback) -> None:
    server = await loopback({"GET /{name}": {"ok": True}})
    endpoint = APIEndpoint(name="one", url=f"{server.url}/one")
    for kind in ("aiohttp", "pyreqwest"):
        async with APIOrchestrator(endpoint, transport=kind) as orchestrator:
            assert (await orchestrator.execute()).ok
            assert kind in type(orchestrator._caller.transport).__module__
    for wrong in ("pigeon", object()):
        with pytest.raises(ApiConfigurationError, match="transport"):
            APIOrchestrator(endpoint, transport=wrong)  # type: ignore[arg-type]
