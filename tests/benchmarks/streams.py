"""What a stream of calls costs per input: ours, a worker pool by hand, a window of tasks, aiostream, RxPY.

    python -m tests.benchmarks.streams [INPUTS]

All sides have the same cap and hand each result to a consumer. A call is one turn of the loop, but for
`orchestrator.stream` and the side beside it, where it is a request through a transport that answers in one
turn: with url, JSON, retry, breaker, time limits and metrics, and for the stream a full record.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final, TypeAlias

import aiostream
import reactivex as rx
from reactivex import operators as ops

from rxorch import ApiClient, APIEndpoint, APIOrchestrator
from rxorch import operators as rxo
from tests.acceptance.stream_memory import EchoTransport

INPUTS: Final = 3_000
ROUNDS: Final = 12
CAP: Final = 50

Side: TypeAlias = Callable[[int], Awaitable[int]]
ITEM: Final = APIEndpoint(name="item", url="http://api.example.com/items/{n}")


async def call(number: int) -> int:
    await asyncio.sleep(0)
    return number


def inputs(count: int) -> Iterator[dict[str, int]]:
    return ({"n": n} for n in range(count))


async def pool(count: int) -> int:
    """Workers between two bounded queues."""
    given: asyncio.Queue[int | None] = asyncio.Queue(CAP)
    results: asyncio.Queue[int | None] = asyncio.Queue(CAP)

    async def worker() -> None:
        while (number := await given.get()) is not None:
            await results.put(await call(number))
        await results.put(None)

    async def feed() -> None:
        for number in range(count):
            await given.put(number)
        for _ in range(CAP):
            await given.put(None)

    tasks = [asyncio.create_task(work) for work in (feed(), *(worker() for _ in range(CAP)))]
    ended = seen = 0
    while ended < CAP:
        if await results.get() is None:
            ended += 1
        else:
            seen += 1
    await asyncio.gather(*tasks)
    return seen


async def window(count: int) -> int:
    """One task for each input, so many at once."""
    left, running, seen = iter(range(count)), set[asyncio.Task[int]](), 0
    while True:
        while len(running) < CAP and (number := next(left, None)) is not None:
            running.add(asyncio.create_task(call(number)))
        if not running:
            return seen
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        seen += len(done)


async def by_aiostream(count: int, function: Callable[..., Awaitable[Any]] = call, source: Any = None) -> int:
    numbers = aiostream.stream.iterate(range(count) if source is None else source)
    mapped = aiostream.stream.map(numbers, function, ordered=False, task_limit=CAP)
    seen = 0
    async with mapped.stream() as results:
        async for _ in results:
            seen += 1
    return seen


async def by_rxpy(count: int) -> int:
    """Stock `merge(max_concurrent=)`, which reads its whole source at once."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[int] = loop.create_future()
    calls = rx.from_iterable(range(count)).pipe(
        ops.map(lambda n: rx.defer(lambda _: rx.from_future(loop.create_task(call(n))))),
        ops.merge(max_concurrent=CAP),
        ops.count(),
    )
    calls.subscribe(done.set_result, done.set_exception)
    return await done


async def flat_map_bounded(count: int) -> int:
    results = rxo.from_iterable(range(count)).pipe(rxo.flat_map_bounded(call, max_concurrent=CAP))
    return await _seen(rxo.to_async_iterable(results, buffer=CAP))


async def stream(count: int) -> int:
    async with APIOrchestrator(ITEM, transport=EchoTransport()) as orchestrator:
        return await _seen(orchestrator.stream(inputs(count), max_concurrent=CAP))


async def aiostream_of_requests(count: int) -> int:
    """The same requests as in `stream`, without records."""
    async with ApiClient(EchoTransport()) as client:

        async def request(data: dict[str, int], *_: object) -> Any:
            return await client.call(ITEM, data)

        return await by_aiostream(count, request, inputs(count))


async def _seen(results: AsyncIterator[Any]) -> int:
    seen = 0
    async for _ in results:
        seen += 1
    return seen


SIDES: Final[dict[str, Side]] = {
    "pool": pool,
    "window": window,
    "flat_map_bounded": flat_map_bounded,
    "aiostream": by_aiostream,
    "RxPY": by_rxpy,
    "orchestrator.stream": stream,
    "aiostream of requests": aiostream_of_requests,
}


async def measured(count: int = INPUTS, rounds: int = ROUNDS) -> dict[str, float]:
    """Microseconds of CPU for an input, the least of several rounds in alternation."""
    figures: dict[str, float] = {}
    for _ in range(rounds):
        for name, side in SIDES.items():
            gc.collect()
            began = time.process_time()
            assert await side(count) == count
            spent = (time.process_time() - began) / count * 1e6
            figures[name] = min(spent, figures.get(name, spent))
    return figures


def main(count: int = INPUTS, rounds: int = ROUNDS) -> dict[str, float]:
    """The figures, by name of the side."""
    return asyncio.run(measured(count, rounds))


if __name__ == "__main__":
    json.dump(main(int(sys.argv[1]), 1), sys.stdout)
