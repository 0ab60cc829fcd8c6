"""The combinators: what they take, and that what they make is data."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from rxorch import (
    ApiConfigurationError,
    conditional,
    fanout,
    graph,
    parallel,
    pipeline,
    sequential,
)
from rxorch.flow import Call, Choice, Flow, Group, Kind, as_flow
from tests.support.fake_transport import api

ALL = [sequential, parallel, fanout, pipeline, graph]
WIDE = [parallel, fanout, graph]


@pytest.mark.parametrize("combine", ALL)
def test_each_makes_a_group_of_its_kind(combine: Any) -> None:
    a, b = api("a"), api("b")
    group = combine(a, sequential(b))
    assert isinstance(group, Group)
    assert group.kind is Kind[combine.__name__.upper()]
    assert group.members == (Call(a), Group(Kind.SEQUENTIAL, (Call(b),)))
    assert group.max_concurrent is None
    assert list(group.endpoints()) == [a, b]


@pytest.mark.parametrize("combine", ALL)
@pytest.mark.parametrize("step", ["a", None, {"name": "a"}, [api("a")], lambda data: data])
def test_a_step_is_an_endpoint_or_a_flow(combine: Any, step: Any) -> None:
    with pytest.raises(ApiConfigurationError, match=type(step).__name__):
        combine(api("a"), step)


@pytest.mark.parametrize("combine", WIDE)
@pytest.mark.parametrize("cap", [0, -1, 1.5, True, "2"])
def test_a_cap_is_a_whole_number(combine: Any, cap: Any) -> None:
    with pytest.raises(ApiConfigurationError, match="max_concurrent"):
        combine(api("a"), max_concurrent=cap)
    assert combine(api("a"), max_concurrent=2).max_concurrent == 2


@pytest.mark.parametrize("combine", [sequential, pipeline])
def test_what_runs_one_at_a_time_takes_no_cap(combine: Any) -> None:
    with pytest.raises(TypeError):
        combine(api("a"), max_concurrent=2)


def test_a_choice_holds_both_branches() -> None:
    a, b = api("a"), api("b")
    choice = conditional(bool, then=a, otherwise=pipeline(b))
    assert choice == Choice(bool, Call(a), Group(Kind.PIPELINE, (Call(b),)))
    assert choice.children() == (Call(a), Group(Kind.PIPELINE, (Call(b),)))
    assert conditional(bool, then=a).children() == (Call(a),)
    assert list(choice.endpoints()) == [a, b]


async def later(data: Any) -> bool:
    return True


@pytest.mark.parametrize("condition", [None, "yes", later, lambda a, b, c: True])
def test_a_condition_is_a_plain_function_of_the_data(condition: Any) -> None:
    with pytest.raises(ApiConfigurationError, match="condition"):
        conditional(condition, then=api("a"))


@pytest.mark.parametrize("branch", [None, "a", 7])
def test_a_branch_is_an_endpoint_or_a_flow(branch: Any) -> None:
    with pytest.raises(ApiConfigurationError):
        conditional(bool, then=branch)
    if branch is not None:
        with pytest.raises(ApiConfigurationError):
            conditional(bool, then=api("a"), otherwise=branch)


def test_a_flow_is_frozen_and_compares_by_what_it_says() -> None:
    flow = sequential(api("a"), parallel(api("b"), max_concurrent=2))
    assert flow == sequential(api("a"), parallel(api("b"), max_concurrent=2))
    assert flow != sequential(api("a"), parallel(api("b"), max_concurrent=3))
    assert hash(flow) == hash(sequential(api("a"), parallel(api("b"), max_concurrent=2)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        flow.kind = Kind.GRAPH  # type: ignore[misc]


def test_as_flow_leaves_flows_alone() -> None:
    flow, endpoint = sequential(api("a")), api("b")
    assert as_flow(flow) is flow
    assert as_flow(endpoint) == Call(endpoint)
    assert as_flow(endpoint).children() == ()


def test_a_tree_can_be_walked() -> None:
    def depth(flow: Flow) -> int:
        return 1 + max((depth(child) for child in flow.children()), default=0)

    assert depth(pipeline(api("a"), parallel(api("b"), conditional(bool, then=api("c"))))) == 4


def test_a_flow_without_steps_is_one() -> None:
    assert list(parallel().endpoints()) == []
