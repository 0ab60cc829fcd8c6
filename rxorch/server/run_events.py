"""What happens in runs of flows, as names and numbers that may be shown, kept for who comes later."""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json
from reactivex.abc import DisposableBase

from rxorch.errors import ApiHttpError
from rxorch.events import Event, EventBus, RunFinished, RunStarted

if TYPE_CHECKING:
    from rxorch.draw.timeline.records import Timeline
    from rxorch.server.run_book import KeptRun

__all__ = ["CURRENT", "FlowEvents", "KeptEvents", "error_shown", "kind_of"]

_MOST: Final = 1_000
"""Events that are kept of one run."""
_MOST_DRAWN: Final = 200
"""Calls of one run that its picture has."""
_WEIGHT: Final = 3
"""What an event takes for each byte of its JSON: the records for the picture are kept beside it."""
_UNSHOWN: Final = frozenset({"at", "run", "value", "error"})
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")

CURRENT: Final[ContextVar[KeptRun | None]] = ContextVar("rxorch_server_run", default=None)
"""For which run the flow is run that begins now."""


def kind_of(event: Event) -> str:
    """Its kind: `attempt_failed` for `AttemptFailed`."""
    return _CAPITAL.sub("_", type(event).__name__).lower()


def error_shown(error: BaseException) -> dict[str, Any]:
    """Kind and upstream status of an error. Its text may have the url of an upstream."""
    shown: dict[str, Any] = {"type": type(error).__name__}
    if isinstance(error, ApiHttpError) and error.status_code is not None:
        shown["upstream_status"] = error.status_code
    return shown


def _shown(event: Event, at: float) -> dict[str, Any]:
    """Its members that may be shown: no value, no text of an error."""
    found: dict[str, Any] = {"at": round(at, 6)}
    for each in fields(event):
        value = getattr(event, each.name)
        if each.name not in _UNSHOWN and value not in (None, ""):
            found[each.name] = round(value, 6) if isinstance(value, float) else value
    error = getattr(event, "error", None)
    if error is not None:
        found["error"] = error_shown(error)
    return found


class KeptEvents:
    """The events of one run, as JSON; beyond a thousand, only its end.

    Attributes:
        kept: Number, kind and data of each.
        size: Bytes that it takes, about.
    """

    __slots__ = ("_count", "_folder", "kept", "size")

    def __init__(self) -> None:
        self.kept: list[tuple[int, str, bytes]] = []
        self.size = 0
        self._count = 0
        from rxorch.draw.timeline.folding import Folder  # only a run that is followed loads what draws it

        self._folder = Folder(_MOST_DRAWN)

    def add(self, event: Event, at: float) -> None:
        """Writes one down."""
        self._count += 1
        self._folder.take(event)
        if len(self.kept) >= _MOST and not isinstance(event, RunFinished):
            return
        shown = _shown(event, at)
        if left_out := self._count - 1 - len(self.kept):
            shown["left_out"] = left_out
        data = to_json(shown, inf_nan_mode="null", fallback=str)
        self.kept.append((self._count, kind_of(event), data))
        self.size += _WEIGHT * len(data)

    def after(self, number: int) -> list[tuple[int, str, bytes]]:
        """Those with numbers above this one."""
        return [each for each in self.kept if each[0] > number]

    def timeline(self) -> Timeline:
        """What happened when, without urls, values and texts of errors."""
        return self._folder.timeline()


class FlowEvents:
    """Writes down the events of the runs of one flow, as long as somebody wants them.

    Args:
        bus: Where they come from.

    Attributes:
        wants_every: Whether those of every run are wanted, and not only of runs in the background.
    """

    def __init__(self, bus: EventBus) -> None:
        self.wants_every = False
        self._bus = bus
        self._wanted = 0
        self._listening: DisposableBase | None = None
        self._runs: dict[str, tuple[KeptRun, float]] = {}

    def want(self) -> None:
        """Somebody wants them: those of runs that begin from now on."""
        self._wanted += 1
        if self._listening is None:
            self._listening = self._bus.subscribe(self._hear)

    def leave(self) -> None:
        """One who wanted them does no more."""
        self._wanted -= 1
        if self._wanted == 0 and self._listening is not None:
            self._listening.dispose()
            self._listening = None
            self._runs.clear()

    def _hear(self, event: Event) -> None:
        if event.run is None:
            return
        if isinstance(event, RunStarted):
            begun = CURRENT.get()
            if begun is None or begun.is_over or begun.events is not None:  # a run within it
                return
            begun.events = KeptEvents()
            self._runs[event.run] = (begun, begun.began - event.at)
        known = self._runs.get(event.run)
        if known is None:
            return
        run, offset = known
        if run.events is not None and not run.is_over:
            run.events.add(event, event.at + offset)
            run.tell()
        if isinstance(event, RunFinished):
            del self._runs[event.run]
