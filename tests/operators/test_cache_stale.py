"""cache, stale-while-revalidate: a stale value at once, one call in the background, which the store owns."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.abc import DisposableBase, ObserverBase

from rxorch_operators import TimeoutExceededError, TtlCache, cache
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Stage, as_stage
from tests.operators.support import AtOnce, Boom, Manual, Recorder, Time, Window, events


class Scene:
    """A store that holds "old" under "k", fresh until 10 and usable until 40, and a source to refresh it."""

    def __init__(self, source: Stage[Any] | None = None, **options: Any) -> None:
        self.time = Time()
        self.store: TtlCache[Any, Any] = TtlCache()
        self.source = Manual()
        self.told: list[Any] = []
        self.options: dict[str, Any] = {
            "ttl": 10.0,
            "stale_while_revalidate": 30.0,
            "on_hit": lambda key: self.told.append(("hit", key)),
            "on_stale": lambda key, error: self.told.append(("stale", key, error)),
            "on_refresh_error": lambda key, error: self.told.append(("failed", key, error)),
            **options,
        }
        self.put("old")
        self.cached = (source or self.source).pipe(cache(self.store, "k", **self.options))

    def put(self, *values: Any) -> None:
        self.store.put("k", values, self.time.now, 10.0, keep=30.0)

    def read(self) -> Recorder:
        return self.time.record(self.cached)[0]

    def kept(self) -> Any:
        return self.store.get_stale("k", self.time.now, 1000.0)


def test_a_stale_value_is_emitted_at_once_and_replaced_by_one_call() -> None:
    time = Time()
    marbles = time.marbles("--a|", "--b|")
    cached = marbles.pipe(cache(TtlCache(), "k", ttl=10.0, stale_while_revalidate=30.0))
    assert time.run(cached, seconds=20).events == events("--a|")
    assert time.run(cached, seconds=2).events == [(20.0, "a"), (20.0, "|")]
    assert marbles.subscribed == [0, 20]
    assert time.run(cached, seconds=5).values == ["a"], "the call has not ended yet"
    assert time.run(cached, seconds=5).values == ["b"]
    assert marbles.subscribed == [0, 20] and marbles.active == 0
    assert time.idle


def test_the_new_value_is_fresh_from_the_end_of_its_call() -> None:
    scene = Scene()
    scene.time.advance(15)
    scene.read()
    scene.time.advance(5)
    scene.source.send("new")
    scene.source.complete()
    scene.time.advance(9.9)
    assert scene.read().values == ["new"]
    assert scene.told == [("stale", "k", None), ("hit", "k")]
    scene.time.advance(0.1)
    scene.read()
    assert scene.source.attached == 2 and scene.told[-1] == ("stale", "k", None)


def test_there_is_one_refresh_whoever_asks() -> None:
    scene = Scene()
    scene.time.advance(10)
    other = AtOnce("never asked").pipe(cache(scene.store, "k", **scene.options))
    for _ in range(3):
        assert scene.read().values == ["old"]
        assert scene.time.record(other)[0].values == ["old"]
    assert scene.source.attached == 1
    statistics = scene.store.statistics()
    assert (statistics.stale_hits, statistics.misses, statistics.hits) == (6, 6, 0)
    assert (statistics.refreshing, statistics.refreshes, statistics.refresh_errors) == (1, 1, 0)
    scene.source.complete()
    assert scene.store.statistics().refreshing == 0


def test_keys_are_refreshed_apart() -> None:
    time, source = Time(), Manual()
    store: TtlCache[str, Any] = TtlCache()
    for key in "ab":
        store.put(key, (key,), 0.0, 1.0, keep=9.0)
    time.advance(5)
    for key in "abab":
        time.run(source.pipe(cache(store, key, ttl=1.0, stale_while_revalidate=9.0)), seconds=0.1)
    assert source.attached == 2 and store.statistics().refreshing == 2


def test_who_asks_again_from_inside_on_next_makes_no_second_refresh() -> None:
    scene = Scene()
    scene.time.advance(10)
    inner: list[Recorder] = []
    scene.cached.subscribe(lambda _: inner.append(scene.read()), scheduler=scene.time.scheduler)
    assert inner[0].values == ["old"] and scene.source.attached == 1


def test_the_stale_value_goes_out_before_the_source_is_even_subscribed() -> None:
    order: list[str] = []

    class Source(Stage[Any]):
        def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
            order.append("source")
            return AtOnce("new").attach(sink, scheduler)

    scene = Scene(Source())
    scene.time.advance(10)
    scene.cached.subscribe(
        order.append, on_completed=lambda: order.append("end"), scheduler=scene.time.scheduler
    )
    assert order == ["old", "end", "source"]
    assert scene.kept() == ("new",)


def test_after_the_window_the_call_is_waited_for() -> None:
    scene = Scene()
    scene.time.advance(40)
    recorder = scene.read()
    assert recorder.events == [] and scene.source.attached == 1
    scene.source.send("new")
    scene.source.complete()
    assert recorder.values == ["new"] and scene.told == []
    assert scene.store.statistics().refreshes == 0


def test_a_window_counts_where_it_is_asked_for() -> None:
    scene = Scene()
    scene.time.advance(20)
    impatient = Manual()
    window = scene.options | {"stale_while_revalidate": 5.0}
    assert scene.time.record(impatient.pipe(cache(scene.store, "k", **window)))[0].events == []
    assert impatient.attached == 1


def test_the_end_of_who_found_the_stale_value_is_not_that_of_the_refresh() -> None:
    scene = Scene()
    scene.time.advance(10)
    _, subscription = scene.time.record(scene.cached)
    subscription.dispose()
    scene.time.record(scene.cached.pipe(ops.take(1)))
    assert scene.source.attached == 1 and scene.source.disposed == 0
    scene.source.send("new")
    scene.source.complete()
    assert scene.read().values == ["new"]


def test_closing_the_store_ends_the_refresh() -> None:
    scene = Scene()
    scene.time.advance(10)
    scene.read()
    scene.store.close()
    assert scene.source.disposed == 1 and scene.store.statistics().refreshing == 0
    scene.source.send("late")  # a rude source
    scene.source.complete()
    scene.source.fail(Boom())
    assert scene.kept() == ("old",) and scene.told == [("stale", "k", None)]


def test_with_the_store_closed_who_finds_a_stale_value_makes_the_call() -> None:
    scene = Scene()
    scene.store.close()
    scene.time.advance(10)
    recorder = scene.read()
    scene.source.send("new")
    scene.source.complete()
    assert recorder.values == ["new"] and scene.read().values == ["new"]
    assert scene.store.statistics().stale_hits == scene.store.statistics().refreshes == 0


def test_closing_the_store_from_inside_on_next_lets_no_refresh_start() -> None:
    scene = Scene()
    scene.time.advance(10)
    scene.cached.subscribe(lambda _: scene.store.close(), scheduler=scene.time.scheduler)
    assert scene.source.attached == 0 and scene.store.statistics().refreshing == 0


def test_closing_the_store_while_the_refresh_is_starting_ends_it() -> None:
    class Source(Manual):
        def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
            scene.store.close()
            return super().attach(sink, scheduler)

    source = Source()
    scene = Scene(source)
    scene.time.advance(10)
    scene.read()
    assert (source.attached, source.disposed) == (1, 1)


def test_an_error_of_the_refresh_is_told_and_the_stale_value_stays_until_its_time_is_up() -> None:
    scene, boom = Scene(), Boom()
    scene.time.advance(10)
    assert scene.read().error is None
    scene.source.send("half")
    scene.source.fail(boom)
    assert scene.told == [("stale", "k", None), ("failed", "k", boom)]
    assert scene.read().values == ["old"] and scene.source.attached == 2, "the next one tries again"
    scene.source.fail(boom)
    statistics = scene.store.statistics()
    assert (statistics.refreshing, statistics.refreshes, statistics.refresh_errors) == (0, 2, 2)
    scene.time.advance(30)
    recorder = scene.read()
    scene.source.fail(boom)
    assert recorder.events == [(40.0, boom)]


@pytest.mark.parametrize("fails", [True, False])
def test_a_rude_source_is_not_heard_after_the_end_of_the_refresh(fails: bool) -> None:
    scene = Scene()
    scene.time.advance(10)
    scene.read()
    if fails:
        scene.source.fail(Boom())
    else:
        scene.source.complete()
    told, kept = list(scene.told), scene.kept()
    scene.source.send("rude")
    scene.source.complete()
    scene.source.fail(Boom())
    assert scene.told == told and scene.kept() == kept
    assert scene.source.disposed == 1


def test_without_a_listener_the_error_is_logged_but_not_the_key(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(on_refresh_error=None)
    scene.time.advance(10)
    scene.read()
    with caplog.at_level(logging.WARNING):
        scene.source.fail(Boom("down"))
    (record,) = caplog.records
    assert "refresh in the background failed" in record.getMessage() and "'k'" not in caplog.text
    assert record.exc_info is not None and isinstance(record.exc_info[1], Boom)


@pytest.mark.parametrize("name", ["on_stale", "on_refresh_error"])
def test_a_listener_that_fails_is_logged(name: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise Boom

    listeners: dict[str, Any] = {name: fail}
    scene = Scene(**listeners)
    scene.time.advance(10)
    with caplog.at_level(logging.ERROR):
        recorder = scene.read()
        scene.source.fail(Boom())
    assert recorder.values == ["old"] and recorder.completed
    assert f"{name} failed" in caplog.text


@pytest.mark.parametrize("emitted", [0, 1])
def test_a_source_that_cannot_start_is_an_error_of_the_refresh(emitted: int) -> None:
    class Broken(Stage[Any]):
        def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
            for _ in range(emitted):
                sink.on_next("half")
            raise Boom

    scene = Scene(Broken())
    scene.time.advance(10)
    recorder = scene.read()
    assert recorder.values == ["old"] and recorder.completed
    assert [event[0] for event in scene.told] == ["stale", "failed"]
    assert scene.kept() == ("old",) and scene.store.statistics().refreshing == 0


def test_what_a_source_raises_after_its_end_does_not_reach_who_found_the_stale_value() -> None:
    class Broken(Stage[Any]):
        def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
            sink.on_next("new")
            sink.on_completed()
            raise Boom

    scene = Scene(Broken())
    scene.time.advance(10)
    recorder = scene.read()
    assert recorder.values == ["old"] and recorder.completed
    assert scene.kept() == ("new",) and isinstance(scene.told[-1][2], Boom)
    assert scene.store.statistics().refresh_errors == 1


def test_a_size_that_fails_is_an_error_of_the_refresh() -> None:
    scene = Scene(AtOnce("new"), size=lambda _: 1 // 0)
    scene.time.advance(10)
    assert scene.read().completed
    assert isinstance(scene.told[-1][2], ZeroDivisionError)
    assert scene.kept() == ("old",) and scene.store.statistics().refreshing == 0


def test_a_cancelled_refresh_is_no_failure() -> None:
    scene = Scene()
    scene.time.advance(10)
    scene.read()
    scene.source.fail(asyncio.CancelledError())
    assert scene.told == [("stale", "k", None)]
    assert scene.store.statistics().refresh_errors == scene.store.statistics().refreshing == 0
    scene.read()
    assert scene.source.attached == 2


@pytest.mark.parametrize("how", ["discard", "clear"])
def test_what_was_found_wrong_while_it_was_refreshed_does_not_come_back(how: str) -> None:
    scene = Scene()
    scene.time.advance(10)
    scene.read()
    if how == "discard":
        scene.store.discard("k")
    else:
        scene.store.clear()
    scene.source.send("wrong too")
    scene.source.complete()
    assert scene.kept() is None
    assert scene.store.statistics().outdated == 1


def test_a_discard_from_inside_on_next_is_before_the_call() -> None:
    scene = Scene(AtOnce("new"))
    scene.time.advance(10)
    scene.cached.pipe(ops.map(lambda _: scene.store.discard("k"))).subscribe(scheduler=scene.time.scheduler)
    assert scene.kept() == ("new",)


def test_a_refresh_that_hangs_is_ended_when_its_window_is() -> None:
    scene = Scene()
    scene.time.advance(10)
    scene.read()
    scene.time.advance(29.9)
    assert (scene.source.disposed, scene.store.statistics().refreshing) == (0, 1)
    scene.time.advance(0.1)
    assert (scene.source.disposed, scene.store.statistics().refreshing) == (1, 0)
    assert scene.store.statistics().refresh_errors == 1
    what, key, error = scene.told[-1]
    assert (what, key) == ("failed", "k")
    assert isinstance(error, TimeoutExceededError) and (error.limit, error.kind) == (30.0, "total")
    assert scene.time.idle


def test_a_slow_refresh_may_end_after_the_stale_value_has_left() -> None:
    scene = Scene()
    scene.time.advance(39)
    scene.read()
    scene.time.advance(29)
    scene.source.send("new")
    scene.source.complete()
    assert scene.read().values == ["new"]
    assert scene.time.idle, "its timer went with it"


@pytest.mark.parametrize("end", ["error", "close"])
def test_the_timer_of_a_refresh_ends_with_it(end: str) -> None:
    scene = Scene()
    scene.time.advance(10)
    scene.read()
    if end == "error":
        scene.source.fail(Boom())
    else:
        scene.store.close()
    assert scene.time.idle


def test_a_refresh_without_a_window_to_its_name_has_no_timer() -> None:
    scene = Scene(stale_while_revalidate=math.inf)
    scene.time.advance(10)
    scene.read()
    assert scene.time.idle and scene.store.statistics().refreshing == 1


def test_where_there_is_no_timer_a_refresh_that_hangs_is_given_up_for_the_next() -> None:
    store, source = TtlCache[Any, Any](), Manual()
    store.put("k", ("old",), 0.0, 1.0, keep=math.inf)
    cached = source.pipe(cache(store, "k", ttl=1.0, stale_while_revalidate=1e9))
    recorder = Recorder()
    cached.subscribe(recorder)  # on no event loop
    assert recorder.values == ["old"] and store.statistics().refreshing == 1
    refresh = store.background._running["k"]  # type: ignore[union-attr]
    refresh.overdue = 0.0
    cached.subscribe()
    assert (source.attached, source.disposed, store.statistics().refreshing) == (2, 1, 1)


def test_there_are_no_more_refreshes_than_the_store_may_have_entries() -> None:
    time, store, source = Time(), TtlCache[Any, Any](max_entries=2), Manual()
    for key in "abc":
        store.put(key, ("old",), time.now, 10.0, keep=30.0)
        time.advance(10)
        cached = source.pipe(cache(store, key, ttl=10.0, stale_while_revalidate=30.0))
        assert time.record(cached)[0].values == ["old"]
    assert (source.attached, store.statistics().refreshing) == (2, 2)
    source.complete()
    store.put("d", ("old",), time.now - 10.0, 10.0, keep=30.0)
    time.record(source.pipe(cache(store, "d", ttl=10.0, stale_while_revalidate=30.0)))
    assert source.attached == 3, "one has ended, and there is room again"


def test_a_slow_refresh_does_not_take_the_place_of_a_later_answer() -> None:
    scene = Scene()
    scene.time.advance(39)
    scene.read()
    scene.time.advance(2)  # the stale value has left: this one makes a call of its own
    scene.time.record(AtOnce("later").pipe(cache(scene.store, "k", **scene.options)))
    scene.source.send("earlier")
    scene.source.complete()
    assert scene.read().values == ["later"]
    assert scene.store.statistics().outdated == 1


def test_an_observer_that_fails_costs_no_refresh() -> None:
    def fail(_: object) -> None:
        raise Boom

    errors: list[Exception] = []
    scene = Scene()
    scene.time.advance(10)
    scene.cached.subscribe(fail, errors.append, scheduler=scene.time.scheduler)
    assert isinstance(errors[0], Boom)
    assert scene.source.attached == 1 and scene.store.statistics().refreshing == 1


def test_a_lean_sink_that_fails_costs_no_refresh() -> None:
    class Broken(Recorder):
        def on_next(self, value: Any) -> None:
            raise Boom

    scene = Scene()
    scene.time.advance(10)
    with pytest.raises(Boom):
        as_stage(scene.cached).attach(Broken(), DemandScheduler.of(scene.time.scheduler))
    assert scene.source.attached == 1


def test_several_stale_elements_come_at_the_pace_of_the_consumer_and_the_refresh_at_its_own() -> None:
    scene = Scene()
    scene.put(1, 2, 3)
    scene.time.advance(10)
    recorder = Recorder()
    window = Window(recorder, room=1)
    scheduler = DemandScheduler.of(scene.time.scheduler).with_demand(window.demand)
    window.connect(as_stage(scene.cached), scheduler)
    scene.time.advance(1)
    assert recorder.values == [1] and scene.source.credit > 1000
    scene.source.send(4, 5)
    scene.source.complete()
    window.open(5)
    assert recorder.values == [1, 2, 3] and scene.kept() == (4, 5)


def test_nothing_is_a_value_when_it_is_stale_too() -> None:
    scene = Scene(AtOnce())
    scene.put()
    scene.time.advance(10)
    recorder = scene.read()
    assert recorder.values == [] and recorder.completed
    assert scene.kept() == ()


def test_ttl_zero_is_stale_from_the_start() -> None:
    time = Time()
    marbles = time.marbles("a|", "b|")
    cached = marbles.pipe(cache(TtlCache(), "k", ttl=0.0, stale_while_revalidate=30.0))
    seen = [time.run(cached, seconds=1.5).values for _ in range(3)]
    assert seen == [["a"], ["a"], ["b"]]
    assert len(marbles.subscribed) == 3


def test_the_bounds_of_the_store_hold_for_stale_values() -> None:
    time = Time()
    store: TtlCache[str, Any] = TtlCache(max_bytes=10)
    for key in "abc":
        call = AtOnce("12345").pipe(cache(store, key, ttl=1.0, stale_while_revalidate=99.0, size=len))
        time.run(call, seconds=5)
    statistics = store.statistics()
    assert (statistics.entries, statistics.bytes, statistics.evictions) == (2, 10, 1)


def test_scheduler_argument_gives_the_time() -> None:
    time, source = Time(), Manual()
    store: TtlCache[str, Any] = TtlCache()
    store.put("k", ("old",), 0.0, 1.0, keep=9.0)
    cached = source.pipe(cache(store, "k", ttl=1.0, stale_while_revalidate=9.0, scheduler=time.scheduler))
    time.advance(5)
    cached.subscribe(recorder := Recorder())
    source.send("new")
    source.complete()
    assert recorder.values == ["old"]
    assert (store.get("k", 5.9), store.get("k", 6.0)) == (("new",), None)


def test_without_windows_nothing_stale_is_kept() -> None:
    store: TtlCache[str, Any] = TtlCache()
    AtOnce(1).pipe(cache(store, "k", ttl=5.0, scheduler=Time().scheduler)).subscribe()
    assert store.get_stale("k", 5.0, 99.0) is None


@pytest.mark.parametrize("name", ["stale_while_revalidate", "stale_if_error"])
@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_a_window_that_makes_no_sense_is_refused(name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=f"{name}="):
        cache(TtlCache(), "k", ttl=1.0, **{name: seconds})  # type: ignore[arg-type]
