"""From all that can be drawn to a timeline."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TypeAlias

from rxorch.draw.timeline.folding import Folder
from rxorch.draw.timeline.recording import Recording
from rxorch.draw.timeline.records import Timeline
from rxorch.errors import ApiConfigurationError
from rxorch.events import Event
from rxorch.flow import OrchestrationResult

__all__ = ["Happened", "timeline_of"]

Happened: TypeAlias = Recording | OrchestrationResult | Timeline | Iterable[Event]
"""What has its events, or is made of them."""


def timeline_of(what: Happened) -> Timeline:
    """The calls of a recording, of a result, or of events in their order.

    Raises:
        ApiConfigurationError: it is none of these, or a result that kept no events.
    """
    if isinstance(what, Recording):
        return what.timeline()
    if isinstance(what, Timeline):
        return what
    events: Any = what
    if isinstance(what, OrchestrationResult):
        events = what.events
        if not events and what.outcomes:
            raise ApiConfigurationError(
                "this result kept no events: those of execute() do; around others, a stream say, use "
                "`with record(orchestrator) as recording:`"
            )
    folder = Folder(limit=sys.maxsize)
    try:
        for event in events:
            if not isinstance(event, Event):
                raise TypeError
            folder.take(event)
    except TypeError:
        raise ApiConfigurationError(
            "give a Recording, an OrchestrationResult, a Timeline or event records, "
            f"not {type(what).__name__}"
        ) from None
    return folder.timeline()
