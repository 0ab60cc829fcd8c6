"""Real runs of every operator in virtual time, recorded for the pictures of its page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import chain, repeat
from random import Random
from typing import Any

import reactivex as rx
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase
from reactivex.disposable import CompositeDisposable
from reactivex.subject import Subject

from rxorch import operators as rxo
from rxorch_operators.testing import Event, read_marbles

__all__ = ["SCENES"]

Scene = Callable[[rxo.Recording], Awaitable[None]]

SCENES: dict[str, Scene] = {}
"""What fills a recording, by the name of the operator."""


def scene(function: Scene) -> Scene:
    """Takes a function among the scenes: called as the operator that it shows, and saying what one sees."""
    SCENES[function.__name__] = function
    return function


def plays(*runs: str, error: Exception | None = None) -> rx.Observable[Any]:
    """A cold stream that does what marbles say, a second for each sign; the last run is played for ever."""
    left = chain(runs, repeat(runs[-1]))

    def subscribe(observer: ObserverBase[Any], scheduler: SchedulerBase | None = None) -> DisposableBase:
        assert scheduler is not None
        timers = CompositeDisposable()
        send = {
            "next": observer.on_next,
            "error": observer.on_error,
            "completed": lambda _: observer.on_completed(),
        }

        def at_its_time(event: Event) -> None:
            timers.add(scheduler.schedule_relative(event.at, lambda *_: send[event.kind](event.value)))

        for event in read_marbles(next(left), error=error or OSError("reset")):
            at_its_time(event)
        return timers

    return rx.create(subscribe)


async def end_of(stream: rx.Observable[Any], *, after: float = 0.0, until: float | None = None) -> None:
    """Subscribes after some seconds and waits for the end, whichever it is, or leaves before."""
    await asyncio.sleep(after)
    ended = asyncio.Event()
    subscription = stream.subscribe(on_error=lambda _: ended.set(), on_completed=ended.set)
    if until is None:
        await ended.wait()
    else:
        await asyncio.sleep(until - after)
        subscription.dispose()


async def calls(stream: rx.Observable[Any], *times: float) -> None:
    """Subscribes at each of these times."""
    await asyncio.gather(*(end_of(stream, after=time) for time in times))


async def taking(seconds: float, value: Any) -> Any:
    """A call."""
    await asyncio.sleep(seconds)
    return value


# Failure


@scene
async def retry_backoff(recording: rxo.Recording) -> None:
    """Two attempts fail and the third answers; it waits 2 s, then 4 s."""
    source = plays("--#", "---#", "--a|")
    await end_of(
        source.pipe(
            rxo.record(recording, "attempts"),
            rxo.retry_backoff(base=2.0, jitter="none"),
            rxo.record(recording, "result", by='retry_backoff(base=2.0, jitter="none")'),
        )
    )


@scene
async def circuit_breaker(recording: rxo.Recording) -> None:
    """Two failures open the circuit: calls are refused at once, until a trial 10 s later succeeds."""
    breaker = rxo.CircuitBreaker(policy=rxo.CircuitPolicy(threshold=2, timeout=10.0, half_open_permits=1))
    call = plays("-#", "-#", "-a|", "-b|").pipe(
        rxo.record(recording, "source"),
        rxo.circuit_breaker(breaker),
        rxo.record(recording, "calls", by="circuit_breaker(threshold=2, timeout=10.0)"),
    )
    await calls(call, 0, 3, 6, 8, 10, 14, 17)


@scene
async def fallback(recording: rxo.Recording) -> None:
    """The error is replaced by what archive() gives."""

    def archive(error: Exception) -> rx.Observable[str]:
        return plays("---b|")

    await end_of(
        plays("--a---#").pipe(
            rxo.record(recording, "source"),
            rxo.fallback(recording.inner(archive)),
            rxo.record(recording, "result", by="fallback(archive)"),
        )
    )


@scene
async def chaos(recording: rxo.Recording) -> None:
    """As it is, late, refused before it was asked, and with its answer lost."""
    plan = rxo.ChaosPolicy(latency_rate=0.3, latency=(1.0, 2.0), error_rate=0.2, reset_rate=0.2)
    call = plays("-a|").pipe(
        rxo.record(recording, "source"),
        rxo.chaos(plan, enabled=True, random=Random(237)),
        rxo.record(recording, "calls", by="chaos(latency_rate=0.3, error_rate=0.2, reset_rate=0.2)"),
    )
    await calls(call, 0, 5, 10, 15)


# Time


@scene
async def timeout(recording: rxo.Recording) -> None:
    """Nothing comes for 5 s: the source is disposed, and the result is an error."""
    await end_of(
        plays("-a--b----------c|").pipe(
            rxo.record(recording, "source"),
            rxo.timeout(each=5.0),
            rxo.record(recording, "result", by="timeout(each=5.0)"),
        )
    )


@scene
async def hedge(recording: rxo.Recording) -> None:
    """No answer after 4 s: a second subscription is made and wins, the first one is disposed."""
    await end_of(
        plays("------------a|", "--b|").pipe(
            rxo.record(recording, "source"),
            rxo.hedge(delay=4.0),
            rxo.record(recording, "result", by="hedge(delay=4.0)"),
        )
    )


# How often, how many


@scene
async def rate_limit(recording: rxo.Recording) -> None:
    """Three ask within 2 s, and each is subscribed when its turn comes."""
    limiter = rxo.RateLimiter(1, window=4.0, burst=1)
    call = plays("-a|", "-b|", "-c|").pipe(
        rxo.record(recording, "source"),
        rxo.rate_limit(limiter),
        rxo.record(recording, "call", by="rate_limit(RateLimiter(1, window=4.0, burst=1))"),
    )
    await calls(call, 0, 1, 2)


@scene
async def throttle(recording: rxo.Recording) -> None:
    """What comes at once leaves one by one, and nothing is lost."""
    await end_of(
        plays("(abc)-----d|").pipe(
            rxo.record(recording, "source"),
            rxo.throttle(1, window=2.0),
            rxo.record(recording, "result", by="throttle(1, window=2.0)"),
        )
    )


@scene
async def bulkhead(recording: rxo.Recording) -> None:
    """Two at once: the third and fourth call are subscribed when one has ended."""
    call = plays("---a|", "----b|", "---c|", "--d|").pipe(
        rxo.record(recording, "source"),
        rxo.bulkhead(rxo.Bulkhead(limit=2)),
        rxo.record(recording, "call", by="bulkhead(limit=2)"),
    )
    await calls(call, 0, 0.5, 1, 1.5)


@scene
async def adaptive_concurrency(recording: rxo.Recording) -> None:
    """Two at once, until one was too much: from then on one at a time."""
    shared = rxo.AdaptiveBulkhead(rxo.AimdPolicy(initial_limit=2, min_limit=1))
    call = plays("---#", "-------a|", "--b|", "--c|", error=TimeoutError("too much to do")).pipe(
        rxo.record(recording, "source"),
        rxo.adaptive_concurrency(shared),
        rxo.record(recording, "call", by="adaptive_concurrency(AimdPolicy(initial_limit=2))"),
    )
    await calls(call, 0, 0.5, 1, 1.5)


# Sharing


@scene
async def coalesce(recording: rxo.Recording) -> None:
    """Four callers share one subscription: who comes later gets what was missed, and one leaves early."""
    shared = plays("--a-----b|").pipe(
        rxo.record(recording, "source"),
        rxo.coalesce(rxo.Coalescer(), "key"),
        rxo.record(recording, "caller", by="coalesce(key)"),
    )
    await asyncio.gather(
        end_of(shared),
        end_of(shared, after=1.0),
        end_of(shared, after=4.0),
        end_of(shared, after=5.0, until=7.0),
    )


@scene
async def cache(recording: rxo.Recording) -> None:
    """The first answer serves all calls of the next 8 s; then the source is asked again."""
    store: rxo.TtlCache[str, str] = rxo.TtlCache()
    call = plays("--a|", "--b|").pipe(
        rxo.record(recording, "source"),
        rxo.cache(store, "key", ttl=8.0),
        rxo.record(recording, "calls", by="cache(ttl=8.0)"),
    )
    await calls(call, 0, 4, 6, 8, 12, 16)


# Streams


@scene
async def flat_map_bounded(recording: rxo.Recording) -> None:
    """Two calls at once; the source is read further when a slot is free."""

    async def call(value: str) -> str:
        return await taking({"a": 4.0, "b": 1.0}.get(value, 3.0), value.upper())

    await end_of(
        rxo.from_iterable("abcd").pipe(
            rxo.record(recording, "source"),
            rxo.flat_map_bounded(recording.inner(call), max_concurrent=2),
            rxo.record(recording, "result", by="flat_map_bounded(call, max_concurrent=2)"),
        )
    )


@scene
async def batch(recording: rxo.Recording) -> None:
    """A batch is full at three, or leaves 5 s after its first element."""
    await end_of(
        plays("ab-c--d---------e-|").pipe(
            rxo.record(recording, "source"),
            rxo.batch(3, within=5.0),
            rxo.record(recording, "result", by="batch(3, within=5.0)"),
        )
    )


@scene
async def with_overflow(recording: rxo.Recording) -> None:
    """Of what comes while there is no room the newest is kept: b, c and d are dropped."""

    async def store(value: str) -> str:
        return await taking(4.0, value)

    await end_of(
        plays("abcde------f-|").pipe(
            rxo.record(recording, "source"),
            rxo.with_overflow("drop_oldest", buffer=1, on_drop=lambda *_: None),
            rxo.record(recording, "kept", by='with_overflow("drop_oldest", buffer=1)'),
            rxo.flat_map_bounded(recording.inner(store), max_concurrent=1),
            rxo.record(recording, "stored", by="flat_map_bounded(store, max_concurrent=1)"),
        )
    )


@scene
async def tap_events(recording: rxo.Recording) -> None:
    """The observer is told all that passes, and nothing is changed."""
    told: Subject[str] = Subject()
    words = {"subscribed": "begin", "completed": "end"}
    source = plays("--a---b|").pipe(rxo.record(recording, "source"))
    by = "tap_events(observer)"
    listening = told.pipe(rxo.record(recording, "observer", by=by)).subscribe()
    tap = rxo.tap_events(lambda event: told.on_next(event.value or words[event.kind]))
    await end_of(source.pipe(tap, rxo.record(recording, "result")))
    listening.dispose()


@scene
async def record(recording: rxo.Recording) -> None:
    """What was recorded at three places of a stream."""

    async def look_up(word: str) -> int:
        return await taking(len(word), len(word))

    await end_of(
        rxo.from_iterable(["tea", "milk", "salt"]).pipe(
            rxo.record(recording, "words"),
            rxo.flat_map_bounded(recording.inner(look_up), max_concurrent=2),
            rxo.record(recording, "found", by="flat_map_bounded(look_up, max_concurrent=2)"),
        )
    )


# Sources and ends


@scene
async def from_iterable(recording: rxo.Recording) -> None:
    """The iterable is read further when there is room for one more."""

    async def work(value: int) -> int:
        return await taking(3.0, value)

    await end_of(
        rxo.from_iterable(range(1, 5)).pipe(
            rxo.record(recording, "iterable"),
            rxo.flat_map_bounded(recording.inner(work), max_concurrent=1),
            rxo.record(recording, "done", by="flat_map_bounded(work, max_concurrent=1)"),
        )
    )


@scene
async def from_async_iterable(recording: rxo.Recording) -> None:
    """The next element is asked for when there is room for it."""

    async def orders() -> AsyncIterator[str]:
        for seconds, order in ((1.0, "tea"), (0.5, "milk"), (5.0, "salt")):
            yield await taking(seconds, order)

    async def ship(order: str) -> str:
        return await taking(3.0, order)

    await end_of(
        rxo.from_async_iterable(orders()).pipe(
            rxo.record(recording, "orders"),
            rxo.flat_map_bounded(recording.inner(ship), max_concurrent=1),
            rxo.record(recording, "shipped", by="flat_map_bounded(ship, max_concurrent=1)"),
        )
    )


@scene
async def from_async(recording: rxo.Recording) -> None:
    """Each subscription is a call: one answers, one fails, one is disposed and cancelled."""
    answers = iter(["tea", LookupError("no salt today"), "milk"])

    async def order() -> str:
        answer = await taking(3.0, next(answers))
        if isinstance(answer, Exception):
            raise answer
        return answer

    call = rxo.from_async(order).pipe(rxo.record(recording, "from_async(order)"))
    await calls(call, 0, 5)
    await end_of(call, after=2.0, until=4.0)


@scene
async def to_async_iterable(recording: rxo.Recording) -> None:
    """The source may send the next when the loop body has done; break disposes it."""
    stream = rxo.from_iterable("abcd").pipe(rxo.record(recording, "source"))
    async with rxo.to_async_iterable(stream) as letters:
        async for letter in letters:
            body = rxo.from_async(taking, 2.0, letter).pipe(
                rxo.record(recording, "loop body", by="async for letter in to_async_iterable(source)")
            )
            await rxo.last_of(body)
            if letter == "c":
                break


# Around them


@scene
async def guard(recording: rxo.Recording) -> None:
    """Each await of the function is one subscription of the operators."""
    answers = iter([OSError("reset"), "hello", "hi"])

    @rxo.guard(
        rxo.record(recording, "attempts"),
        rxo.retry_backoff(base=2.0, jitter="none"),
        rxo.record(recording, "awaited", by="guard(retry_backoff(base=2.0))"),
    )
    async def greet() -> str:
        answer = await taking(2.0, next(answers))
        if isinstance(answer, Exception):
            raise answer
        return answer

    await greet()
    await asyncio.sleep(2.0)
    await greet()


@scene
async def policy(recording: rxo.Recording) -> None:
    """One attempt times out, one fails, the third answers; for 10 s calls are served from the cache."""
    careful = rxo.policy(
        retry=rxo.RetryPolicy(base=1.0, jitter="none"), timeout=3.0, cache=rxo.TtlCache(), ttl=10.0
    )
    call = plays("------a|", "-#", "-b|", "-c|").pipe(
        rxo.record(recording, "attempts"),
        careful,
        rxo.record(recording, "calls", by="policy(retry=..., timeout=3.0, ttl=10.0)"),
    )
    await calls(call, 0, 11, 14, 24)
