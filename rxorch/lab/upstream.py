"""A transport that answers as was recorded, in the time that it took then."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Final

from rxorch.errors import ApiNetworkError
from rxorch.http import Request, Response
from rxorch.lab.tape import Tape, TapedAttempt

__all__ = ["Upstream"]

_NEAR: Final = 8
"""How many attempts of about that time one is drawn from."""

_HOUR: Final = 3600.0
"""Seconds after which that breaks of which nobody ever saw the end."""


class Upstream:
    """The other side, as a tape has it, on a loop whose clock began at 0 with the tape.

    The attempt that was recorded under this number for this call is what comes. Beyond what was recorded, one
    is drawn from those of the same endpoint that began at about that time: what a service answered then is
    the best guess at what it would have answered. An attempt that was cut off, and now has more time, goes on
    as one of those that took longer; where there are none it never ends.

    Args:
        tape: What was recorded.
        seed: Of the drawing, which is the same for the same call and attempt under every policy.

    Attributes:
        sends: Requests so far.
        sent: The same for each call of the tape.
        guessed: How many attempts of each were drawn, or went on for longer than was recorded.
    """

    def __init__(self, tape: Tape, seed: int) -> None:
        self._tape = tape
        self._seed = seed
        self._known = {name: _Known(attempts) for name, attempts in tape.attempts().items()}
        self._tried: Counter[int] = Counter()
        self.sends = 0
        self.sent: Counter[int] = Counter()
        self.guessed: Counter[int] = Counter()

    async def send(self, request: Request) -> Response:
        """See `Transport`."""
        number = int(request.url.path.removeprefix("/"))
        call = self._tape.calls[number]
        known = self._known[call.endpoint]
        place = self._tried[number]
        self._tried[number] += 1
        chance = Random(f"{self._seed}:{number}:{place}")
        if place < len(call.attempts):
            attempt = call.attempts[place]
        else:
            attempt = known.near(asyncio.get_running_loop().time(), chance)
            self.guessed[number] += 1
        request.sent = attempt.sent
        self.sends += attempt.sent
        self.sent[number] += attempt.sent
        await asyncio.sleep(attempt.duration)
        if attempt.is_open_ended:
            longer = known.longer(attempt.duration, chance)
            if place < len(call.attempts):
                self.guessed[number] += 1
            await asyncio.sleep(longer.duration - attempt.duration)
            attempt = longer
        return _answer(attempt)

    async def aclose(self) -> None:
        """See `Transport`."""


class _Known:
    """The attempts at an endpoint."""

    def __init__(self, attempts: Iterable[TapedAttempt]) -> None:
        self._by_time = sorted(attempts, key=lambda each: each.at)
        self._times = [each.at for each in self._by_time]
        ended = [each for each in self._by_time if not each.is_open_ended]
        self._by_duration = sorted(ended, key=lambda each: each.duration)
        self._durations = [each.duration for each in self._by_duration]

    def near(self, at: float, chance: Random) -> TapedAttempt:
        """One that began at about that time; where there never was one, a connection that is refused."""
        if not self._by_time:
            return TapedAttempt(at, 0.0, "network", sent=False)
        first = min(max(0, bisect_left(self._times, at) - _NEAR // 2), max(0, len(self._times) - _NEAR))
        return chance.choice(self._by_time[first : first + _NEAR])

    def longer(self, duration: float, chance: Random) -> TapedAttempt:
        """One that took longer."""
        first = bisect_left(self._durations, duration)
        if first == len(self._durations):
            return TapedAttempt(0.0, _HOUR, "network")
        return chance.choice(self._by_duration[first:])


def _answer(attempt: TapedAttempt) -> Response:
    if attempt.kind == "ok":
        return Response(204)
    if attempt.kind == "unreadable":
        return Response(200, b"{", {"Content-Type": "application/json"})
    if attempt.kind == "status" and attempt.status is not None:
        after = attempt.retry_after
        return Response(attempt.status, headers={} if after is None else {"Retry-After": f"{after:g}"})
    raise ApiNetworkError("as it was recorded", sent=attempt.sent)
