"""Plans: what is refused when a flow is made, and in which order the rest runs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from rxorch import (
    ApiConfigurationError,
    APIEndpoint,
    APIOrchestrationConfig,
    OrchestrationMode,
    conditional,
    fanout,
    graph,
    parallel,
    pipeline,
    sequential,
)
from rxorch.flow import Flow, compile_flow
from rxorch.flow.plan import GroupPlan
from tests.support.fake_transport import api, apis


def dep(name: str, *depends_on: str, **fields: Any) -> APIEndpoint:
    """An endpoint that depends on others."""
    return api(name, depends_on=depends_on, **fields)


def refused(flow: Flow) -> str:
    """Why a flow is refused."""
    with pytest.raises(ApiConfigurationError) as caught:
        compile_flow(flow)
    return caught.value.message


def order_of(flow: Flow) -> str:
    """The order in which the members of a group are taken, by first name."""
    plan = compile_flow(flow).root
    assert isinstance(plan, GroupPlan)
    return "".join(plan.members[place].names[0] for place in plan.order)


# -- names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flow",
    [
        sequential(api("a"), api("b"), api("a")),
        parallel(api("a"), sequential(api("b"), api("a"))),
        pipeline(api("a"), conditional(bool, then=api("b"), otherwise=api("a"))),
        conditional(bool, then=api("a"), otherwise=api("a")),
    ],
)
def test_a_name_stands_for_one_endpoint_of_a_flow(flow: Flow) -> None:
    assert "two endpoints are called 'a'" in refused(flow)


def test_an_unknown_dependency_names_the_endpoint_the_field_and_a_guess() -> None:
    message = refused(graph(api("users"), dep("posts", "user")))
    assert "'posts'" in message and "depends_on" in message and "'user'" in message
    assert "did you mean 'users'?" in message


def test_without_a_guess_the_names_are_told() -> None:
    message = refused(sequential(api("a"), dep("b", "zzzzzz")))
    assert "there are 'a', 'b'" in message and "did you mean" not in message


def test_a_guess_is_never_the_endpoint_itself() -> None:
    assert "did you mean" not in refused(sequential(dep("user2", "user1"), api("zzz")))


def test_a_lone_endpoint_cannot_depend_on_anything() -> None:
    assert "'b'" in refused(sequential(dep("a", "b")))


# -- cycles --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("combine", [sequential, parallel, graph])
@pytest.mark.parametrize(
    ("endpoints", "path"),
    [
        ([dep("a", "b"), dep("b", "a")], "'a' -> 'b' -> 'a'"),
        ([dep("a", "c"), dep("b", "a"), dep("c", "b")], "'a' -> 'c' -> 'b' -> 'a'"),
        ([api("x"), dep("a", "x", "b"), dep("b", "a"), dep("y", "b")], "'a' -> 'b' -> 'a'"),
        ([dep("tail", "a"), dep("a", "b"), dep("b", "a")], "'a' -> 'b' -> 'a'"),
    ],
)
def test_a_circle_is_shown(combine: Any, endpoints: list[APIEndpoint], path: str) -> None:
    message = refused(combine(*endpoints))
    assert "depends_on is circular" in message and path in message


def test_a_circle_through_groups_is_found() -> None:
    flow = parallel(sequential(dep("a", "c"), api("b")), dep("c", "b"))
    assert "circular" in refused(flow)


def test_a_dependency_of_a_later_step_of_a_pipeline_is_out_of_order() -> None:
    message = refused(pipeline(dep("a", "b"), api("b")))
    assert "'a'" in message and "'b'" in message and "later step" in message
    compile_flow(pipeline(api("a"), api("b"), dep("c", "a")))


def test_a_group_within_a_pipeline_depends_on_earlier_steps_only() -> None:
    assert "later step" in refused(pipeline(api("a"), parallel(dep("b", "c")), api("c")))
    compile_flow(pipeline(api("a"), parallel(dep("b", "a")), api("c")))


# -- fanout and choices --------------------------------------------------------------------------------


def test_nothing_depends_on_anything_in_a_fanout() -> None:
    message = refused(fanout(api("a"), dep("b", "a")))
    assert "'b'" in message and "fanout" in message and "depends_on" in message
    assert "fanout" in refused(sequential(api("a"), fanout(dep("b", "a"))))


def test_a_group_within_a_fanout_keeps_its_own_dependencies() -> None:
    compile_flow(fanout(graph(api("a"), dep("b", "a")), api("c")))


@pytest.mark.parametrize(
    "choice",
    [
        conditional(bool, then=dep("a", "b"), otherwise=api("b")),
        conditional(bool, then=api("a"), otherwise=dep("b", "a")),
        conditional(bool, then=sequential(api("x"), dep("a", "b")), otherwise=api("b")),
    ],
)
def test_one_branch_cannot_depend_on_the_other(choice: Flow) -> None:
    assert "other branch" in refused(sequential(choice))


def test_a_branch_may_depend_on_what_stands_around_the_choice() -> None:
    compile_flow(graph(api("a"), conditional(bool, then=dep("b", "a")), dep("c", "b")))


# -- order ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoints", "order"),
    [
        (apis("abc"), "abc"),
        ([dep("a", "c"), *apis("bcd")], "bcad"),
        ([dep("a", "d"), dep("b", "a"), *apis("cd")], "cdab"),
        ([dep("a", "b"), api("b"), api("c"), dep("d", "c")], "bacd"),
        ([], ""),
    ],
)
def test_the_order_is_the_written_one_where_dependencies_allow(
    endpoints: list[APIEndpoint], order: str
) -> None:
    assert order_of(sequential(*endpoints)) == order
    assert order_of(graph(*endpoints)) == order


def test_a_sequence_is_a_chain_and_a_graph_is_not() -> None:
    endpoints = [dep("a", "c"), *apis("bc")]
    chain, free = compile_flow(sequential(*endpoints)).root, compile_flow(graph(*endpoints)).root
    assert isinstance(chain, GroupPlan) and isinstance(free, GroupPlan)
    assert chain.needs == ((2,), (), (1,))
    assert free.needs == ((2,), (), ())


def test_a_member_needs_the_group_that_holds_its_dependency() -> None:
    plan = compile_flow(graph(sequential(api("a"), api("b")), dep("c", "b"), dep("d", "c", "a"))).root
    assert isinstance(plan, GroupPlan)
    assert plan.needs == ((), (0,), (0, 1))


def test_a_group_needs_what_its_members_need() -> None:
    plan = compile_flow(graph(api("a"), sequential(api("b"), parallel(dep("c", "a"), dep("d", "b"))))).root
    assert isinstance(plan, GroupPlan)
    assert plan.needs == ((), (0,))


def test_a_plan_knows_its_names_in_written_order_and_its_kind() -> None:
    plan = compile_flow(graph(dep("a", "b"), pipeline(api("b"), api("c")), api("d")))
    assert (plan.names, plan.mode) == (("a", "b", "c", "d"), "graph")
    assert compile_flow(conditional(bool, then=api("a"))).mode == "choice"


# -- fields of templates -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"url": "http://shop.test/{auth.id}"}, "url"),
        ({"headers": {"Authorization": "{auth.token}"}}, "headers"),
        ({"params": {"t": "{auth.token}"}}, "params"),
        ({"idempotency_key": "k-{auth.token}"}, "idempotency_key"),
    ],
)
@pytest.mark.parametrize("combine", [parallel, graph, sequential, fanout])
def test_a_dotted_field_needs_a_step_that_supplies_it(
    combine: Any, fields: dict[str, Any], place: str
) -> None:
    endpoint = APIEndpoint(**{"name": "user", "url": "http://shop.test/", **fields})
    message = refused(combine(endpoint, api("auth")))  # in a sequence it comes too late
    assert "endpoint 'user'" in message and place in message and "auth." in message
    assert "called 'auth'" in message


def user(*depends_on: str, **fields: Any) -> APIEndpoint:
    """An endpoint whose url takes something of `auth`."""
    return api("user", "http://shop.test/{id}/{auth.id}", depends_on=depends_on, **fields)


@pytest.mark.parametrize(
    "flow",
    [
        sequential(api("auth"), user()),
        graph(user("auth"), api("auth")),
        parallel(api("auth"), user("auth")),
        sequential(api("auth"), parallel(api("x"), user())),
        sequential(api("auth"), parallel(api("x"), sequential(user()))),
        sequential(api("auth"), conditional(bool, then=user())),
        sequential(conditional(bool, then=api("auth")), user()),
        sequential(parallel(api("auth")), user()),
        pipeline(api("x"), user()),
        pipeline(api("x"), parallel(user())),
        parallel(user(transform_input=lambda data: data)),
    ],
)
def test_a_dotted_field_that_something_supplies_is_fine(flow: Flow) -> None:
    compile_flow(flow)


@pytest.mark.parametrize(
    "flow",
    [
        parallel(api("auth"), user()),
        graph(api("auth"), user()),
        sequential(parallel(api("auth"), user())),
        parallel(sequential(api("auth"), api("x")), user()),
        conditional(bool, then=user(), otherwise=api("auth")),
        sequential(user()),
    ],
)
def test_a_step_at_the_same_time_supplies_nothing(flow: Flow) -> None:
    assert "nothing can supply {auth.id}" in refused(flow)


def test_in_config_order_a_dependency_that_is_moved_ahead_supplies() -> None:
    compile_flow(sequential(user("auth"), api("auth"), dep("late", "user")))


def test_a_name_with_dots_is_found_in_a_field() -> None:
    compile_flow(sequential(api("v1.auth"), api("b", "http://shop.test/{v1.auth.id}")))
    assert "nothing can supply" in refused(
        sequential(api("v1.auth"), api("b", "http://shop.test/{v1.other}"))
    )


def test_a_plain_field_comes_from_the_input() -> None:
    compile_flow(parallel(api("a", "http://shop.test/{id}", params={"q": "{q}"})))


# -- as a config says it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "endpoints", "words"),
    [
        (OrchestrationMode.PARALLEL, [api("a"), api("a")], ["'a'", "names must differ"]),
        (
            OrchestrationMode.HYBRID,
            [api("users"), dep("posts", "user")],
            ["'posts'", "depends_on", "'users'"],
        ),
        (OrchestrationMode.SEQUENTIAL, [dep("a", "b"), dep("b", "a")], ["depends_on", "'a' -> 'b' -> 'a'"]),
        (OrchestrationMode.PIPELINE, [dep("a", "b"), api("b")], ["'a'", "depends_on", "pipeline"]),
        (OrchestrationMode.FANOUT, [api("a"), dep("b", "a")], ["'b'", "depends_on", "fanout"]),
        (OrchestrationMode.PARALLEL, [api("auth"), user()], ["'user'", "url", "{auth.id}"]),
        (OrchestrationMode.CONDITIONAL, [user(), api("auth")], ["'user'", "url", "{auth.id}"]),
    ],
)
def test_a_config_refuses_with_a_pydantic_error_that_says_where(
    mode: OrchestrationMode, endpoints: list[APIEndpoint], words: list[str]
) -> None:
    with pytest.raises(ValidationError) as caught:
        APIOrchestrationConfig(endpoints=endpoints, mode=mode)
    (fault,) = caught.value.errors()
    assert fault["type"] == "value_error"
    for word in words:
        assert word in fault["msg"]
