"""Members one after another: nothing nests, and nothing is left for the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from rxorch import ApiClient, Flow, parallel, pipeline, sequential
from rxorch.flow import FlowRun, RunSettings, compile_flow
from rxorch_operators import last_of
from tests.support.fake_transport import FakeTransport, api, apis

MANY = [f"step{n}" for n in range(2_000)]


@pytest.mark.parametrize("kind", [sequential, pipeline])
async def test_it_may_be_longer_than_the_stack_is_deep(kind: Callable[..., Flow]) -> None:
    transport = FakeTransport()
    skipped = [api(name, condition=lambda data: False) for name in MANY]
    result = await kind(*skipped, api("last")).execute({}, ApiClient(transport))
    assert (len(result.skipped), result.ok, len(transport.calls)) == (len(MANY), True, 1)


@pytest.mark.parametrize("kind", [sequential, pipeline, parallel])
async def test_a_run_is_freed_without_the_collector(kind: Callable[..., Flow]) -> None:
    async with ApiClient(FakeTransport(otherwise={"x": 1})) as client:
        run = FlowRun(compile_flow(kind(*apis("a"))), {}, client, RunSettings())
        await last_of(run)
        gc.collect()
        gc.disable()
        try:
            for _ in range(50):
                await last_of(run)
            left = gc.collect()
        finally:
            gc.enable()
    assert left < 50


async def test_each_sees_what_came_before_it_also_from_nested_groups() -> None:
    seen: dict[str, Any] = {}

    def spy(name: str) -> Any:
        return api(name, transform_input=lambda data: seen.setdefault(name, data))

    flow = sequential(spy("a"), parallel(spy("b"), spy("c")), spy("d"))
    await flow.execute({"id": 7}, ApiClient(FakeTransport(otherwise=lambda request: f"<{request.endpoint}>")))
    before = {"id": 7, "a": "<a>"}
    assert seen == {"a": {"id": 7}, "b": before, "c": before, "d": {**before, "b": "<b>", "c": "<c>"}}
