"""cache, stale-if-error: a stale value instead of an error, if the source has emitted nothing."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from reactivex.abc import DisposableBase, ObserverBase

from rxorch_operators import TtlCache, cache
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage, as_stage
from tests.operators.support import AtOnce, Boom, Manual, Recorder, Time, Window


class Scene:
    """A store that holds "old" under "k", fresh until 10 and a substitute until 40."""

    def __init__(self, source: Stage[Any] | None = None, **options: Any) -> None:
        self.time = Time()
        self.store: TtlCache[Any, Any] = TtlCache()
        self.source = Manual()
        self.told: list[Any] = []
        self.options: dict[str, Any] = {
            "ttl": 10.0,
            "stale_if_error": 30.0,
            "on_hit": lambda key: self.told.append(("hit", key)),
            "on_stale": lambda key, error: self.told.append((key, error)),
            **options,
        }
        self.put("old")
        self.cached = (source or self.source).pipe(cache(self.store, "k", **self.options))

    def put(self, *values: Any) -> None:
        self.store.put("k", values, self.time.now, 10.0, keep=30.0)

    def read(self) -> Recorder:
        return self.time.record(self.cached)[0]


def test_a_stale_value_is_emitted_instead_of_the_error_and_that_is_told() -> None:
    scene, boom = Scene(), Boom()
    scene.time.advance(20)
    recorder = scene.read()
    assert recorder.events == [], "the call comes first"
    scene.time.advance(5)
    scene.source.fail(boom)
    assert recorder.events == [(25.0, "old"), (25.0, "|")]
    assert scene.told == [("k", boom)]
    assert scene.source.disposed == 1
    statistics = scene.store.statistics()
    assert (statistics.misses, statistics.stale_hits, statistics.refreshes) == (1, 1, 0)


def test_each_reader_asks_the_source_first() -> None:
    scene = Scene(AtOnce(error=Boom()))
    scene.time.advance(20)
    assert [scene.read().values for _ in range(3)] == [["old"]] * 3
    assert len(scene.told) == 3


def test_an_answer_replaces_it() -> None:
    scene = Scene()
    scene.time.advance(20)
    recorder = scene.read()
    scene.source.send("new")
    scene.source.complete()
    assert recorder.values == scene.read().values == ["new"]
    assert scene.told == [("hit", "k")]


@pytest.mark.parametrize("at", [40.0, 39.0])
def test_what_is_too_old_when_the_error_comes_is_no_substitute(at: float) -> None:
    scene, boom = Scene(), Boom()
    scene.time.advance(at)
    recorder = scene.read()
    scene.time.advance(1)
    scene.source.fail(boom)
    assert recorder.events == [(at + 1, boom)] and scene.told == []


def test_with_nothing_stored_the_error_is_the_error() -> None:
    scene, boom = Scene(), Boom()
    scene.store.clear()
    recorder = scene.read()
    scene.source.fail(boom)
    assert recorder.events == [(0.0, boom)]


def test_what_was_found_wrong_in_the_meantime_is_no_substitute() -> None:
    scene, boom = Scene(), Boom()
    scene.time.advance(20)
    recorder = scene.read()
    scene.store.discard("k")
    scene.source.fail(boom)
    assert recorder.events == [(20.0, boom)]


def test_what_another_call_has_brought_in_the_meantime_serves_too() -> None:
    scene, boom = Scene(), Boom()
    scene.time.advance(20)
    recorder = scene.read()
    scene.put("new")
    scene.source.fail(boom)
    assert recorder.values == ["new"] and scene.told == [("k", boom)]
    assert scene.store.statistics().stale_hits == 0


def test_a_cancellation_passes() -> None:
    scene, cancelled = Scene(), asyncio.CancelledError()
    scene.time.advance(20)
    recorder = scene.read()
    scene.source.fail(cancelled)
    assert recorder.events == [(20.0, cancelled)] and scene.told == []


def test_what_the_source_has_emitted_is_not_mixed_with_a_substitute() -> None:
    scene, boom = Scene(), Boom()
    scene.time.advance(20)
    recorder = scene.read()
    scene.source.send("half")
    scene.source.fail(boom)
    assert recorder.events == [(20.0, "half"), (20.0, boom)] and scene.told == []


@pytest.mark.parametrize("stored", [True, False])
def test_a_source_that_cannot_start_has_failed(stored: bool) -> None:
    class Broken(Stage[Any]):
        def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
            raise Boom

    scene = Scene(Broken())
    scene.time.advance(20 if stored else 40)
    recorder = scene.read()
    assert recorder.values == (["old"] if stored else [])
    assert isinstance(recorder.error, Boom) is not stored


def test_a_source_that_fails_to_return_after_its_end_is_not_heard_twice() -> None:
    class Broken(Stage[Any]):
        def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
            sink.on_error(Boom("first"))
            raise Boom("second")

    scene = Scene(Broken())
    scene.time.advance(20)
    recorder = Recorder()
    with pytest.raises(Boom, match="second"):
        as_stage(scene.cached).attach(recorder, DemandScheduler.of(scene.time.scheduler))
    assert recorder.values == ["old"] and recorder.completed


def test_disposal_ends_the_call_and_there_is_no_substitute() -> None:
    scene = Scene()
    scene.time.advance(20)
    recorder, subscription = scene.time.record(scene.cached)
    subscription.dispose()
    assert scene.source.disposed == 1
    scene.source.fail(Boom())  # a rude source
    assert recorder.events == [] and scene.told == []


def attach(scene: Scene, sink: ObserverBase[Any]) -> DisposableBase:
    return as_stage(scene.cached).attach(sink, DemandScheduler.of(scene.time.scheduler))


def test_a_rude_source_is_not_heard_after_its_error() -> None:
    scene, recorder = Scene(), Recorder()
    scene.time.advance(20)
    attach(scene, recorder)
    scene.source.fail(Boom())
    scene.source.send("late")
    scene.source.complete()
    scene.source.fail(Boom())
    assert recorder.values == ["old"] and len(recorder.events) == 2
    assert scene.store.get_stale("k", 20.0, 99.0) == ("old",)


def test_disposal_from_inside_on_stale_lets_nothing_out() -> None:
    held: list[DisposableBase] = []
    scene = Scene(on_stale=lambda key, error: held[0].dispose())
    scene.time.advance(20)
    recorder = Recorder()
    held.append(attach(scene, recorder))
    scene.source.fail(Boom())
    assert recorder.events == []


@pytest.mark.parametrize("stored", [("a",), ("a", "b")])
def test_disposal_from_inside_on_next_lets_nothing_more_out(stored: tuple[str, ...]) -> None:
    class Leaver(Recorder):
        def on_next(self, value: Any) -> None:
            super().on_next(value)
            subscription.dispose()

    scene, recorder = Scene(), Leaver()
    scene.put(*stored)
    scene.time.advance(20)
    subscription = attach(scene, recorder)
    scene.source.fail(Boom())
    scene.time.advance(1)
    assert [event for _, event in recorder.events] == ["a"]
    assert scene.time.idle


def test_several_elements_come_at_the_pace_of_the_consumer_until_it_leaves() -> None:
    scene, recorder = Scene(AtOnce(error=Boom())), Recorder()
    scene.put(1, 2, 3)
    scene.time.advance(20)
    window = Window(recorder, room=1)
    scheduler = DemandScheduler.of(scene.time.scheduler).with_demand(window.demand)
    subscription = window.connect(as_stage(scene.cached), scheduler)
    scene.time.advance(1)
    assert recorder.values == [1]
    window.open(1)
    assert recorder.values == [1, 2]
    subscription.dispose()
    assert window.demand._listeners == []
    window.open(5)
    assert recorder.values == [1, 2]


def test_a_sink_that_ends_itself_before_it_has_the_subscription_hears_no_end() -> None:
    class Once(Link):
        def on_next(self, value: Any) -> None:
            super().on_next(value)
            self.dispose()

    scene, recorder = Scene(AtOnce(error=Boom())), Recorder()
    scene.time.advance(20)
    Once(recorder).connect(as_stage(scene.cached), DemandScheduler.of(scene.time.scheduler))
    assert recorder.events == [(0.0, "old")]


def test_a_listener_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise Boom

    scene = Scene(AtOnce(error=Boom()), on_stale=fail)
    scene.time.advance(20)
    with caplog.at_level(logging.ERROR):
        assert scene.read().values == ["old"]
    assert "on_stale failed" in caplog.text


def test_ttl_zero_keeps_a_substitute_for_who_always_asks() -> None:
    time = Time()
    store: TtlCache[str, Any] = TtlCache()
    for source in (AtOnce("a"), AtOnce(error=Boom())):
        call = source.pipe(cache(store, "k", ttl=0.0, stale_if_error=30.0))
        assert time.run(call, seconds=5).values == ["a"]


def test_first_the_refresh_window_then_the_call_and_its_substitute() -> None:
    scene, boom = Scene(stale_while_revalidate=5.0), Boom()
    scene.time.advance(12)
    assert scene.read().values == ["old"]
    scene.source.fail(boom)  # in the background
    scene.time.advance(8)
    recorder = scene.read()
    assert recorder.events == []
    scene.source.fail(boom)
    assert recorder.values == ["old"]
    assert scene.told == [("k", None), ("k", boom)]


@pytest.mark.parametrize("windows", [(5.0, 30.0), (30.0, 5.0), (30.0, 0.0), (0.0, 30.0)])
def test_what_is_kept_is_kept_for_the_longer_of_both_windows(windows: tuple[float, float]) -> None:
    time = Time()
    store: TtlCache[str, Any] = TtlCache()
    revalidate, if_error = windows
    operator = cache(
        store,
        "k",
        ttl=10.0,
        stale_while_revalidate=revalidate,
        stale_if_error=if_error,
        scheduler=time.scheduler,
    )
    AtOnce(1).pipe(operator).subscribe()
    assert store.get_stale("k", 39.9, 99.0) == (1,)
    assert store.get_stale("k", 40.0, 99.0) is None
