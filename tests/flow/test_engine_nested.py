"""Groups within groups, and choices: what each endpoint sees there."""

from __future__ import annotations

from typing import Any

import pytest

from rxorch import (
    APIOrchestrator,
    conditional,
    fanout,
    graph,
    parallel,
    pipeline,
    sequential,
)
from tests.flow.spies import Spy, run
from tests.support.fake_transport import FakeTransport, api, apis

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
    flow = graph(
        sequential(spy("a"), spy("b")), parallel(spy("c", "b"), pipeline(spy("d", "a"), spy("e", "c")))
    )
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
