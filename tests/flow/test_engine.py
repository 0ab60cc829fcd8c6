"""What each endpoint sees, mode by mode and across nested groups."""

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
    conditional,
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
    result = await run(pipeline(spy("a"), spy("b"), spy("c")), {"id": 7}, {"a": {"x": 1}, "b": [2], "c": "end"})
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
    await run(pipeline(spy("a"), spy("b")), {"id": 7}, {"a": lambda request: output if output is not None else 204})
    assert spy.saw["b"] == output


async def test_a_substitute_is_handed_on() -> None:
    spy = Spy()
    flow = pipeline(spy("a", error_handler=lambda error: {"instead": True}), spy("b"))
    result = await run(flow, {}, {"a": 500}, circuit_breaker_threshold=None)
    assert spy.saw["b"] == {"instead": True}
    assert result.ok and result.outcomes["a"].degraded


# -- nested --------------------------------------------------------------------------------------------


async def test_a_group_within_a_sequence_sees_what_came_before_it() -> None:
    spy = Spy()
    await run(sequential(spy("auth"), parallel(spy("x"), spy("y", "x")), spy("z")), {"id": 7})
    assert spy.saw == {
        "auth": {"id": 7},
        "x": {"id": 7, "auth": "<auth>"},
        "y": {"id": 7, "auth": "<auth>", "x": "<x>"},
        "z": {"id": 7, "auth": "<auth>", "x": "<x>", "y": "<y>"},
    }


async def test_a_sequence_within_a_group_sees_its_own_steps() -> None:
    spy = Spy()
    await run(parallel(sequential(spy("a"), spy("b")), spy("c")), {"id": 7})
    assert spy.saw == {"a": {"id": 7}, "b": {"id": 7, "a": "<a>"}, "c": {"id": 7}}


async def test_sequences_within_sequences_see_everything_earlier() -> None:
    spy = Spy()
    await run(sequential(spy("a"), sequential(spy("b"), sequential(spy("c"))), spy("d")))
    assert spy.saw["c"] == {"a": "<a>", "b": "<b>"}
    assert spy.saw["d"] == {"a": "<a>", "b": "<b>", "c": "<c>"}


@pytest.mark.parametrize("combine", [parallel, fanout, graph])
async def test_a_group_within_a_pipeline_gets_the_output_before_and_gives_a_dict(combine: Any) -> None:
    spy = Spy()
    result = await run(pipeline(spy("a"), combine(spy("b"), spy("c")), spy("d")), {"id": 7}, {"a": {"x": 1}})
    assert spy.saw["b"] == spy.saw["c"] == {"x": 1}
    assert spy.saw["d"] == {"b": "<b>", "c": "<c>"}
    assert result.value == "<d>"


async def test_a_sequence_within_a_pipeline_adds_its_results_to_the_output_before() -> None:
    spy = Spy()
    await run(pipeline(spy("a"), sequential(spy("b"), spy("c")), spy("d")), {"id": 7}, {"a": {"x": 1}})
    assert spy.saw["b"] == {"x": 1}
    assert spy.saw["c"] == {"x": 1, "b": "<b>"}
    assert spy.saw["d"] == {"b": "<b>", "c": "<c>"}


async def test_a_pipeline_within_a_pipeline_is_part_of_it() -> None:
    spy = Spy()
    result = await run(pipeline(spy("a"), pipeline(spy("b"), spy("c")), spy("d")))
    assert spy.saw == {"a": {}, "b": "<a>", "c": "<b>", "d": "<c>"}
    assert result.value == "<d>"


async def test_a_pipeline_within_a_sequence_begins_with_what_the_sequence_has() -> None:
    spy = Spy()
    await run(sequential(spy("a"), pipeline(spy("b"), spy("c")), spy("d")), {"id": 7})
    assert spy.saw == {
        "a": {"id": 7},
        "b": {"id": 7, "a": "<a>"},
        "c": "<b>",
        "d": {"id": 7, "a": "<a>", "b": "<b>", "c": "<c>"},
    }


async def test_the_last_group_of_a_pipeline_gives_its_value() -> None:
    result = await run(pipeline(api("a"), parallel(api("b"), api("c"))))
    assert result.value == {"b": "<b>", "c": "<c>"}


async def test_dependencies_reach_across_levels() -> None:
    spy = Spy()
    flow = graph(sequential(spy("a"), spy("b")), parallel(spy("c", "b"), pipeline(spy("d", "a"), spy("e", "c"))))
    await run(flow, {"id": 7})
    assert spy.saw["c"] == {"id": 7, "b": "<b>"}
    assert spy.saw["d"] == {"id": 7, "a": "<a>"}
    assert spy.saw["e"] == "<d>"
    assert spy.context["e"].keys() >= {"a", "b", "d"}


async def test_nested_caps_hold_each_for_itself() -> None:
    transport = FakeTransport(lag=5)
    inner = [parallel(*(api(f"{group}{n}") for n in range(6)), max_concurrent=2) for group in "abc"]
    orchestrator = APIOrchestrator(parallel(*inner, max_concurrent=2), transport=transport, max_concurrent=99)
    await orchestrator.execute()
    assert transport.peak == 4


@pytest.mark.parametrize("combine", [parallel, fanout, graph])
async def test_the_configs_cap_holds_where_a_group_names_none(combine: Any) -> None:
    transport = FakeTransport(lag=5)
    flow = combine(*(api(f"e{n}") for n in range(20)))
    await APIOrchestrator(flow, transport=transport, max_concurrent=3).execute()
    assert transport.peak == 3
    transport.peak = 0
    await APIOrchestrator(flow, transport=transport).execute()
    assert transport.peak == 10


async def test_a_group_without_members_is_done_at_once() -> None:
    spy = Spy()
    result = await run(sequential(parallel(), spy("a"), sequential(), graph()))
    assert spy.saw == {"a": {}} and result.ok
    assert (await run(parallel())).value is None


# -- choices -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("premium", "taken", "left"), [(True, "yes", "no"), (False, "no", "yes")])
@pytest.mark.parametrize("combine", [sequential, parallel, graph, fanout])
async def test_a_choice_takes_one_branch_and_skips_the_other(
    combine: Any, premium: bool, taken: str, left: str
) -> None:
    spy = Spy()
    choice = conditional(lambda data: data["premium"], then=spy("yes"), otherwise=spy("no"))
    result = await run(combine(choice), {"premium": premium})
    assert list(spy.saw) == [taken]
    assert spy.saw[taken] == {"premium": premium}
    assert result.ok and list(result.skipped) == [left]
    assert result.skipped[left] == "the choice went the other way"
    assert result.outcomes[left].started is None


async def test_a_choice_without_another_branch_skips() -> None:
    result = await run(sequential(conditional(lambda data: False, then=parallel(*apis("ab"))), api("c")))
    assert list(result.skipped) == ["a", "b"]
    assert result.skipped["a"] == "its condition does not hold"
    assert result.ok and result["c"] == "<c>"


async def test_a_choice_in_a_sequence_sees_earlier_results_and_so_does_its_branch() -> None:
    spy = Spy()
    choice = conditional(lambda data: data["a"] == "<a>", then=spy("b"))
    await run(sequential(spy("a"), choice, spy("c")), {"id": 7})
    assert spy.saw["b"] == {"id": 7, "a": "<a>"}
    assert spy.saw["c"] == {"id": 7, "a": "<a>", "b": "<b>"}


async def test_a_choice_may_look_at_the_context() -> None:
    spy = Spy()
    choice = conditional(lambda data, context: context["a"] == "<a>", then=spy("b", "a"))
    await run(graph(spy("a"), choice))
    assert spy.saw["b"] == {"a": "<a>"}


async def test_a_choice_in_a_pipeline_is_one_of_its_steps() -> None:
    spy = Spy()
    flow = pipeline(spy("a"), conditional(lambda data: data == "<a>", then=spy("b")), spy("c"))
    await run(flow)
    assert spy.saw == {"a": {}, "b": "<a>", "c": "<b>"}


@pytest.mark.parametrize("output", [{"a": "own", "y": 2}, [2]])
async def test_in_a_pipeline_a_branch_sees_what_a_step_would(output: Any) -> None:
    spy = Spy()
    choice = conditional(lambda data: True, then=spy("c", "a"))
    await run(pipeline(spy("a"), spy("b"), choice), {}, {"b": output})
    assert spy.saw["c"] == output


async def test_a_branch_that_is_not_there_hands_the_output_on() -> None:
    spy = Spy()
    result = await run(pipeline(spy("a"), conditional(lambda data: False, then=spy("b")), spy("c")))
    assert spy.saw["c"] == "<a>"
    assert result.value == "<c>"


async def test_a_choice_may_be_the_whole_flow() -> None:
    result = await run(conditional(lambda data: data["n"] > 1, then=api("a"), otherwise=api("b")), {"n": 2})
    assert (result["a"], result["b"], result.value) == ("<a>", None, "<a>")


async def test_choices_nest() -> None:
    inner = conditional(lambda data: data["n"] > 2, then=api("big"), otherwise=api("middle"))
    flow = sequential(conditional(lambda data: data["n"] > 1, then=inner, otherwise=api("small")))
    for n, name in ((3, "big"), (2, "middle"), (1, "small")):
        result = await run(flow, {"n": n})
        assert [each for each, outcome in result.outcomes.items() if outcome.ok] == [name]
        assert len(result.skipped) == 2


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
