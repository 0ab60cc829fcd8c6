"""Keys that are not what they were: a hash that changes, a comparison that raises. Nothing hangs or leaks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from rxorch_operators import Coalescer, TtlCache, cache, coalesce
from rxorch_operators.flat_map_bounded import flat_map_bounded
from tests.operators.support import END, AtOnce, Boom, Manual, Recorder, Time


class Key:
    """A key that the test spoils."""

    def __init__(self, value: int = 0) -> None:
        self.value = value
        self.is_broken = False

    def __hash__(self) -> int:
        return self.value

    def __eq__(self, other: object) -> bool:
        if self.is_broken:
            raise Boom
        return isinstance(other, Key) and other.value == self.value


def change(key: Key) -> None:
    key.value += 1


def twist(key: Key) -> None:
    """Both at once: it is not found, and where it is found it cannot be compared."""
    key.value += 1
    key.is_broken = True


def unhash(key: Key) -> None:
    key.value = "no hash"  # type: ignore[assignment]


SPOILING = [change, twist, unhash]

Spoil = Callable[[Key], None]


@pytest.mark.parametrize("spoil", SPOILING)
@pytest.mark.parametrize("end", ["completes", "fails", "is left"])
def test_a_shared_call_ends_for_all_and_is_forgotten(spoil: Spoil, end: str) -> None:
    group, source, key = Coalescer(), Manual(), Key()
    shared = source.pipe(coalesce(group, lambda: key))
    recorders = [Recorder(), Recorder()]
    subscriptions = [shared.subscribe(recorder) for recorder in recorders]
    other = Manual()
    other.pipe(coalesce(group, "other")).subscribe()
    spoil(key)
    if end == "is left":
        for subscription in subscriptions:
            subscription.dispose()
        assert source.disposed == 1
    elif end == "fails":
        source.fail(Boom())
        assert all(isinstance(recorder.error, Boom) for recorder in recorders)
    else:
        source.send("a")
        source.complete()
        assert [recorder.events for recorder in recorders] == [[(0.0, "a"), (0.0, END)]] * 2
    assert group.statistics().in_flight == 1
    other.complete()
    assert group.statistics().in_flight == 0 and not group._calls and not group._forgotten


def test_another_broken_key_costs_its_own_call_nothing_but_the_joining() -> None:
    group, key, others = Coalescer(), Key(), [Key(7), Key(8)]
    source, behind = Manual(), [Manual(), Manual()]
    source.pipe(coalesce(group, lambda: key)).subscribe()
    recorders = [Recorder(), Recorder()]
    for one, other, recorder in zip(behind, others, recorders, strict=True):
        one.pipe(coalesce(group, lambda other=other: other)).subscribe(recorder)
    change(key)
    unhash(others[0])
    source.complete()
    assert group.statistics().in_flight == 2
    for one in behind:
        one.complete()
    assert [recorder.events for recorder in recorders] == [[(0.0, END)]] * 2
    assert group.statistics().in_flight == 0


def test_a_shared_call_that_can_be_found_no_more_can_be_forgotten_with_all() -> None:
    group, source, key = Coalescer(), Manual(), Key()
    source.pipe(coalesce(group, lambda: key)).subscribe()
    change(key)
    assert group.forget_all() == 1
    source.complete()
    assert group.statistics().in_flight == 0


def test_a_key_that_cannot_be_compared_is_the_error_of_who_asks() -> None:
    group, source, key = Coalescer(), Manual(), Key()
    first, second = Recorder(), Recorder()
    shared = source.pipe(coalesce(group, lambda: key))
    shared.subscribe(first)
    key.is_broken = True
    other = Key()
    other.is_broken = True
    source.pipe(coalesce(group, lambda: other)).subscribe(second)
    assert isinstance(second.error, Boom) and source.attached == 1
    source.complete()
    assert first.events == [(0.0, END)] and group.statistics().in_flight == 0


@pytest.mark.parametrize("spoil", SPOILING)
def test_a_lane_goes_on_when_its_key_has_changed(spoil: Spoil) -> None:
    keys = [Key(0), Key(0), Key(9)]
    source, inners = Manual(), [Manual(), Manual(), Manual()]
    recorder = Recorder()

    def project(n: int) -> Manual:
        return inners[n]

    lanes = flat_map_bounded(project, max_concurrent=3, key=lambda n: keys[n])
    source.pipe(lanes).subscribe(recorder)
    source.send(0, 1, 2)
    source.complete()
    assert [inner.attached for inner in inners] == [1, 0, 1], "the second one waits behind the first"
    for key in keys:
        spoil(key)
    for n in (0, 2, 1):
        inners[n].send(n)
        inners[n].complete()
    assert recorder.values == [0, 2, 1] and recorder.events[-1] == (0.0, END)


@pytest.mark.parametrize("spoil", SPOILING)
def test_lanes_of_changed_keys_do_not_stay(spoil: Spoil) -> None:
    source, inner = Manual(), Manual()
    keys = [Key(n) for n in range(3)]

    def project(n: int) -> Any:
        return AtOnce(n) if n else inner

    source.pipe(flat_map_bounded(project, max_concurrent=9, key=lambda n: keys[n])).subscribe()
    link: Any = source.sink
    source.send(0, 1, 2)
    assert len(link._lanes) == 1
    spoil(keys[0])
    inner.complete()
    assert not link._lanes


def held(store: TtlCache[Any, Any], key: Key, time: Time) -> None:
    store.put(key, ("old",), time.now, 10.0, keep=30.0)


@pytest.mark.parametrize("spoil", SPOILING)
def test_a_refresh_ends_though_its_key_has_changed(spoil: Spoil) -> None:
    time, store, source, key = Time(), TtlCache[Any, Any](), Manual(), Key()
    told: list[Exception] = []
    cached = source.pipe(
        cache(
            store,
            lambda: key,
            ttl=10.0,
            stale_while_revalidate=30.0,
            on_refresh_error=lambda _, error: told.append(error),
        )
    )
    held(store, key, time)
    time.advance(10)
    assert time.record(cached)[0].values == ["old"]
    spoil(key)
    source.send("new")
    source.complete()
    assert store.statistics().refreshing == 0 and time.idle
    assert len(told) == (spoil is unhash), "what cannot be hashed cannot be stored"
    assert not store.background._running  # type: ignore[union-attr]


def test_closing_a_store_ends_refreshes_that_can_be_found_no_more() -> None:
    time, store, source, keys = Time(), TtlCache[Any, Any](), Manual(), [Key(0), Key(5), Key(9)]
    for key in keys:
        held(store, key, time)
    time.advance(10)
    for key in keys:
        cached = source.pipe(cache(store, lambda key=key: key, ttl=10.0, stale_while_revalidate=30.0))
        assert time.record(cached)[0].values == ["old"]
    for key in keys[:2]:
        unhash(key)
    source.complete()  # that of the last one
    before = source.disposed
    assert store.statistics().refreshing == 2
    store.close()
    assert (source.disposed - before, store.statistics().refreshing) == (2, 0) and time.idle


class Fused(Key):
    """Can be compared so many times."""

    comparisons = 0
    __hash__ = Key.__hash__

    def __eq__(self, other: object) -> bool:
        if not self.comparisons:
            raise Boom
        self.comparisons -= 1
        return super().__eq__(other)


@pytest.mark.parametrize("comparisons", range(8))
def test_a_key_that_cannot_be_compared_somewhere_on_the_way_is_the_error(comparisons: int) -> None:
    time, store, source = Time(), TtlCache[Any, Any](), Manual()
    keys = [Key(), Fused()]
    cached = source.pipe(cache(store, lambda: keys[0], ttl=10.0, stale_while_revalidate=30.0))
    held(store, keys[0], time)
    time.advance(10)
    time.record(cached)
    keys[0] = keys[1]
    keys[1].comparisons = comparisons  # type: ignore[attr-defined]
    recorder = time.record(cached)[0]
    assert isinstance(recorder.error, Boom) or recorder.events == [(10.0, "old"), (10.0, END)]
    assert isinstance(recorder.error, Boom) == (comparisons < 4)


@pytest.mark.parametrize("spoil", SPOILING)
def test_a_store_makes_room_and_clears_and_purges_whatever_its_keys_are(spoil: Spoil) -> None:
    def filled() -> TtlCache[Any, Any]:
        store, keys = TtlCache[Any, Any](max_entries=3), [Key(n) for n in (0, 10, 20)]
        for key in keys:
            store.put(key, key.value, now=0.0, ttl=5.0, size=10, tag="t" if key.value else None)
        spoil(keys[0])
        spoil(keys[2])
        return store

    store = filled()
    for n in range(3):
        assert store.put(n + 100, n, now=1.0, ttl=5.0, size=10)
    assert (len(store), store.statistics().bytes, store.statistics().evictions) == (3, 30, 3)

    store = filled()
    assert store.clear() == 3
    assert (len(store), store.statistics().bytes) == (0, 0)

    store = filled()
    store.put("fresh", 1, now=9.0, ttl=math.inf, size=10)  # drives the first one out
    assert store.purge(9.0) == 2
    assert (len(store), store.statistics().bytes, store.get("fresh", 9.0)) == (1, 10, 1)


def test_an_entry_that_cannot_be_put_anew_leaves_with_its_bytes() -> None:
    store, keys = TtlCache[Any, Any](), [Key(n) for n in (0, 10, 20)]
    for key in keys:
        store.put(key, key.value, now=0.0, ttl=5.0, size=10, tag=str(key.value))
    change(keys[0])
    unhash(keys[1])
    assert store.clear("0") == 2
    assert (len(store), store.statistics().bytes) == (1, 10)
    assert store.get(Key(20), 1.0) == 20
