"""Skips and failures: what spreads to whom, and what the outcomes say."""

from __future__ import annotations

from typing import Any

import pytest

from rxorch import (
    ApiDependencyError,
    APIEndpoint,
    ApiHttpError,
    APIOrchestrator,
    OutcomeStatus,
    conditional,
    graph,
    parallel,
    pipeline,
    sequential,
)
from rxorch.events import StepFinished, StepSkipped, StepStarted
from rxorch.flow import Flow
from tests.flow.spies import Spy, run
from tests.support.fake_transport import FakeTransport, api, apis
from tests.support.watch import kinds

OK, FAILED, SKIPPED = OutcomeStatus.OK, OutcomeStatus.FAILED, OutcomeStatus.SKIPPED


def no(data: Any) -> bool:
    """A condition that does not hold."""
    return False


def broken(data: Any) -> bool:
    """A condition that raises."""
    raise LookupError("canary")


async def statuses(flow: Flow, data: Any = None, script: dict[str, Any] | None = None) -> str:
    """How everything ended, in written order: o, f, s, c, u."""
    result = await run(flow, data, script)
    return "".join(str(outcome.status)[0] for outcome in result.outcomes.values())


# -- failures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("combine", [sequential, parallel, graph])
async def test_a_failure_skips_all_descendants_and_each_names_the_first_cause(combine: Any) -> None:
    endpoints = [api("a"), api("b", depends_on=["a"]), api("c", depends_on=["b"]), api("d")]
    result = await run(combine(*endpoints), {}, {"a": 404})
    assert [outcome.status for outcome in result.outcomes.values()] == [FAILED, SKIPPED, SKIPPED, OK]
    for name in "bc":
        outcome = result.outcomes[name]
        assert isinstance(outcome.error, ApiDependencyError)
        assert (outcome.error.cause_endpoint, outcome.error.endpoint) == ("a", name)
        assert outcome.error.__cause__ is result.errors["a"]
        assert outcome.reason == "'a' failed"
        assert (outcome.attempts, outcome.started) == (0, None)
    assert result.skipped == {"b": "'a' failed", "c": "'a' failed"}
    assert list(result.errors) == ["a"] and not result.ok
    assert dict(result) == {"a": None, "b": None, "c": None, "d": "<d>"}


async def test_of_several_failures_the_first_named_is_the_cause() -> None:
    endpoints = [*apis("ab"), api("c", depends_on=["b", "a"]), api("d", depends_on=["a", "c"])]
    result = await run(graph(*endpoints), {}, {"a": 404, "b": 404})
    assert result.skipped == {"c": "'b' failed", "d": "'a' failed"}


async def test_a_failure_reaches_its_dependants_across_levels_and_nobody_else() -> None:
    flow = graph(
        sequential(api("a"), api("x")),
        parallel(api("b", depends_on=["a"]), api("y")),
        pipeline(api("c", depends_on=["b"]), api("z")),
    )
    result = await run(flow, {}, {"a": 404})
    assert result.skipped == {"b": "'a' failed", "c": "'a' failed", "z": "'a' failed"}
    assert result["x"] == "<x>" and result["y"] == "<y>"


async def test_in_a_sequence_only_those_who_depend_are_skipped() -> None:
    assert await statuses(sequential(*apis("abc")), {}, {"a": 404}) == "foo"


async def test_a_substitute_keeps_the_dependants_running() -> None:
    spy = Spy()
    flow = graph(api("a", error_handler=lambda error: {"instead": error.status_code}), spy("b", "a"))
    result = await run(flow, {}, {"a": 404})
    assert spy.saw["b"] == {"a": {"instead": 404}}
    outcome = result.outcomes["a"]
    assert outcome.degraded and outcome.status is OK
    assert isinstance(outcome.error, ApiHttpError)
    assert result.ok and result.errors == {} and result.skipped == {}


async def test_a_handler_sees_the_results_in_its_context() -> None:
    flow = graph(api("a"), api("b", depends_on=["a"], error_handler=lambda error, context: dict(context)))
    assert (await run(flow, {}, {"b": 404}))["b"] == {"a": "<a>"}


async def test_what_is_skipped_calls_neither_condition_nor_transform() -> None:
    def never(data: Any) -> Any:
        raise AssertionError("not to be asked")

    flow = graph(api("a"), api("b", depends_on=["a"], condition=never, transform_input=never))
    assert await statuses(flow, {}, {"a": 404}) == "fs"


# -- conditions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("combine", [sequential, parallel, graph])
async def test_a_skip_by_condition_does_not_spread(combine: Any) -> None:
    spy = Spy()
    result = await run(combine(spy("a", condition=no), spy("b", "a"), spy("c", "b")), {"id": 7})
    assert "a" not in spy.saw
    assert spy.saw["b"] == {"id": 7, "a": None}
    assert spy.saw["c"]["b"] == "<b>"
    outcome = result.outcomes["a"]
    assert (outcome.status, outcome.error, outcome.reason) == (SKIPPED, None, "its condition does not hold")
    assert result.ok and list(result.skipped) == ["a"]


async def test_a_skip_spreads_where_the_skipped_endpoint_says_so() -> None:
    flow = graph(
        api("a", condition=no, skip_propagates=True),
        api("b", depends_on=["a"]),
        api("c", depends_on=["b"]),
        api("d"),
    )
    result = await run(flow)
    assert "".join(str(outcome.status)[0] for outcome in result.outcomes.values()) == "ssso"
    assert result.ok  # nothing failed
    assert result.skipped["b"] == "'a' was skipped: its condition does not hold"
    assert "'b' was skipped" in result.skipped["c"] and "'a'" in result.skipped["c"]
    assert all(result.outcomes[name].error is None for name in "abc")


async def test_skip_propagates_on_the_dependant_means_nothing_for_itself() -> None:
    flow = graph(api("a", condition=no), api("b", depends_on=["a"], skip_propagates=True))
    assert await statuses(flow) == "so"


async def test_a_failure_is_named_before_a_skip_that_spreads() -> None:
    flow = graph(api("a", condition=no, skip_propagates=True), api("f"), api("b", depends_on=["f", "a"]))
    result = await run(flow, {}, {"f": 404})
    assert result.skipped["b"] == "'f' failed"


@pytest.mark.parametrize("value", [0, "", None, [], {}])
async def test_whatever_is_falsy_does_not_hold(value: Any) -> None:
    assert await statuses(sequential(api("a", condition=lambda data: value))) == "s"


@pytest.mark.parametrize("value", [1, "no", [0], object()])
async def test_whatever_is_truthy_holds(value: Any) -> None:
    assert await statuses(sequential(api("a", condition=lambda data: value))) == "o"


async def test_a_condition_that_raises_fails_its_endpoint() -> None:
    transport = FakeTransport()
    flow = graph(api("a", condition=broken), api("b", depends_on=["a"]), api("c"))
    result = await APIOrchestrator(flow, transport=transport).execute()
    outcome = result.outcomes["a"]
    assert isinstance(outcome.error, LookupError)
    assert outcome.error.__notes__ == ["in the condition of endpoint 'a'"]
    assert (outcome.status, outcome.attempts) == (FAILED, 0)
    assert outcome.started is not None
    assert result.skipped == {"b": "'a' failed"}
    assert transport.names == ["c"]


async def test_a_handler_is_for_calls_and_not_for_conditions() -> None:
    flow = graph(api("a", condition=broken, error_handler=lambda error: "instead"))
    assert await statuses(flow) == "f"


async def test_an_async_result_of_a_condition_is_refused() -> None:
    async def later() -> bool:
        return True

    result = await run(sequential(api("a", condition=lambda data: later())))
    assert "coroutine" in str(result.errors["a"])


# -- choices -------------------------------------------------------------------------------------------


async def test_a_choice_that_raises_fails_its_first_endpoint_and_skips_the_others() -> None:
    choice = conditional(broken, then=sequential(*apis("ab")), otherwise=api("c"))
    result = await run(graph(choice, api("d", depends_on=["c"]), api("e")))
    assert "".join(str(outcome.status)[0] for outcome in result.outcomes.values()) == "fssso"
    error = result.errors["a"]
    assert isinstance(error, LookupError)
    assert "'a'" in error.__notes__[0]
    for name in "bcd":
        skipped = result.outcomes[name].error
        assert isinstance(skipped, ApiDependencyError)
        assert (skipped.cause_endpoint, skipped.__cause__) == ("a", error)


async def test_each_endpoint_behind_a_choice_that_raises_is_told_of_once() -> None:
    flow = sequential(conditional(broken, then=sequential(*apis("ab"))))
    events = (await run(flow)).events
    assert kinds(events, endpoint="a") == ["StepStarted", "StepFinished"]
    assert kinds(events, endpoint="b") == ["StepSkipped"]


async def test_a_choice_that_raises_in_a_pipeline_ends_it() -> None:
    flow = pipeline(api("a"), conditional(broken, then=api("b")), api("c"))
    result = await run(flow)
    assert "".join(str(outcome.status)[0] for outcome in result.outcomes.values()) == "ofs"
    assert result.value is None


async def test_a_choice_over_nothing_that_raises_is_not_lost() -> None:
    with pytest.raises(LookupError):
        await run(sequential(conditional(broken, then=sequential()), api("a")))


async def test_what_depends_on_a_branch_not_taken_sees_none() -> None:
    spy = Spy()
    flow = graph(conditional(no, then=spy("a"), otherwise=spy("b")), spy("c", "a", "b"))
    await run(flow)
    assert spy.saw["c"] == {"a": None, "b": "<b>"}


async def test_a_branch_not_taken_spreads_where_it_says_so() -> None:
    flow = graph(conditional(no, then=api("a", skip_propagates=True)), api("b", depends_on=["a"]))
    result = await run(flow)
    assert result.skipped["b"] == "'a' was skipped: its condition does not hold"


async def test_a_branch_whose_dependency_failed_is_skipped_for_that() -> None:
    flow = graph(api("a"), conditional(lambda data: True, then=api("b", depends_on=["a"])))
    assert (await run(flow, {}, {"a": 404})).skipped == {"b": "'a' failed"}


# -- pipelines -----------------------------------------------------------------------------------------


async def test_a_skipped_step_hands_its_input_on() -> None:
    spy = Spy()
    flow = pipeline(spy("a"), spy("b", condition=no), spy("c", condition=no), spy("d"))
    result = await run(flow, {"id": 7})
    assert spy.saw == {"a": {"id": 7}, "d": "<a>"}
    assert result.value == "<d>" and result.ok


async def test_a_skipped_first_step_hands_the_input_on() -> None:
    spy = Spy()
    await run(pipeline(spy("a", condition=no), spy("b")), {"id": 7})
    assert spy.saw == {"b": {"id": 7}}


async def test_a_skipped_last_step_leaves_the_output_before_as_the_value() -> None:
    result = await run(pipeline(api("a"), api("b", condition=no)))
    assert result.value == "<a>"


async def test_a_pipeline_of_skips_gives_its_input() -> None:
    result = await run(pipeline(api("a", condition=no), api("b", condition=no)), {"id": 7})
    assert result.value == {"id": 7} and result.ok


async def test_a_skipped_group_hands_its_input_on() -> None:
    spy = Spy()
    skipped = parallel(api("b", condition=no), api("c", condition=no))
    await run(pipeline(spy("a"), skipped, spy("d")))
    assert spy.saw["d"] == "<a>"


async def test_a_group_that_ran_in_part_gives_what_it_has() -> None:
    spy = Spy()
    await run(pipeline(spy("a"), parallel(api("b", condition=no), api("c")), spy("d")))
    assert spy.saw["d"] == {"b": None, "c": "<c>"}


async def test_a_named_result_of_a_skipped_step_is_none() -> None:
    spy = Spy()
    await run(pipeline(spy("a", condition=no), spy("b"), spy("c", "a")), {}, {"b": {"y": 2}})
    assert spy.saw["c"] == {"y": 2, "a": None}


async def test_a_failure_skips_the_rest_of_the_pipeline() -> None:
    transport = FakeTransport({"b": 404})
    result = await APIOrchestrator(pipeline(*apis("abcd")), transport=transport).execute()
    assert transport.names == ["a", "b"]
    assert result.skipped == {"c": "'b' failed", "d": "'b' failed"}
    assert result.value is None and not result.ok
    causes = [result.outcomes[name].error.__cause__ for name in "cd"]
    assert causes == [result.errors["b"]] * 2


async def test_a_failure_within_a_group_of_a_pipeline_skips_the_rest_of_it() -> None:
    flow = pipeline(api("a"), parallel(*apis("bc")), sequential(*apis("de")))
    result = await run(flow, {}, {"b": 404})
    assert "".join(str(outcome.status)[0] for outcome in result.outcomes.values()) == "ofoss"
    assert result.skipped == {"d": "'b' failed", "e": "'b' failed"}


async def test_a_failed_pipeline_leaves_its_neighbours_alone() -> None:
    flow = parallel(pipeline(*apis("ab")), api("c"), api("d", depends_on=["b"]))
    result = await run(flow, {}, {"a": 404})
    assert result.skipped == {"b": "'a' failed", "d": "'a' failed"}
    assert result["c"] == "<c>"


async def test_a_pipeline_that_failed_inside_a_sequence_does_not_stop_it() -> None:
    spy = Spy()
    await run(sequential(pipeline(*apis("ab")), spy("c")), {}, {"a": 404})
    assert spy.saw["c"] == {"a": None, "b": None}


# -- the records ---------------------------------------------------------------------------------------


async def test_every_endpoint_ends_in_exactly_one_record() -> None:
    flow = graph(
        api("ok"),
        api("bad"),
        api("off", condition=no),
        api("after", depends_on=["bad"]),
        conditional(no, then=parallel(*apis("xy")), otherwise=api("z")),
        pipeline(api("p"), api("q", condition=broken), api("r")),
    )
    result = await run(flow, {}, {"bad": 404})
    assert list(result.outcomes) == ["ok", "bad", "off", "after", "x", "y", "z", "p", "q", "r"]
    ends = [event for event in result.events if isinstance(event, StepFinished | StepSkipped)]
    assert sorted(event.endpoint for event in ends) == sorted(result.outcomes)
    started = {event.endpoint for event in result.events if isinstance(event, StepStarted)}
    assert started == {name for name, outcome in result.outcomes.items() if outcome.status is not SKIPPED}
    reasons = {event.endpoint: event.reason for event in ends if isinstance(event, StepSkipped)}
    assert reasons == result.skipped


async def test_an_endpoint_is_asked_whether_it_runs_each_time_anew() -> None:
    """A plan is made once and holds nothing of a run."""
    endpoint: APIEndpoint = api("a", condition=lambda data: data["n"] == 1)
    orchestrator = APIOrchestrator(graph(endpoint, api("b", depends_on=["a"])), transport=FakeTransport())
    results = [await orchestrator.execute({"n": n}) for n in (1, 2, 1)]
    assert [list(result.skipped) for result in results] == [[], ["a"], []]
