"""Playing a tape again: every call through the policy stack, in virtual time."""

from __future__ import annotations

import asyncio

from rxorch.endpoint import APIEndpoint, Caller
from rxorch.errors import ApiError
from rxorch.lab.figures import Played, recorded_calls
from rxorch.lab.policy import Given
from rxorch.lab.tape import Tape
from rxorch.lab.upstream import Upstream
from rxorch_operators.testing.virtual_loop import run_virtual

__all__ = ["replay"]


def replay(tape: Tape, given: Given, seed: int) -> list[Played]:
    """What each call of a tape comes to under these policies, in the order of the tape.

    A call begins when it began then. Those that no policy changes are as they were.
    """
    return run_virtual(_replayed(tape, given, seed))


async def _replayed(tape: Tape, given: Given, seed: int) -> list[Played]:
    upstream = Upstream(tape, seed)
    loop = asyncio.get_running_loop()
    tasks: dict[int, asyncio.Task[tuple[bool, float]]] = {}
    async with Caller(upstream, defaults=given.defaults(seed)) as caller:
        for number, call in enumerate(tape.calls):
            if call.fixed:
                continue
            wait = call.at - loop.time()
            if wait > 0.0:
                await asyncio.sleep(wait)
            tasks[number] = asyncio.create_task(_ended(caller, given.endpoints[call.endpoint], number))
        if tasks:
            await asyncio.wait(tasks.values())
    played = recorded_calls(tape)
    for number, task in tasks.items():
        is_ok, duration = task.result()
        sent, guessed = upstream.sent[number], upstream.guessed[number]
        played[number] = Played(tape.calls[number].endpoint, duration, is_ok, sent, guessed)
    return played


async def _ended(caller: Caller, endpoint: APIEndpoint, number: int) -> tuple[bool, float]:
    """Whether a call gives a value, and its seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        await caller.call(endpoint, {"call": number})
    except ApiError:
        return False, loop.time() - began
    return True, loop.time() - began
