"""What a consumer saw: every notification with its time, and whatever broke the contract."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from reactivex.abc import ObserverBase

from .marbles import Event, Kind, write_marbles

__all__ = ["Recorder"]

_DEEPEST: Final = 4
"""Notifications that may stand inside of each other, each brought about by the one before asking for more."""


class Recorder(ObserverBase[Any]):
    """An observer that notes every event, and what no Observable may do.

    It belongs to the thread that made it: a notification from another one is an offence.

    Args:
        now: Reads the time; 0 for ever by default.
        on_event: Told each event after it was noted. May dispose, ask for more, or raise.

    Attributes:
        offences: What broke the contract, in words.

    >>> import reactivex
    >>> recorder = Recorder()
    >>> reactivex.of(1, 2).subscribe(recorder) and None
    >>> recorder.values, recorder.completed, recorder.offences
    ([1, 2], True, [])
    """

    def __init__(
        self, now: Callable[[], float] | None = None, on_event: Callable[[Event], object] | None = None
    ) -> None:
        self._now = now or (lambda: 0.0)
        self._on_event = on_event
        self._thread = threading.get_ident()
        self._inside: str | None = None
        self._depth = 0
        self._cut = False
        self._events: list[Event] = []
        self._end: Event | None = None
        self.offences: list[str] = []

    def ask(self, more: Callable[[], object]) -> None:
        """Asks for more from inside of a notification, as its last act: what comes then is no offence.

        That is rule 3.3 of Reactive Streams: asking may bring the next element at once, but notifications
        must not nest deeper with each one.

        Args:
            more: Asks.
        """
        outer, self._inside = self._inside, None
        try:
            more()
        finally:
            self._inside = outer

    def cut(self) -> None:
        """Says that the subscription is being disposed: nothing may come any more."""
        self._cut = True

    def on_next(self, value: Any) -> None:
        self._note("next", value)

    def on_error(self, error: Exception) -> None:
        self._note("error", error)

    def on_completed(self) -> None:
        self._note("completed", None)

    def _note(self, kind: Kind, value: Any) -> None:
        event = Event(round(self._now(), 6), kind, value)
        word = write_marbles([Event(0.0, kind, value)])
        if threading.get_ident() != self._thread:
            self.offences.append(f"serial: {word} came on another thread")
        if self._inside is not None:
            self.offences.append(f"serial: {word} came inside of {self._inside}")
        if self.ended:
            self.offences.append(f"grammar: {word} came after the end")
        elif self._cut:
            self.offences.append(f"disposal: {word} came after the disposal")
        self._events.append(event)
        if event.is_end and self._end is None:
            self._end = event
        if self._on_event is None:
            return
        outer, self._inside = self._inside, word
        self._depth += 1
        if self._depth == _DEEPEST + 1:
            self.offences.append(f"serial: notifications nest {self._depth} deep")
        try:
            self._on_event(event)
        finally:
            self._depth -= 1
            self._inside = outer

    @property
    def events(self) -> list[Event]:
        """What came, in order."""
        return self._events

    @property
    def ended(self) -> bool:
        """Whether a terminal event has come."""
        return self._end is not None

    @property
    def values(self) -> list[Any]:
        """The elements."""
        return [event.value for event in self._events if event.kind == "next"]

    @property
    def error(self) -> BaseException | None:
        """The error it ended with, if it did."""
        return None if self._end is None or self._end.kind != "error" else self._end.value

    @property
    def completed(self) -> bool:
        """Whether it ended normally."""
        return self._end is not None and self._end.kind == "completed"

    @property
    def marbles(self) -> str:
        """The events as text."""
        return write_marbles(self._events)
