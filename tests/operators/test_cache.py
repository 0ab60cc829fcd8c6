"""cache: a hit makes no call; errors, halves and what is out of date are not kept."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from reactivex import operators as ops

from rxorch_operators import TtlCache, cache
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage
from tests.operators.support import AtOnce, Boom, Manual, Recorder, Time, Window, events


def record(source: Stage[Any], *stages: Any) -> Recorder:
    recorder = Recorder()
    source.pipe(*stages).subscribe(recorder)
    return recorder


def test_a_hit_makes_no_call() -> None:
    time = Time()
    marbles = time.marbles("--a|", "--b|")
    cached = marbles.pipe(cache(TtlCache(), "k", ttl=60.0))
    assert time.run(cached, seconds=10).events == events("--a|")
    assert time.run(cached, seconds=10).events == [(10.0, "a"), (10.0, "|")]
    assert marbles.subscribed == [0]


def test_the_value_is_fresh_for_ttl_seconds_from_the_end_of_its_call() -> None:
    time = Time()
    marbles = time.marbles("---a|", "b|")
    cached = marbles.pipe(cache(TtlCache(), "k", ttl=10.0))
    time.run(cached, seconds=13.9)
    assert time.run(cached, seconds=0.2).values == ["a"]
    assert time.run(cached, seconds=2).values == ["b"]
    assert marbles.subscribed == [0, 14.1]


def test_scheduler_argument_gives_the_time() -> None:
    time = Time()
    source = AtOnce(1)
    store: TtlCache[str, Any] = TtlCache()
    record(source, cache(store, "k", ttl=5.0, scheduler=time.scheduler))
    assert store.get("k", 4.9) == (1,) and store.get("k", 5.0) is None


def test_none_is_a_value_and_so_is_nothing() -> None:
    store: TtlCache[str, Any] = TtlCache()
    for key, source in (("none", AtOnce(None)), ("empty", AtOnce())):
        record(source, cache(store, key, ttl=60.0))
        again = Manual()
        hit = record(again, cache(store, key, ttl=60.0))
        assert hit.values == list(source.values) and hit.completed and not again.attached


def test_several_elements_come_back_together() -> None:
    store: TtlCache[str, Any] = TtlCache()
    first = record(AtOnce("a", ("b", "c"), "d"), cache(store, "k", ttl=60.0))
    hit = record(Manual(), cache(store, "k", ttl=60.0))
    assert hit.values == first.values == ["a", ("b", "c"), "d"] and hit.completed


def test_several_elements_come_back_at_the_pace_of_the_consumer() -> None:
    store: TtlCache[str, Any] = TtlCache()
    record(AtOnce(1, 2, 3), cache(store, "k", ttl=60.0))
    time = Time()
    recorder = Recorder()
    window = Window(recorder, room=1)
    stage = Manual().pipe(cache(store, "k", ttl=60.0))
    assert isinstance(stage, Stage)
    window.connect(stage, DemandScheduler.of(time.scheduler).with_demand(window.demand))
    time.advance(1)
    assert recorder.values == [1]
    window.open(5)
    assert recorder.values == [1, 2, 3]


def test_an_error_is_not_kept_nor_what_came_before_it() -> None:
    store: TtlCache[str, Any] = TtlCache()
    failed = record(AtOnce(1, error=Boom()), cache(store, "k", ttl=60.0))
    assert failed.values == [1] and isinstance(failed.error, Boom)
    assert len(store) == 0
    assert record(AtOnce(2), cache(store, "k", ttl=60.0)).values == [2]


def test_disposal_keeps_nothing() -> None:
    store: TtlCache[str, Any] = TtlCache()
    source = Manual()
    subscription = source.pipe(cache(store, "k", ttl=60.0)).subscribe(Recorder())
    source.send(1)
    subscription.dispose()
    assert source.disposed == 1 and len(store) == 0
    source = Manual()
    source.pipe(cache(store, "k", ttl=60.0), ops.take(1)).subscribe(Recorder())
    source.send(1)
    source.complete()  # nobody is there any more
    assert len(store) == 0


def test_ttl_zero_keeps_nothing() -> None:
    store: TtlCache[str, Any] = TtlCache()
    record(AtOnce(1), cache(store, "k", ttl=0.0))
    assert len(store) == 0


def test_keys_are_apart_and_may_be_asked_for_when_subscribed() -> None:
    store: TtlCache[str, Any] = TtlCache()
    keys = iter(["a", "b", "a"])
    values = iter([1, 2, 3])
    seen = [record(AtOnce(next(values)), cache(store, lambda: next(keys), ttl=60.0)).values for _ in range(3)]
    assert seen == [[1], [2], [1]]


def test_a_key_that_fails_or_is_none_is_the_error() -> None:
    def fail() -> str:
        raise Boom

    assert isinstance(record(Manual(), cache(TtlCache(), fail, ttl=1.0)).error, Boom)
    assert isinstance(record(Manual(), cache(TtlCache(), list, ttl=1.0)).error, TypeError)


def test_on_hit_is_told_the_key_before_the_value_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    order: list[Any] = []

    def told(key: object) -> None:
        order.append(("hit", key))
        raise Boom

    cached = AtOnce(7).pipe(cache(TtlCache(), "k", ttl=60.0, on_hit=told))
    with caplog.at_level(logging.ERROR):
        cached.subscribe(order.append)
        cached.subscribe(order.append)
    assert order == [7, ("hit", "k"), 7]
    assert "on_hit failed" in caplog.text


def test_tag_and_size_reach_the_store() -> None:
    store: TtlCache[str, Any] = TtlCache(max_bytes=10)
    for key, text in (("a", "12345"), ("b", "1234567"), ("c", "12345678901")):
        record(AtOnce(text), cache(store, key, ttl=60.0, tag="api", size=len))
    assert store.statistics().bytes == 7
    assert store.clear(tag="other") == 0 and store.clear(tag="api") == 1


def test_a_size_that_fails_is_the_error() -> None:
    def fail(_: object) -> int:
        raise Boom

    recorder = record(AtOnce(1), cache(TtlCache(), "k", ttl=60.0, size=fail))
    assert recorder.values == [1] and isinstance(recorder.error, Boom)


def test_a_lean_sink_hears_nothing_after_it_was_disposed_even_from_a_rude_source() -> None:
    source, sink = Manual(), Recorder()
    stage = source.pipe(cache(TtlCache(), "k", ttl=1.0))
    assert isinstance(stage, Stage)
    subscription = stage.attach(sink, DemandScheduler.of(Time().scheduler))
    source.send(1)
    subscription.dispose()
    source.send(2)
    source.complete()
    source.fail(Boom())
    assert sink.events == [(0.0, 1)]


def test_the_answer_to_an_earlier_call_does_not_take_the_place_of_a_later_one() -> None:
    time, store = Time(), TtlCache[Any, Any]()
    slow, quick = time.marbles("-----a|"), time.marbles("-b|")
    first, _ = time.record(slow.pipe(cache(store, "k", ttl=60.0)))
    time.advance(1)
    time.run(quick.pipe(cache(store, "k", ttl=60.0)), seconds=10)
    assert first.values == ["a"], "its own caller gets it"
    assert store.get("k", time.now) == ("b",)
    assert store.statistics().outdated == 1


def test_a_negative_ttl_is_refused() -> None:
    with pytest.raises(ValueError, match="ttl=-1"):
        cache(TtlCache(), "k", ttl=-1)


def test_a_sink_that_ends_itself_in_on_next_hears_no_end() -> None:
    class Once(Link):
        def on_next(self, value: Any) -> None:
            super().on_next(value)
            self.dispose()

    store: TtlCache[str, Any] = TtlCache()
    record(AtOnce(1), cache(store, "k", ttl=60.0))
    recorder = Recorder()
    stage = Manual().pipe(cache(store, "k", ttl=60.0))
    assert isinstance(stage, Stage)
    Once(recorder).connect(stage, DemandScheduler.of(Time().scheduler))
    assert recorder.events == [(0.0, 1)]
