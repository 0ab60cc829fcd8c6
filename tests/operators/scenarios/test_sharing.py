"""One call for many: singleflight of Go, and stale answers of a cache after RFC 9111 and RFC 5861."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from rxorch_operators import Coalescer, TtlCache, cache, coalesce
from tests.operators.scenarios.scenario import Scenario, rows
from tests.operators.support import Boom, Recorder, Time

SINGLEFLIGHT = "Go, golang.org/x/sync/singleflight, singleflight_test.go: "
FRESHNESS = "RFC 9111, section 4.2: fresh while freshness_lifetime > current_age, "
REVALIDATE = "RFC 5861, section 3.1: max-age=600, stale-while-revalidate=30, "
IF_ERROR = "RFC 5861, section 4: stale-if-error, "

Heard = tuple[tuple[float, str], ...]


def heard(recorder: Recorder) -> Heard:
    """The elements and errors of one subscription, without its normal end."""
    signs = [(at, "#" if isinstance(event, Boom) else event) for at, event in recorder.events]
    return tuple((at, sign) for at, sign in signs if sign != "|")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlightScenario(Scenario):
    """Callers as (second, key); what each hears; and when the call behind the keys is made and let go of."""

    runs: tuple[str, ...]
    callers: tuple[tuple[float, str], ...]
    leaves: tuple[tuple[float, int], ...] = ()
    forgets: tuple[tuple[float, str], ...] = ()
    hear: tuple[Heard, ...]
    made: tuple[float, ...]
    released: tuple[float, ...]


FLIGHTS = (
    FlightScenario(
        name="singleflight gives a duplicate the result of the original",
        source=SINGLEFLIGHT + "TestDoDupSuppress",
        runs=("----a|",),
        callers=((0, "k"), (1, "k"), (3, "k")),
        hear=(((4, "a"),),) * 3,
        made=(0,),
        released=(5,),
    ),
    FlightScenario(
        name="singleflight gives the error to all who wait",
        source=SINGLEFLIGHT + "TestDoErr, TestPanicDo",
        runs=("----#",),
        callers=((0, "k"), (1, "k"), (3, "k")),
        hear=(((4, "#"),),) * 3,
        made=(0,),
        released=(4,),
    ),
    FlightScenario(
        name="singleflight calls anew after the end",
        source="Go, golang.org/x/sync/singleflight, Group.Do: one execution in flight for a key at a time",
        runs=("--a|", "--b|"),
        callers=((0, "k"), (5, "k")),
        hear=(((2, "a"),), ((7, "b"),)),
        made=(0, 5),
        released=(3, 8),
    ),
    FlightScenario(
        name="singleflight does not keep an error",
        source="Go, golang.org/x/sync/singleflight, Group.Do: one execution in flight for a key at a time",
        runs=("--#", "--b|"),
        callers=((0, "k"), (5, "k")),
        hear=(((2, "#"),), ((7, "b"),)),
        made=(0, 5),
        released=(2, 8),
    ),
    FlightScenario(
        name="singleflight keeps keys apart",
        source="Go, golang.org/x/sync/singleflight, Group: a namespace of keys",
        runs=("--a|", "--b|"),
        callers=((0, "k"), (1, "other")),
        hear=(((2, "a"),), ((3, "b"),)),
        made=(0, 1),
        released=(3, 4),
    ),
    FlightScenario(
        name="singleflight lets nobody join a forgotten call and keeps the one after it",
        source=SINGLEFLIGHT + "TestForget",
        runs=("----a|", "------b|"),
        callers=((0, "k"), (2, "k"), (6, "k")),
        forgets=((1, "k"),),
        hear=(((4, "a"),), ((8, "b"),), ((8, "b"),)),
        made=(0, 2),
        released=(5, 9),
    ),
)

FLIGHTS_DIFFER = (
    FlightScenario(
        name="singleflight runs to the end though nobody waits",
        source="Go, golang.org/x/sync/singleflight, Group.DoChan: the function runs on its own",
        why="There the call has an owner of its own. Ours belongs to those who wait, and is cancelled with "
        "the last of them; that the first one leaves is nobody else's cancellation.",
        runs=("---------a|",),
        callers=((0, "k"), (1, "k")),
        leaves=((2, 0), (4, 1)),
        hear=((), ()),
        made=(0,),
        released=(4,),
    ),
)


@rows(FLIGHTS, FLIGHTS_DIFFER)
def test_flight(row: FlightScenario) -> None:
    time, group = Time(), Coalescer()
    source = time.marbles(*row.runs)
    recorders: list[Recorder] = []
    subscriptions: list[Any] = []

    def call(key: str) -> None:
        recorder, subscription = time.record(source.pipe(coalesce(group, key)))
        recorders.append(recorder)
        subscriptions.append(subscription)

    def leave(number: int) -> None:
        subscriptions[number].dispose()

    for at, key in row.callers:
        time.after(at, partial(call, key))
    for at, number in row.leaves:
        time.after(at, partial(leave, number))
    for at, key in row.forgets:
        time.after(at, partial(group.forget, key))
    time.advance(60)
    assert tuple(heard(recorder) for recorder in recorders) == row.hear
    assert tuple(source.subscribed) == row.made
    assert tuple(source.released) == row.released
    assert group.statistics().in_flight == 0 and time.idle


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheScenario(Scenario):
    """Reads at these seconds, what each hears, and when the call is made. A call takes 3 s, its answer 2 s.

    So an answer that is asked for at 0 counts from second 3.
    """

    runs: tuple[str, ...] = ("--a|", "--b|", "--c|")
    ttl: float = 600.0
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    reads: tuple[float, ...]
    hear: tuple[Heard, ...]
    made: tuple[float, ...]


FIRST = ((2.0, "a"),)

CACHES = (
    CacheScenario(
        name="RFC 9111 serves a fresh answer without a call",
        source=FRESHNESS + "younger",
        reads=(0, 602.5),
        hear=(FIRST, ((602.5, "a"),)),
        made=(0,),
    ),
    CacheScenario(
        name="RFC 9111 does not call an answer fresh whose age is its lifetime",
        source=FRESHNESS + "exactly as old",
        reads=(0, 603),
        hear=(FIRST, ((605, "b"),)),
        made=(0, 603),
    ),
    CacheScenario(
        name="RFC 5861 serves a stale answer while another is fetched",
        source=REVALIDATE + "read in the 30 seconds after, and again",
        stale_while_revalidate=30.0,
        reads=(0, 610, 620),
        hear=(FIRST, ((610, "a"),), ((620, "b"),)),
        made=(0, 610),
    ),
    CacheScenario(
        name="RFC 5861 serves fresh answers without fetching another",
        source=REVALIDATE + "read within the 600 seconds",
        stale_while_revalidate=30.0,
        reads=(0, 600),
        hear=(FIRST, ((600, "a"),)),
        made=(0,),
    ),
    CacheScenario(
        name="RFC 5861 blocks after the window",
        source=REVALIDATE + "no traffic in the 30 seconds: truly stale",
        stale_while_revalidate=30.0,
        reads=(0, 633),
        hear=(FIRST, ((635, "b"),)),
        made=(0, 633),
    ),
    CacheScenario(
        name="RFC 5861 serves on when validation fails and blocks after the window",
        source=REVALIDATE + "validation is inconclusive",
        runs=("--a|", "--#", "--#", "--d|"),
        stale_while_revalidate=30.0,
        reads=(0, 610, 620, 640),
        hear=(FIRST, ((610, "a"),), ((620, "a"),), ((642, "d"),)),
        made=(0, 610, 620, 640),
    ),
    CacheScenario(
        name="RFC 5861 fetches nothing unless somebody asks",
        source="RFC 5861, section 5: validation is predicated upon an incoming request",
        stale_while_revalidate=30.0,
        reads=(0,),
        hear=(FIRST,),
        made=(0,),
    ),
    CacheScenario(
        name="RFC 5861 serves a stale answer instead of an error",
        source=IF_ERROR + "an error in the window",
        runs=("--a|", "--#"),
        stale_if_error=1200.0,
        reads=(0, 1000),
        hear=(FIRST, ((1002, "a"),)),
        made=(0, 1000),
    ),
    CacheScenario(
        name="RFC 5861 passes an error after the window",
        source=IF_ERROR + "an error after the window",
        runs=("--a|", "--#"),
        stale_if_error=1200.0,
        reads=(0, 1900),
        hear=(FIRST, ((1902, "#"),)),
        made=(0, 1900),
    ),
    CacheScenario(
        name="RFC 5861 prefers a new answer to a stale one",
        source=IF_ERROR + "no error in the window",
        stale_if_error=1200.0,
        reads=(0, 1000, 1100),
        hear=(FIRST, ((1002, "b"),), ((1100, "b"),)),
        made=(0, 1000),
    ),
)


@rows(CACHES)
def test_cache(row: CacheScenario) -> None:
    time = Time()
    source = time.marbles(*row.runs)
    cached = source.pipe(
        cache(
            TtlCache(),
            "key",
            ttl=row.ttl,
            stale_while_revalidate=row.stale_while_revalidate,
            stale_if_error=row.stale_if_error,
            on_refresh_error=lambda _key, _error: None,
        )
    )
    recorders: list[Recorder] = []
    for at in row.reads:
        time.after(at, lambda: recorders.append(time.record(cached)[0]))
    time.advance(3_000)
    assert tuple(heard(recorder) for recorder in recorders) == row.hear
    assert tuple(source.subscribed) == row.made
    assert source.active == 0 and time.idle
