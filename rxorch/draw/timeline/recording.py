"""Recording: listens to the events of an orchestrator or client, and keeps what pictures are made of."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

from reactivex.abc import DisposableBase

from rxorch.draw.timeline.chronicle import Chronicle
from rxorch.draw.timeline.folding import LIMIT, Folder
from rxorch.draw.timeline.records import Timeline
from rxorch.endpoint import Caller
from rxorch.errors import ApiConfigurationError
from rxorch.events import EventBus
from rxorch.orchestrator import APIOrchestrator

if TYPE_CHECKING:
    from rxorch.draw.timeline.picture import Waterfall

__all__ = ["Recorded", "Recording", "record"]

Recorded: TypeAlias = APIOrchestrator | Caller | EventBus


class Recording:
    """What happens on an event bus from now on, call by call; made by `record`.

    It keeps plain records: names, times, statuses and kinds of errors; no urls, inputs, values or errors. At
    most `limit` calls that have ended are kept, the newest; how many were left out is counted, and said in
    the picture. It listens until it is closed, or its `with` block ends.

    Attributes:
        chronicle: What `report` and `flow_picture` read: sums of all calls, however many, and a sample.
    """

    def __init__(self, bus: EventBus, limit: int) -> None:
        self.chronicle = Chronicle()
        self._folder = Folder(limit, self.chronicle)
        self._listener: DisposableBase = bus.subscribe(self._folder.take)

    @property
    def runs(self) -> tuple[str, ...]:
        """Ids of the runs that have begun meanwhile, in this order; the last `limit` of them."""
        return self._folder.runs

    def timeline(self, run: str | None = None) -> Timeline:
        """The calls so far, as records; also those that are under way.

        Args:
            run: Id of the only run that is wanted.
        """
        return self._folder.timeline(run)

    def waterfall(self, run: str | None = None, *, title: str | None = None) -> Waterfall:
        """The picture of what has happened so far.

        Args:
            run: Id of the only run that is wanted.
            title: What stands above it.
        """
        from rxorch.draw.timeline.picture import Waterfall  # which knows recordings

        return Waterfall(self.timeline(run), title)

    def close(self) -> None:
        """Listens no longer; what was recorded stays."""
        self._listener.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Recording of {len(self.timeline().calls):,} calls>"


def record(what: Recorded, *, limit: int = LIMIT) -> Recording:
    """Records what happens on an orchestrator or client from now on, to draw it.

    Args:
        what: An `APIOrchestrator`, an `ApiClient`, or any `EventBus`.
        limit: Calls that are kept, 1 or more; of more the newest.

    Returns:
        A `Recording`: use it with `with`, or `close()` it.

    Raises:
        ApiConfigurationError: `what` has no events, or `limit` is no such number.

    >>> import asyncio
    >>> from rxorch import APIEndpoint, ApiClient
    >>> from rxorch.testing import MockTransport
    >>> async def main():
    ...     user = APIEndpoint(name="user", url="https://api.example.com/users/{id}")
    ...     async with ApiClient(MockTransport(lambda request: {"id": 7})) as client:
    ...         with record(client) as recording:
    ...             await client.call(user, {"id": 7})
    ...     return recording.timeline().calls
    >>> [(call.endpoint, call.status, call.attempts) for call in asyncio.run(main())]
    [('user', 'ok', 1)]
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ApiConfigurationError(f"limit: give a whole number of calls, 1 or more, not {limit!r}")
    bus = what if isinstance(what, EventBus) else getattr(what, "events", None)
    if not isinstance(bus, EventBus):
        raise ApiConfigurationError(
            f"record: give an APIOrchestrator, an ApiClient or an EventBus, not {type(what).__name__}"
        )
    return Recording(bus, limit)
