"""flat_map_bounded at its edges: errors, disposal at every step, sources and inners that misbehave."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase

from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Stage, as_stage
from rxorch_operators.flat_map_bounded import flat_map_bounded
from rxorch_operators.from_iterable import from_iterable
from tests.operators.support import AtOnce, Boom, Counting, Manual, Recorder, Time, Window, turns

EVERY_FORM = pytest.mark.parametrize(
    "form", [{}, {"ordered": True}, {"key": str}], ids=["unordered", "ordered", "keyed"]
)


@EVERY_FORM
def test_an_inner_error_disposes_the_source_and_the_other_inners(form: dict[str, Any]) -> None:
    time, boom = Time(), Boom()
    slow, bad = time.marbles("----------a|"), time.marbles("--#", error=boom)
    source = Manual()
    stream = source.pipe(flat_map_bounded({"slow": slow, "bad": bad}.__getitem__, max_concurrent=2, **form))
    recorder, _ = time.record(stream)
    source.send("slow", "bad")
    time.advance(100)
    assert recorder.events == [(2.0, boom)]
    assert source.disposed == 1
    assert slow.active == 0
    assert time.idle


@EVERY_FORM
def test_a_source_error_disposes_the_inners(form: dict[str, Any]) -> None:
    time, boom = Time(), Boom()
    inner = time.marbles("----------a|")
    source = Manual()
    recorder, _ = time.record(source.pipe(flat_map_bounded(lambda _: inner, max_concurrent=2, **form)))
    source.send(1)
    source.fail(boom)
    time.advance(100)
    assert recorder.events == [(0.0, boom)]
    assert inner.active == 0


@EVERY_FORM
def test_a_project_that_raises_is_an_error(form: dict[str, Any]) -> None:
    def project(_: int) -> Observable[int]:
        raise Boom

    recorder, numbers, time = Recorder(), Counting(), Time()
    from_iterable(numbers).pipe(flat_map_bounded(project, max_concurrent=2, **form)).subscribe(
        recorder, scheduler=time.scheduler
    )
    time.advance(1)
    assert isinstance(recorder.error, Boom)
    assert numbers.closed


@EVERY_FORM
def test_a_plain_value_is_refused_with_advice(form: dict[str, Any]) -> None:
    recorder = Recorder()
    from_iterable([1]).pipe(
        flat_map_bounded(lambda number: number, max_concurrent=1, **form)  # type: ignore[arg-type,return-value]
    ).subscribe(recorder)
    assert isinstance(recorder.error, TypeError)
    assert "use ops.map for plain values" in str(recorder.error)


@EVERY_FORM
def test_ten_thousand_queued_inners_that_end_at_once_do_not_nest(form: dict[str, Any]) -> None:
    gate, recorder, source = Manual(), Recorder(), Manual()

    def project(number: int) -> Stage[int]:
        return gate if number == 0 else AtOnce(number)

    source.pipe(flat_map_bounded(project, max_concurrent=1, **form)).subscribe(recorder)
    source.send(*range(10_001))
    source.complete()
    assert recorder.events == []
    gate.complete()
    assert recorder.values == list(range(1, 10_001))
    assert recorder.completed


@EVERY_FORM
def test_ten_thousand_asked_for_inners_that_end_at_once_do_not_nest(form: dict[str, Any]) -> None:
    recorder, time = Recorder(), Time()
    from_iterable(range(10_000)).pipe(flat_map_bounded(AtOnce, max_concurrent=1, **form)).subscribe(
        recorder, scheduler=time.scheduler
    )
    time.advance(1)
    assert recorder.values == list(range(10_000))
    assert recorder.completed


@EVERY_FORM
@pytest.mark.parametrize("after", range(16))
async def test_disposal_at_every_step_ends_everything(after: int, form: dict[str, Any]) -> None:
    # An un-awaited coroutine warns when it is collected, which fails the test; so does a task left over.
    running = 0

    async def call(number: int) -> int:
        nonlocal running
        running += 1
        try:
            await turns(number % 4)
            return number
        finally:
            running -= 1

    recorder = Recorder()
    subscription = (
        from_iterable(Counting()).pipe(flat_map_bounded(call, max_concurrent=3, **form)).subscribe(recorder)
    )
    await turns(after)
    subscription.dispose()
    seen = list(recorder.events)
    await turns(8)
    gc.collect()
    assert recorder.events == seen
    assert running == 0


@EVERY_FORM
async def test_disposal_from_inside_on_next_at_every_element(form: dict[str, Any]) -> None:
    async def call(number: int) -> int:
        await asyncio.sleep(0)
        return number

    for stop in range(1, 8):
        recorder = Recorder()
        from_iterable(Counting()).pipe(
            flat_map_bounded(call, max_concurrent=3, **form), ops.take(stop)
        ).subscribe(recorder)
        await turns(20)
        assert len(recorder.values) == stop
        assert recorder.completed


@EVERY_FORM
async def test_disposal_cancels_the_running_tasks(form: dict[str, Any]) -> None:
    cancelled = []

    async def call(number: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    stream = from_iterable(range(3)).pipe(flat_map_bounded(call, max_concurrent=2, **form))
    subscription = stream.subscribe(Recorder())
    await turns()
    subscription.dispose()
    await turns()
    assert sorted(cancelled) == [0, 1]


@EVERY_FORM
def test_no_inner_is_started_after_an_error_by_a_source_that_cannot_be_stopped(form: dict[str, Any]) -> None:
    started: list[int] = []

    def project(number: int) -> Stage[int]:
        started.append(number)
        return AtOnce(error=Boom())

    recorder = Recorder()
    AtOnce(1, 2, 3).pipe(flat_map_bounded(project, max_concurrent=2, **form)).subscribe(recorder)
    assert isinstance(recorder.error, Boom)
    assert started == [1]


@EVERY_FORM
def test_an_inner_that_emits_on_while_it_is_starting_is_silent_after_the_error(form: dict[str, Any]) -> None:
    recorder = Recorder()

    class FailsOnFirst(Window):
        """A sink that ends everything at the first element, while its source is still starting."""

        def on_next(self, value: Any) -> None:
            super().on_next(value)
            source.fail(Boom())

    source = Manual()
    sink = FailsOnFirst(recorder, room=10)
    stage = source.pipe(flat_map_bounded(lambda _: AtOnce(1, 2, 3), max_concurrent=2, **form))
    sink.connect(as_stage(stage), DemandScheduler.of(None).with_demand(sink.demand))
    source.send("x")
    assert recorder.values == [1]
    assert isinstance(recorder.error, Boom)


@EVERY_FORM
def test_an_error_that_nobody_handles_is_raised_though_it_came_while_an_inner_was_starting(
    form: dict[str, Any],
) -> None:
    source = Manual()
    source.pipe(flat_map_bounded(lambda _: AtOnce(error=Boom()), max_concurrent=1, **form)).subscribe()
    with pytest.raises(Boom):
        source.send(1)


@EVERY_FORM
def test_it_ends_once_though_the_source_ends_while_the_last_inner_is_starting(form: dict[str, Any]) -> None:
    gate, source, recorder = Manual(), Manual(), Recorder()

    class EndsBoth(AtOnce):
        def attach(self, sink: Any, scheduler: DemandScheduler) -> DisposableBase:
            attached = super().attach(sink, scheduler)
            source.complete()
            return attached

    def project(number: int) -> Stage[int]:
        return gate if number == 0 else EndsBoth(number)

    stage = as_stage(source.pipe(flat_map_bounded(project, max_concurrent=1, **form)))
    stage.attach(recorder, DemandScheduler.of(None))  # no border that would hide a second end
    source.send(0, 1)
    gate.complete()
    assert recorder.values == [1]
    assert recorder.completed


@EVERY_FORM
@pytest.mark.parametrize("end", ["complete", "fail", "dispose"])
def test_no_listener_is_left_at_the_demand_downstream(end: str, form: dict[str, Any]) -> None:
    source, window = Manual(), Window(Recorder(), room=5)
    stage = as_stage(source.pipe(flat_map_bounded(AtOnce, max_concurrent=2, **form)))
    window.connect(stage, DemandScheduler.of(None).with_demand(window.demand))
    source.send(1, 2)
    if end == "dispose":
        window.dispose()
    else:
        source.complete() if end == "complete" else source.fail(Boom())
    assert window.demand._listeners == []


@EVERY_FORM
@pytest.mark.parametrize("pushed", [False, True])
def test_the_cap_may_be_set_while_it_runs(pushed: bool, form: dict[str, Any]) -> None:
    time, gates = Time(), [Manual() for _ in range(20)]
    source = AtOnce(*range(20)) if pushed else as_stage(from_iterable(range(20)))
    stage = as_stage(source.pipe(flat_map_bounded(gates.__getitem__, max_concurrent=2, **form)))
    link: Any = stage.attach(Recorder(), DemandScheduler.of(time.scheduler))
    time.advance(1)

    def begun() -> int:
        return sum(gate.attached for gate in gates)

    assert begun() == 2
    link.resize(5)
    assert begun() == 5
    link.resize(1)
    for gate in gates[:4]:
        gate.complete()
    assert begun() == 5
    gates[4].complete()
    assert begun() == 6
    link.dispose()
