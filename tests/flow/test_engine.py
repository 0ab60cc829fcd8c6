"""What each endpoint sees, mode by mode."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import BaseModel

from rxorch import (
    ApiClient,
    APIOrchestrationConfig,
    APIOrchestrator,
    ApiValidationError,
    OrchestrationMode,
    OutcomeStatus,
    fanout,
    graph,
    parallel,
    pipeline,
    sequential,
)
from tests.flow.spies import Spy, run
from tests.support.fake_transport import FakeTransport, Hold, api, apis, turns


class Order(BaseModel):
    """An input that is no mapping."""

    id: int
    note: str = ""


# -- SEQUENTIAL and CONDITIONAL ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [OrchestrationMode.SEQUENTIAL, OrchestrationMode.CONDITIONAL])
async def test_in_a_sequence_each_sees_the_input_and_every_earlier_result(mode: OrchestrationMode) -> None:
    spy, transport = Spy(), FakeTransport(otherwise=lambda request: f"<{request.endpoint}>")
    config = APIOrchestrationConfig(endpoints=[spy("a"), spy("b"), spy("c")], mode=mode)
    data = {"id": 7}
    await APIOrchestrator(config, transport=transport).execute(data)
    assert spy.saw == {
        "a": {"id": 7},
        "b": {"id": 7, "a": "<a>"},
        "c": {"id": 7, "a": "<a>", "b": "<b>"},
    }
    assert data == {"id": 7}  # the input is nobody's to change


async def test_a_result_hides_a_key_of_the_input() -> None:
    spy = Spy()
    await run(sequential(spy("a"), spy("b")), {"a": "mine", "id": 7})
    assert spy.saw["a"] == {"a": "mine", "id": 7}
    assert spy.saw["b"] == {"a": "<a>", "id": 7}


@pytest.mark.parametrize("data", [[1, 2], "text", 7, 0, False, (1,)])
async def test_an_input_that_is_no_mapping_moves_to_input_beside_results(data: Any) -> None:
    spy = Spy()
    await run(sequential(spy("a"), spy("b")), data)
    assert spy.saw == {"a": data, "b": {"input": data, "a": "<a>"}}


async def test_no_input_is_an_empty_one() -> None:
    spy = Spy()
    await run(sequential(spy("a"), spy("b")), None)
    assert spy.saw == {"a": {}, "b": {"a": "<a>"}}


async def test_a_model_as_input_is_seen_as_its_fields_beside_results() -> None:
    spy, order = Spy(), Order(id=7)
    await run(sequential(spy("a"), spy("b")), order)
    assert spy.saw["a"] is order
    assert spy.saw["b"] == {"id": 7, "note": "", "a": "<a>"}


async def test_any_mapping_will_do() -> None:
    spy = Spy()
    data: Mapping[str, Any] = MappingProxyType({"id": 7})
    await run(sequential(spy("a"), spy("b")), data)
    assert spy.saw["a"] is data
    assert spy.saw["b"] == {"id": 7, "a": "<a>"}


async def test_a_failed_or_skipped_earlier_step_is_seen_as_none() -> None:
    spy = Spy()
    await run(sequential(api("a"), spy("b", condition=lambda data: False), spy("c")), {}, {"a": 404})
    assert spy.saw["c"] == {"a": None, "b": None}


async def test_in_a_sequence_what_was_moved_ahead_is_earlier() -> None:
    spy = Spy()
    result = await run(sequential(spy("a", "c"), spy("b"), spy("c")))
    assert spy.saw == {"b": {}, "c": {"b": "<b>"}, "a": {"b": "<b>", "c": "<c>"}}
    assert list(result) == ["a", "b", "c"]


async def test_a_condition_sees_what_its_endpoint_would() -> None:
    seen: list[Any] = []

    def note(data: Any, context: Any) -> bool:
        seen.append((data, dict(context)))
        return True

    await run(sequential(api("a"), api("b", condition=note)), {"id": 7})
    assert seen == [({"id": 7, "a": "<a>"}, {"a": "<a>"})]


# -- PARALLEL and HYBRID -------------------------------------------------------------------------------


@pytest.mark.parametrize("combine", [parallel, graph])
async def test_at_once_each_sees_the_input_and_its_dependencies(combine: Any) -> None:
    """Those alone: what else happens to be done is chance."""
    spy = Spy()
    await run(combine(spy("a"), spy("b", "a"), spy("c", "b"), spy("d", "a", "c")), {"id": 7})
    assert spy.saw == {
        "a": {"id": 7},
        "b": {"id": 7, "a": "<a>"},
        "c": {"id": 7, "b": "<b>"},
        "d": {"id": 7, "a": "<a>", "c": "<c>"},
    }


async def test_a_dependency_hides_a_key_of_the_input() -> None:
    spy = Spy()
    await run(graph(spy("a"), spy("b", "a")), {"a": "mine"})
    assert spy.saw["b"] == {"a": "<a>"}


async def test_a_dependency_beside_an_input_that_is_no_mapping() -> None:
    spy = Spy()
    await run(graph(spy("a"), spy("b", "a")), [1])
    assert spy.saw == {"a": [1], "b": {"input": [1], "a": "<a>"}}


async def test_all_that_is_done_is_in_the_context() -> None:
    spy = Spy()
    await run(graph(spy("a"), spy("b", "a"), spy("c", "b")))
    assert spy.context["c"] == {"a": "<a>", "b": "<b>"}


async def test_a_dependant_starts_the_moment_its_dependencies_are_done() -> None:
    slow, quick = Hold(), Hold()
    transport = FakeTransport({"slow": slow, "quick": quick})
    flow = graph(api("slow"), api("quick"), api("next", depends_on=["quick"]))
    task = asyncio.create_task(APIOrchestrator(flow, transport=transport).execute())
    await turns()
    assert transport.names == ["slow", "quick"]
    quick.answer({})
    await turns()
    assert transport.names == ["slow", "quick", "next"]
    slow.answer({})
    assert (await task).ok


async def test_a_waiting_dependant_takes_no_place_under_the_cap() -> None:
    """With a cap of 2 and a slow first step, the others still run."""
    slow = Hold()
    transport = FakeTransport({"slow": slow})
    flow = graph(api("slow"), api("after", depends_on=["slow"]), *apis("xyz"), max_concurrent=2)
    task = asyncio.create_task(APIOrchestrator(flow, transport=transport).execute())
    await turns(100)
    assert transport.names == ["slow", "x", "y", "z"]
    slow.answer({})
    assert (await task).ok


# -- FANOUT --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [{"id": 7}, [1, 2], None])
async def test_in_a_fanout_each_sees_the_input(data: Any) -> None:
    spy = Spy()
    await run(fanout(spy("a"), spy("b")), data)
    assert spy.saw == {"a": data or {}, "b": data or {}}


# -- PIPELINE ------------------------------------------------------------------------------------------


async def test_in_a_pipeline_each_sees_what_the_one_before_gave() -> None:
    spy = Spy()
    result = await run(
        pipeline(spy("a"), spy("b"), spy("c")), {"id": 7}, {"a": {"x": 1}, "b": [2], "c": "end"}
    )
    assert spy.saw == {"a": {"id": 7}, "b": {"x": 1}, "c": [2]}
    assert result.value == "end"


async def test_a_named_result_stands_beside_the_output_before() -> None:
    spy = Spy()
    await run(pipeline(spy("a"), spy("b"), spy("c", "a")), {}, {"a": {"x": 1}, "b": {"y": 2}})
    assert spy.saw["c"] == {"y": 2, "a": {"x": 1}}


async def test_the_outputs_own_keys_win() -> None:
    spy = Spy()
    await run(pipeline(spy("a"), spy("b"), spy("c", "a")), {}, {"a": {"x": 1}, "b": {"a": "own", "y": 2}})
    assert spy.saw["c"] == {"a": "own", "y": 2}


async def test_beside_an_output_that_is_no_mapping_a_result_is_in_the_context() -> None:
    spy, transport = Spy(), FakeTransport({"a": {"x": 1}, "b": [2]})
    url = "http://shop.test/{a.x}"
    flow = pipeline(spy("a"), spy("b"), spy("c", "a"), api("d", url, depends_on=["a"]))
    transport.script("c", [3])
    await APIOrchestrator(flow, transport=transport).execute()
    assert spy.saw["c"] == [2]
    assert spy.context["c"] == {"a": {"x": 1}, "b": [2]}
    assert transport.paths("d") == ["/1"]


@pytest.mark.parametrize("output", [None, 0, "", [], {}])
async def test_an_empty_output_is_handed_on_like_any_other(output: Any) -> None:
    spy = Spy()
    await run(
        pipeline(spy("a"), spy("b")), {"id": 7}, {"a": lambda request: output if output is not None else 204}
    )
    assert spy.saw["b"] == output


async def test_a_substitute_is_handed_on() -> None:
    spy = Spy()
    flow = pipeline(spy("a", error_handler=lambda error: {"instead": True}), spy("b"))
    result = await run(flow, {}, {"a": 500}, circuit_breaker_threshold=None)
    assert spy.saw["b"] == {"instead": True}
    assert result.ok and result.outcomes["a"].degraded


# -- templates -----------------------------------------------------------------------------------------


async def test_a_field_that_the_input_lacks_fails_its_endpoint_only() -> None:
    result = await run(parallel(api("a", "http://shop.test/{id}"), api("b")), {"other": 1})
    error = result.errors["a"]
    assert isinstance(error, ApiValidationError)
    assert error.endpoint == "a" and "{id}" in str(error) and "'other'" in str(error)
    assert result["b"] == "<b>"
    assert result.outcomes["a"].attempts == 0


async def test_a_flow_runs_by_itself() -> None:
    """`await flow.execute(data, client)` and `flow.observe(data, client)`, without an orchestrator."""
    transport = FakeTransport({"a": 404})
    flow = parallel(*apis("ab"))
    async with ApiClient(transport) as client:
        result = await flow.execute({"id": 7}, client)
        assert [outcome.status for outcome in result.outcomes.values()] == [
            OutcomeStatus.FAILED,
            OutcomeStatus.OK,
        ]
        seen: list[Any] = []
        observed = flow.observe({"id": 7}, client)
        await turns()
        assert transport.sends == 2  # cold
        for _ in range(2):
            observed.subscribe(seen.append, seen.append, lambda: seen.append("end"))
        await turns()
    assert [list(item.errors) if item != "end" else item for item in seen] == [["a"], "end"] * 2
    assert transport.sends == 6 and transport.closed == 0


@pytest.mark.parametrize("combine", [sequential, parallel, graph, pipeline])
@pytest.mark.parametrize("runs", [True, False])
async def test_a_flow_may_be_as_long_as_you_like(combine: Any, runs: bool) -> None:
    """Steps that end while they start must not nest."""
    steps = [api(f"s{n}", condition=lambda data: runs, error_handler=repr) for n in range(1500)]
    result = await run(combine(*steps), {"id": 7})
    assert len(result) == 1500 and result.ok
    assert len(result.skipped) == (0 if runs else 1500)


async def test_a_chain_of_dependencies_may_be_as_long_as_you_like() -> None:
    steps = [api("s0"), *(api(f"s{n}", depends_on=[f"s{n - 1}"]) for n in range(1, 1500))]
    assert (await run(graph(*reversed(steps)), {}, {"s0": 404})).skipped.keys() == {
        f"s{n}" for n in range(1, 1500)
    }
    assert (await run(graph(*reversed(steps)))).ok
