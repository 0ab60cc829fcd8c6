"""SagaRun: a run of a saga, to be awaited, watched and told things."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from reactivex import Observable

from rxorch.interrupts import RunInterrupted, in_kernel, interruptible
from rxorch.saga.records import AuditEvent, RunRecord, SagaState
from rxorch.showing import MaskedRepr, Shown
from rxorch_operators import from_async_iterable

if TYPE_CHECKING:
    from rxorch.saga.picture import RunPicture
    from rxorch.saga.saga import Saga

__all__ = ["SagaResult", "SagaRun"]

_CARDS: Final = "rxorch.saga.cards"


@dataclass(frozen=True, slots=True, repr=False)
class SagaResult(MaskedRepr, Shown):
    """How a run ended.

    Attributes:
        run_id: Of the run.
        state: `COMPLETED`, `COMPENSATED` or `FAILED`.
        value: What its last step gave; None unless it is completed.
        error: Why it did not go forward (`step`, `type`, `message`), and what could not be undone (`undo`);
            None if nothing failed.
    """

    run_id: str
    state: SagaState
    value: Any = field(default=None, repr=False)
    error: dict[str, str] | None = None
    _cards: ClassVar[str] = _CARDS

    @property
    def ok(self) -> bool:
        """Whether it is completed."""
        return self.state is SagaState.COMPLETED

    @classmethod
    def of(cls, run: RunRecord) -> SagaResult:
        """The result of a run that is over."""
        error = None if run.state is SagaState.COMPLETED else run.error  # which was overcome
        return cls(run.run_id, run.state, run.result, error)


class SagaRun(Shown):
    """A run of a saga. `await run` waits for its end, wherever it is driven, and gives its `SagaResult`. If
    its process has let go of it, or has died and its lease has run out, it is gone on with here.

    To let go of it, or to cancel who awaits it, does not end the run: `cancel()` does.
    """

    _cards: ClassVar[str] = _CARDS

    def __init__(self, saga: Saga, run_id: str) -> None:
        self._saga = saga
        self.run_id = run_id

    def __await__(self) -> Generator[Any, None, SagaResult]:
        ended = self._saga._ended(self.run_id)
        if in_kernel():
            ended = interruptible(ended, self._interrupted)
        return ended.__await__()

    def _interrupted(self) -> RunInterrupted:
        return RunInterrupted(f"interrupted: nobody waits for {self.run_id!r} any more, and it goes on")

    async def status(self) -> RunRecord:
        """What the journal knows of it now."""
        return await self._saga.status(self.run_id)

    async def show(self) -> RunPicture:
        """Its picture as it stands now; a notebook shows it, and `str` makes text of it."""
        from rxorch.saga.picture import RunPicture

        steps, history = await self._saga.steps(self.run_id), await self._saga.history(self.run_id)
        return RunPicture(await self.status(), steps, tuple(self._saga.definition.steps), history)

    async def cancel(self, reason: str = "") -> RunRecord:
        """See `Saga.cancel`."""
        return await self._saga.cancel(self.run_id, reason)

    async def signal(self, name: str, value: Any = None) -> bool:
        """See `Saga.signal`."""
        return await self._saga.signal(self.run_id, name, value)

    @property
    def events(self) -> Observable[AuditEvent]:
        """Its events from the first on, those of other processes too; completes when the run is over."""
        return from_async_iterable(_Events(self._saga, self.run_id))

    @property
    def saga(self) -> Saga:
        """What it is a run of."""
        return self._saga

    def __repr__(self) -> str:
        return f"<SagaRun {self.run_id} of {self._saga.name!r}>"


class _Events:
    """Each iteration begins with the first event."""

    def __init__(self, saga: Saga, run_id: str) -> None:
        self._saga = saga
        self._run_id = run_id

    def __aiter__(self) -> AsyncIterator[AuditEvent]:
        return self._saga._watch.events(self._run_id)
