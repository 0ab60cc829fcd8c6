"""Events made by hand, for pictures."""

from __future__ import annotations

import random
from typing import Any

import rxorch.events as ev
from rxorch.errors import ApiHttpError, ApiTimeoutError

__all__ = ["Story", "many", "trip"]

RUN = "run-1"
BUSY, SLOW_DOWN, GONE = ApiHttpError(503), ApiHttpError(429), ApiHttpError(404)
LATE = ApiTimeoutError(limit=0.35)


class Story:
    """Tells events in milliseconds, in any order; ``events`` has them in that of their times."""

    def __init__(self, run: str | None = RUN) -> None:
        self.run = run
        self._told: list[tuple[float, int, ev.Event]] = []

    def tell(self, ms: float, kind: type[ev.Event], name: str, call: int = 0, **facts: Any) -> None:
        event = kind(at=50 + ms / 1000, run=self.run, endpoint=name, call=call, **facts)
        self._told.append((ms, len(self._told), event))

    def step(self, ms: float, name: str, call: int, *after: str, waited: float = 0.0) -> None:
        self.tell(ms, ev.StepStarted, name, after=after, waited=waited / 1000)
        self.tell(ms, ev.CallStarted, name, call)

    def attempt(self, ms: float, name: str, call: int, number: int = 1) -> None:
        self.tell(ms, ev.AttemptStarted, name, call, attempt=number)

    def fails(self, ms: float, name: str, call: int, error: BaseException, number: int = 1) -> None:
        self.tell(ms, ev.AttemptFailed, name, call, attempt=number, error=error, duration=0.1)

    def waits(self, ms: float, name: str, call: int, error: BaseException, *, asked: bool = False) -> None:
        self.tell(ms, ev.RetryWaiting, name, call, attempt=1, wait=0.1, error=error, asked=asked)

    def ends(self, ms: float, name: str, call: int, status: str = "ok", **facts: Any) -> None:
        given = {"status_code": 200 if status == "ok" else None, "duration": 0.01, **facts}
        self.tell(ms, ev.CallFinished, name, call, status=status, **given)

    @property
    def events(self) -> list[ev.Event]:
        return [event for _, _, event in sorted(self._told, key=lambda told: told[:2])]


def trip() -> list[ev.Event]:
    """A run in which everything happens that a picture shows."""
    story = Story()
    story.tell(0, ev.RunStarted, "", mode="hybrid")
    story.step(12, "geo", 1)
    story.attempt(13, "geo", 1)
    story.ends(136, "geo", 1)
    _repeated(story)
    story.step(150, "hotels", 5, "geo")
    story.attempt(150, "hotels", 5)
    story.tell(300, ev.CallStarted, "hotels", 6, hedge=1, late=0.15)
    story.attempt(300, "hotels", 6)
    story.ends(410, "hotels", 5, "cancelled")
    story.ends(410, "hotels", 6)
    story.step(155, "legal", 7, "geo")
    story.tell(156, ev.RateLimitWaiting, "legal", 7, wait=0.445)
    story.attempt(601, "legal", 7)
    story.fails(668, "legal", 7, GONE)
    story.ends(669, "legal", 7, error=GONE, status_code=404, degraded=True)
    story.step(148, "rates", 8, "geo")
    story.tell(149, ev.CacheHit, "rates", 8)
    story.ends(149, "rates", 8, cached=True)
    story.tell(150, ev.StepSkipped, "lounge", reason="its condition does not hold")
    story.step(410, "insure", 9, "geo", waited=260)
    story.attempt(411, "insure", 9)
    story.ends(520, "insure", 9)
    story.tell(724, ev.RunFinished, "", status="ok", duration=0.724)
    return story.events


def _repeated(story: Story) -> None:
    story.step(146, "fx", 2, "geo")
    for number, (start, end) in enumerate([(146, 282), (361, 464)], start=1):
        story.attempt(start, "fx", 2, number)
        story.fails(end, "fx", 2, BUSY, number)
        story.waits(end, "fx", 2, BUSY)
    story.attempt(624, "fx", 2, 3)
    story.ends(718, "fx", 2)
    story.step(146, "weather", 3, "geo")
    story.attempt(146, "weather", 3)
    story.fails(497, "weather", 3, LATE)
    story.waits(497, "weather", 3, LATE)
    story.attempt(578, "weather", 3, 2)
    story.ends(722, "weather", 3)
    story.step(150, "flights", 4, "geo")
    story.attempt(150, "flights", 4)
    story.fails(227, "flights", 4, SLOW_DOWN)
    story.waits(227, "flights", 4, SLOW_DOWN, asked=True)
    story.attempt(375, "flights", 4, 2)
    story.ends(606, "flights", 4)


def many(
    number: int, names: tuple[str, ...] = ("users", "orders", "prices"), *, seed: int = 1
) -> list[ev.Event]:
    """So many calls, 25 at a time, of which some fail once, and a few for good."""
    chance, story, places = random.Random(seed), Story(None), [0.0] * 25
    for call in range(1, number + 1):
        place = min(range(25), key=places.__getitem__)
        at, name = places[place] + chance.random() * 3, chance.choice(names)
        story.tell(at, ev.CallStarted, name, call)
        for attempt in (1, 2):
            story.attempt(at, name, call, attempt)
            at += chance.lognormvariate(4, 0.5)
            if chance.random() > 0.12:
                story.ends(at, name, call, attempts=attempt)
                break
            story.fails(at, name, call, BUSY, attempt)
            if attempt == 2:
                story.ends(at, name, call, "failed", error=BUSY, attempts=2)
                break
            story.waits(at, name, call, BUSY)
            at += 100 * chance.random()
        places[place] = at
    return story.events
