"""Saga: steps that are undone when one fails, in runs that survive their process."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, ClassVar, Final, Self
from uuid import uuid4

from rxorch.client import ApiClient
from rxorch.endpoint import APIEndpoint, Caller
from rxorch.errors import ApiConfigurationError
from rxorch.flow.nodes import Flow
from rxorch.ledger.json_text import input_json
from rxorch.saga.driving import Driving
from rxorch.saga.errors import JournalError, SagaDefinitionChangedError, SagaError
from rxorch.saga.journal import Journal
from rxorch.saga.memory_journal import MemoryJournal
from rxorch.saga.records import AuditEvent, NewRun, RunRecord, SagaState, StepRecord
from rxorch.saga.run import SagaResult, SagaRun
from rxorch.saga.settings import FORWARD, NOW, UNDO, SagaSettings
from rxorch.saga.steps import definition_of
from rxorch.saga.watching import Watch
from rxorch.showing import Shown
from rxorch.storage import StorageError
from rxorch_operators import RetryPolicy

__all__ = ["Saga"]

_LOG: Final = logging.getLogger("rxorch")
_LONGEST_ID: Final = 200
_RUN_ID: Final = re.compile(r"[!-~]{1,200}")


class Saga(Shown):
    """Steps over several services that are undone, in reverse, when one of them fails for good.

    Every step is in the journal before the next begins, so a run goes on after a crash, in this process or
    another: what is done is not done again, what was under way is repeated with the same idempotency key.
    See docs/saga.md for what is guaranteed, and what the services must do for it.

    Args:
        name: Its name; runs are found by it.
        steps: Steps, endpoints and flows in sequence; or one flow made by a combinator. An endpoint with
            `compensate_with` is a step that can be undone.
        journal: Where the runs are kept. A `MemoryJournal` by default, which ends with the process. It is
            opened and closed with the saga.
        client: Makes the calls, and is not closed; by default one of its own.
        lease: Seconds that a run belongs to its process without a word of it.
        recovery: How steps behind a pivot, and retriable ones, are repeated.
        undo: How compensations are repeated.
        workflow_header: The header that carries the run's id in every request; None: none does.
        now: The time of the day, in seconds since 1970; waits are over at one.

    Raises:
        ApiConfigurationError: The steps or a setting cannot be; says which and why. To open it raises that of
            an endpoint that its client cannot call.

    >>> import asyncio
    >>> from rxorch.saga import Saga, Step
    >>> stock = {"pen": 1}
    >>> def reserve(order):
    ...     stock[order["item"]] -= 1
    >>> def release(order):
    ...     stock[order["item"]] += 1
    >>> def pay(order):
    ...     raise ValueError("no money")
    >>> async def main():
    ...     async with Saga("order", [Step(reserve, compensation=release), Step(pay)]) as saga:
    ...         return await (await saga.start({"item": "pen"}))
    >>> result = asyncio.run(main())
    >>> str(result.state), result.error["step"], stock
    ('compensated', 'pay', {'pen': 1})
    """

    _cards: ClassVar[str] = "rxorch.saga.cards"

    def __init__(
        self,
        name: str,
        steps: Flow | Sequence[Flow | APIEndpoint],
        *,
        journal: Journal | None = None,
        client: Caller | None = None,
        lease: float = 30.0,
        recovery: RetryPolicy = FORWARD,
        undo: RetryPolicy = UNDO,
        workflow_header: str | None = "X-Workflow-Id",
        now: Callable[[], float] = NOW,
    ) -> None:
        self.definition = definition_of(name, steps)
        self._steps = steps
        self.settings = SagaSettings(lease, recovery, undo, workflow_header, now)
        self.journal: Journal = MemoryJournal() if journal is None else journal
        self._given = client
        self._watch = Watch(name, self.journal)
        self._driving = Driving(self.definition, self.journal, self.settings, self._watch)

    @property
    def name(self) -> str:
        """Its name."""
        return self.definition.name

    @property
    def client(self) -> Caller | None:
        """The client that it was given; None: it has one of its own while it is open."""
        return self._given

    @property
    def in_flight(self) -> int:
        """Runs that this process drives."""
        return len(self._watch.drives)

    @property
    def breakers(self) -> dict[str, Any]:
        """The circuit breakers in use, by endpoint name."""
        caller = self._driving.caller
        return {} if caller is None else caller.breakers

    def __repr__(self) -> str:
        return f"<Saga {self.name!r}: {', '.join(self.definition.steps)}>"

    def with_journal(self, journal: Journal) -> Saga:
        """The same saga with its runs in another journal. It is another object, not open; this one stays."""
        kept = self.settings
        return Saga(
            self.name, self._steps, journal=journal, client=self._given, lease=kept.lease,
            recovery=kept.recovery, undo=kept.undo, workflow_header=kept.workflow_header, now=kept.now,
        )  # fmt: skip

    # -- opening and closing ---------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._driving.caller is not None:
            raise SagaError(f"saga {self.name!r} is open already")
        caller = ApiClient() if self._given is None else self._given
        for endpoint in self.definition.endpoints():
            caller.runtime(endpoint)  # refuses what it could not call: not only when a step is to be undone
        await self.journal.open()
        if self._given is None:
            try:
                await caller.__aenter__()
            except BaseException:
                await self.journal.aclose()
                raise
        self._driving.begin(caller)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Lets go of all runs, which stay as they are and can be resumed. What is being undone right now is
        brought to its end; no other undoing begins.
        """
        driving = self._driving
        try:
            await driving.end()
        finally:
            self._watch.tell_all()
            caller, driving.caller = driving.caller, None
            try:
                if caller is not None and self._given is None:
                    await caller.__aexit__(None, None, None)
            finally:
                await self.journal.aclose()

    def _open(self) -> None:
        if self._driving.caller is None or self._watch.is_closing:
            raise SagaError(f"saga {self.name!r} is not open: use it with `async with`")

    # -- runs ------------------------------------------------------------------------------------------

    async def start(self, data: Any = None, *, run_id: str | None = None) -> SagaRun:
        """Begins a run, which goes on in the background.

        Args:
            data: The input: what JSON can hold.
            run_id: Its name, also its workflow id; a new one by default. The same name is the same run: it is
                found, and gone on with if nobody drives it, and its input is that with which it began.

        Raises:
            ApiValidationError: JSON cannot hold the input. Nothing has begun.
            SagaDefinitionChangedError: It began with other steps.
        """
        self._open()
        if run_id is not None and (not isinstance(run_id, str) or _RUN_ID.fullmatch(run_id) is None):
            raise ApiConfigurationError(
                f"run_id: give a text of 1 to {_LONGEST_ID} printable ASCII characters without blanks: "
                "it is sent in headers"
            )
        sent = input_json({} if data is None else data, "the input of a saga", "the journal")
        new = NewRun(
            uuid4().hex if run_id is None else run_id, self.name, self.definition.fingerprint, sent,
            secrets.token_hex(16),
        )  # fmt: skip
        begun = self.definition.begun_with(new.run_id, sent, self.settings.now())
        asked_at = asyncio.get_running_loop().time()
        claim, is_new = await self.journal.create(new, self._driving.owner, self.settings.lease, begun)
        if is_new:
            await self._driving.take(claim, asked_at, is_new=True)
        else:
            self.definition.check(claim.run)
            await self._driving.go_on(claim.run)
        return SagaRun(self, new.run_id)

    async def execute(self, data: Any = None, *, run_id: str | None = None) -> SagaResult:
        """`start`, and waits for the end. To cancel who waits does not end the run."""
        return await (await self.start(data, run_id=run_id))

    async def resume(self, *, limit: int = 1_000) -> list[SagaRun]:
        """Goes on with all runs that are not over and that nobody drives.

        Args:
            limit: How many at most.

        Returns:
            Those runs. One that began with other steps than these is not driven: to await it raises
            `SagaDefinitionChangedError`.
        """
        self._open()
        taken: list[SagaRun] = []
        ending = [task for drive, task in self._watch.drives.values() if drive.lost is not None]
        if ending:
            await asyncio.wait(ending)
        # What could not be written could not be given up either: the lease is ours still.
        ids = [run_id for run_id, error in self._watch.failures.items() if isinstance(error, StorageError)]
        ids += [each for each in await self.journal.unclaimed(self.name, limit) if each not in ids]
        for run_id in ids[:limit]:
            run = await self.status(run_id)
            if run.state.is_over:  # others have brought it there
                self._watch.failures.pop(run_id, None)
                continue
            try:
                self.definition.check(run)
            except SagaDefinitionChangedError as error:
                _LOG.warning("%s", error)
                self._watch.failures[run_id] = error
                taken.append(SagaRun(self, run_id))
                continue
            if await self._driving.go_on(run):
                taken.append(SagaRun(self, run_id))
        return taken

    def run(self, run_id: str) -> SagaRun:
        """The handle of a run that was begun before, wherever that was."""
        return SagaRun(self, run_id)

    def _check_name(self, run: RunRecord) -> None:
        if run.saga != self.name:
            raise SagaError(f"run {run.run_id!r} is of saga {run.saga!r}, not of {self.name!r}")

    async def _ended(self, run_id: str) -> SagaResult:
        return await self._watch.ended(run_id, self._driving.adopt)

    # -- what is known ---------------------------------------------------------------------------------

    async def status(self, run_id: str) -> RunRecord:
        """What the journal knows of a run.

        Raises:
            UnknownRunError: There is none of that id.
        """
        return await self._watch.status(run_id)

    async def runs(
        self, states: Collection[SagaState] | None = None, *, limit: int = 100, after: str | None = None,
        newest_first: bool = False,
    ) -> list[RunRecord]:  # fmt: skip
        """The runs of this saga, in the order in which they began, or the other way round."""
        return await self.journal.runs(self.name, states, limit=limit, after=after, newest_first=newest_first)

    async def steps(self, run_id: str) -> list[StepRecord]:
        """The steps of a run and their undoings, in the order in which they began."""
        return await self.journal.steps(run_id)

    async def history(self, run_id: str) -> list[AuditEvent]:
        """All that happened to a run."""
        return await self.journal.history(run_id)

    async def dead_letters(self, *, limit: int = 100) -> list[RunRecord]:
        """The runs that a person has to look at."""
        return await self.runs([SagaState.FAILED], limit=limit)

    # -- what can be done ------------------------------------------------------------------------------

    async def retry_dead_letter(self, run_id: str) -> SagaRun:
        """Goes on with a dead letter: what failed is tried again, forward or back as before.

        Raises:
            UnknownRunError: There is none of that id.
            SagaError: It is no dead letter.
        """
        self._open()
        run = await self.status(run_id)
        self.definition.check(replace(run, state=SagaState.RUNNING))  # as it is going to be
        await self._driving.go_on(await self.journal.reopen(run_id))
        return SagaRun(self, run_id)

    async def cancel(self, run_id: str, reason: str = "") -> RunRecord:
        """Has a run undone, as soon as what is under way has ended. One that is past its pivot, or that is
        over or being undone already, is left as it is. Of a run that began with other steps it is written
        down that it is to be undone: who drives it does so, or the next `resume()` of the code it began with.

        Raises:
            UnknownRunError: There is none of that id.
        """
        self._open()
        self._check_name(await self.status(run_id))
        run = await self.journal.request_cancel(run_id, reason)
        own = self._watch.drives.get(run_id)
        if own is not None:
            with suppress(JournalError):  # it is recorded, and who drives the run hears of it
                await own[0].renew()
        elif run.state is SagaState.CANCEL_REQUESTED:
            if run.fingerprint == self.definition.fingerprint:
                await self._driving.go_on(run)
            else:
                _LOG.warning("run %r has other steps: the code it began with has to undo it", run_id)
        return run

    async def signal(self, run_id: str, name: str, value: Any = None) -> bool:
        """Tells a run something it may wait for. The first value of a name counts.

        Returns:
            Whether it was the first.

        Raises:
            UnknownRunError: There is no run of that id.
        """
        self._open()
        self._check_name(await self.status(run_id))
        told = await self.journal.signal(run_id, name, input_json(value, "the signal", "the journal"))
        own = self._watch.drives.get(run_id)
        if own is not None:
            with suppress(JournalError):  # it is recorded, and who drives the run hears of it
                await own[0].look_for_signals()
        return told
