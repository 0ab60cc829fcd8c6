"""`retry_backoff(resume=, reset_on_success=)`: after an element, attempts, waits and time begin anew."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import reactivex as rx
from reactivex import Observable

from rxorch_operators import last_of, retry_backoff
from rxorch_operators.testing import virtual_time


def breaking(times: int) -> tuple[Observable[Any], Any]:
    """A source that emits a number and breaks, so many times; and how it goes on."""
    left = times

    def part(number: int) -> Observable[Any]:
        nonlocal left
        left -= 1
        broken: Observable[Any] = rx.throw(OSError("broken"))
        return rx.concat(rx.just(number), broken if left >= 0 else rx.empty())

    return rx.defer(lambda _: part(0)), lambda emitted, _: part(emitted)


@virtual_time
async def test_each_element_gives_new_attempts_and_new_time() -> None:
    source, resume = breaking(20)
    settings: dict[str, Any] = {"max_attempts": 2, "base": 10.0, "jitter": "none", "max_elapsed": 15.0}
    again = source.pipe(retry_backoff(resume=resume, reset_on_success=True, **settings))
    assert await last_of(again) == 20
    assert asyncio.get_running_loop().time() == 200.0  # the first wait each time, never the second


@virtual_time
async def test_without_it_all_attempts_count() -> None:
    source, resume = breaking(20)
    with pytest.raises(OSError, match="broken"):
        await last_of(source.pipe(retry_backoff(resume=resume, max_attempts=3, jitter="none")))
