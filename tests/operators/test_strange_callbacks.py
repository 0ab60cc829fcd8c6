"""Functions of the user that cancel or dispose at the worst moment: the stream ends, and nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex.disposable import SerialDisposable
from reactivex.subject import Subject

from rxorch_operators import (
    TtlCache,
    batch,
    cache,
    flat_map_bounded,
    from_iterable,
    retry_backoff,
    throttle,
)
from rxorch_operators.testing import Recorder, virtual_time
from tests.operators.support import Time

Make = Callable[[Callable[..., Any]], Callable[[Observable[Any]], Observable[Any]]]

CALLBACKS: dict[str, Make] = {
    "flat_map project": lambda f: flat_map_bounded(f, max_concurrent=2),
    "flat_map project, ordered": lambda f: flat_map_bounded(f, max_concurrent=2, ordered=True),
    "flat_map project, keyed": lambda f: flat_map_bounded(f, max_concurrent=2, key=lambda n: n),
    "flat_map project, as_result": lambda f: flat_map_bounded(f, max_concurrent=2, on_error="as_result"),
    "flat_map project, delay": lambda f: flat_map_bounded(f, max_concurrent=2, on_error="delay"),
    "flat_map key": lambda f: flat_map_bounded(reactivex.just, max_concurrent=2, key=f),
    "flat_map key, as_result": lambda f: flat_map_bounded(
        reactivex.just, max_concurrent=2, key=f, on_error="as_result"
    ),
    "batch weigh": lambda f: batch(10, weigh=f),
    "throttle cost": lambda f: throttle(1, cost=f),
    "cache size": lambda f: cache(TtlCache(), "key", ttl=9.0, size=f),
}


@pytest.mark.parametrize("make", CALLBACKS.values(), ids=CALLBACKS.keys())
@virtual_time
async def test_a_callback_that_is_cancelled_ends_the_stream(make: Make) -> None:
    """`future.result()` of a cancelled future raises it, and nobody else would hear of that."""

    def cancelled(*_: Any) -> Any:
        raise asyncio.CancelledError

    recorder = Recorder()
    from_iterable([1, 2, 3]).pipe(make(cancelled)).subscribe(recorder)
    await asyncio.sleep(100.0)
    assert isinstance(recorder.error, asyncio.CancelledError)


@pytest.mark.parametrize("name", ["batch weigh", "throttle cost", "cache size", "flat_map key"])
def test_a_callback_that_disposes_is_obeyed(name: str) -> None:
    time, subscription = Time(), SerialDisposable()

    def dispose(*_: Any) -> int:
        subscription.dispose()
        return 1

    recorder = Recorder(lambda: time.now)
    piped = time.marbles("-ab-c|").pipe(CALLBACKS[name](dispose))
    subscription.disposable = piped.subscribe(recorder, scheduler=time.scheduler)
    time.advance(100.0)
    assert not recorder.ended
    assert recorder.values == (["a", "b", "c"] if name == "cache size" else [])
    assert time.idle


@pytest.mark.parametrize("which", ["retry_result", "retry_if", "on_give_up"])
def test_a_verdict_of_a_retry_that_disposes_is_obeyed(which: str) -> None:
    time, subscription = Time(), SerialDisposable()

    def dispose(*_: Any) -> bool:
        subscription.dispose()
        return False

    settings: dict[str, Any] = {"retry_result": lambda _: False, which: dispose}
    source = time.marbles("-a|" if which == "retry_result" else "-a#")
    recorder = Recorder(lambda: time.now)
    subscription.disposable = source.pipe(retry_backoff(max_attempts=1, **settings)).subscribe(
        recorder, scheduler=time.scheduler
    )
    time.advance(100.0)
    assert recorder.events == []


@pytest.mark.parametrize("operator", [throttle(1, 60.0), batch(100), batch(100, within=60.0)])
@virtual_time
async def test_a_cancellation_overtakes_what_is_queued(operator: Any) -> None:
    source: Subject[int] = Subject()
    recorder = Recorder()
    source.pipe(operator).subscribe(recorder)
    for number in range(5):
        source.on_next(number)
    source.on_error(asyncio.CancelledError())  # type: ignore[arg-type]
    assert isinstance(recorder.error, asyncio.CancelledError)
    assert len(recorder.values) <= 1


def test_a_throttle_without_an_event_loop_ends_with_an_error() -> None:
    errors: list[Exception] = []
    source: Subject[int] = Subject()
    source.pipe(throttle(1, 60.0)).subscribe(lambda _: None, errors.append)
    source.on_next(1)
    source.on_next(2)
    assert ["event loop" in str(error) for error in errors] == [True]
