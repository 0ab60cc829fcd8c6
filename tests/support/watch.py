"""Writing down the events of a client or an orchestrator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from rxorch.events import CallFinished, Event, EventBus

__all__ = ["Watch", "kinds"]

E = TypeVar("E", bound=Event)


def kinds(events: Iterable[Event], *, endpoint: str | None = None) -> list[str]:
    """The classes of events by name, of one endpoint if told so."""
    return [type(event).__name__ for event in events if endpoint is None or event.endpoint == endpoint]


class Watch:
    """Listens from its making on.

    >>> bus = EventBus()
    >>> watch = Watch(bus)
    >>> bus.emit(CallFinished(1.0, None, "user", "ok", 0.5))
    >>> watch.kinds, watch.last(CallFinished).status
    (['CallFinished'], 'ok')
    """

    def __init__(self, bus: EventBus) -> None:
        self.events: list[Event] = []
        bus.subscribe(self.events.append)

    @property
    def kinds(self) -> list[str]:
        """What happened, by class."""
        return kinds(self.events)

    def of(self, kind: type[E], **facts: Any) -> list[E]:
        """The events of a class that have these facts."""
        return [
            event
            for event in self.events
            if type(event) is kind and all(getattr(event, name) == value for name, value in facts.items())
        ]

    def last(self, kind: type[E], **facts: Any) -> E:
        """The latest of them."""
        return self.of(kind, **facts)[-1]

    @property
    def statuses(self) -> list[str]:
        """How the calls ended, in order."""
        return [event.status for event in self.of(CallFinished)]
