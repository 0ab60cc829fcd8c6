"""A group whose members wait for nothing: all begin before the first has ended, and no more than should."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxorch import APIOrchestrator, fanout, graph, parallel, sequential
from rxorch.errors import ApiHttpError
from rxorch.flow.at_once import AtOnce
from tests.support.fake_transport import FakeTransport, Hold, api, apis, turns


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The names of the groups that were begun at once."""
    seen: list[tuple[str, ...]] = []
    attach = AtOnce.attach

    def noted(group: AtOnce, *args: Any) -> Any:
        seen.append(group.plan.names)
        return attach(group, *args)

    monkeypatch.setattr(AtOnce, "attach", noted)
    return seen


async def executed(flow: Any, script: Any = None, **settings: Any) -> Any:
    transport = FakeTransport(script, otherwise={"x": 1})
    return await APIOrchestrator(flow, transport=transport, **settings).execute()


@pytest.mark.parametrize("group", [parallel, fanout, graph])
async def test_members_with_room_begin_at_once(begun: list[tuple[str, ...]], group: Any) -> None:
    assert (await executed(group(*apis("abc")))).ok
    assert begun == [("a", "b", "c")]


async def test_members_that_wait_do_not(begun: list[tuple[str, ...]]) -> None:
    await executed(parallel(*apis("abc"), max_concurrent=2))
    await executed(parallel(*apis("abc")), max_concurrent=2)
    await executed(parallel(api("a"), api("b", depends_on=["a"])))
    await executed(parallel())
    assert begun == []


async def test_all_are_under_way_together() -> None:
    hold = Hold()
    task = asyncio.create_task(executed(parallel(*apis("abc")), {"a": hold, "b": hold, "c": hold}))
    await turns()
    assert hold.waiting == 3
    hold.answer({"x": 2})
    assert dict(await task) == {name: {"x": 2} for name in "abc"}


async def test_a_failure_that_counts_ends_those_that_have_begun_and_begins_no_other() -> None:
    hold = Hold()
    transport = FakeTransport({"a": hold}, otherwise={"x": 1})
    broken = api("b", "http://shop.test/{missing}")
    began: list[Any] = []
    flow = parallel(api("a"), broken, api("c", transform_input=began.append))
    orchestrator = APIOrchestrator(flow, transport=transport, fail_fast=True)
    with pytest.raises(Exception, match="missing") as failure:
        await orchestrator.execute({})
    outcomes = failure.value.result.outcomes  # type: ignore[attr-defined]
    assert [str(outcomes[name].status) for name in "abc"] == ["cancelled", "failed", "cancelled"]
    assert began == []
    assert hold.waiting == transport.in_flight == 0


async def test_a_failure_after_the_beginning_ends_the_others() -> None:
    hold = Hold()
    transport = FakeTransport({"a": hold, "b": 404})
    orchestrator = APIOrchestrator(parallel(*apis("ab")), transport=transport, fail_fast=True)
    with pytest.raises(ApiHttpError):
        await orchestrator.execute()
    assert hold.cancelled == 1


async def test_members_that_are_skipped_at_once() -> None:
    never = {"condition": lambda data: False}
    result = await executed(sequential(parallel(api("a", **never), api("b", **never)), api("c")))
    assert result.ok and set(result.skipped) == {"a", "b"}
    result = await executed(parallel(api("a", **never), api("b")))
    assert result.ok and result["b"] == {"x": 1}


async def test_groups_in_it() -> None:
    result = await executed(parallel(sequential(*apis("ab")), fanout(*apis("cd")), api("e")))
    assert result.ok and list(result) == list("abcde")
