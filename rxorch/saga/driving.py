"""Driving: the runs of a saga that this process drives: taken, kept by their leases, let go of."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from contextlib import suppress
from typing import Final

from rxorch.endpoint import Caller
from rxorch.saga.drive import Drive
from rxorch.saga.errors import LeaseLostError
from rxorch.saga.journal import Journal
from rxorch.saga.records import Claim, Lease, RunRecord
from rxorch.saga.settings import SagaSettings
from rxorch.saga.steps import Definition
from rxorch.saga.watching import Watch

__all__ = ["Driving"]

_LOG: Final = logging.getLogger("rxorch")


class Driving:
    """The runs that this process drives, each in a task of its own.

    Args:
        definition: Of the saga.
        journal: Where the runs are kept.
        settings: Of the saga.
        watch: Knows what is driven here, and tells who waits.

    Attributes:
        owner: Whom the leases are for.
        caller: Makes the calls; None while the saga is not open.
    """

    def __init__(
        self, definition: Definition, journal: Journal, settings: SagaSettings, watch: Watch
    ) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.caller: Caller | None = None
        self._definition = definition
        self._journal = journal
        self._settings = settings
        self._watch = watch
        self._claiming: set[str] = set()
        self._heartbeat: asyncio.Task[None] | None = None

    def begin(self, caller: Caller) -> None:
        """From now on runs may be driven."""
        self.caller = caller
        self._watch.is_closing = False
        self._heartbeat = asyncio.create_task(self._beat())

    async def end(self) -> None:
        """Lets go of all runs, and gives their leases back."""
        self._watch.is_closing = True
        heartbeat, self._heartbeat = self._heartbeat, None
        drives = tuple(self._watch.drives.values())
        tasks = [task for _, task in drives]
        if heartbeat is not None:
            tasks.append(heartbeat)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        # Here, since a task that is cancelled before its first step does not run at all.
        await asyncio.gather(*(self._release(drive.lease) for drive, _ in drives))

    async def go_on(self, run: RunRecord) -> bool:
        """Drives a run, unless it is over, or somebody drives it already. Says whether it does now."""
        # A second claim would take the lease from the drive that the first one is for.
        if run.state.is_over or run.run_id in self._watch.drives or run.run_id in self._claiming:
            return False
        self._claiming.add(run.run_id)
        asked_at = asyncio.get_running_loop().time()
        try:
            claim = await self._journal.claim(run.run_id, self.owner, self._settings.lease)
            if claim is not None:
                await self.take(claim, asked_at)
        finally:
            self._claiming.discard(run.run_id)
        return claim is not None

    async def adopt(self, run: RunRecord) -> None:
        """Goes on with a run for which somebody waits, and whose process has let go of it, or died.

        Raises:
            SagaDefinitionChangedError: It began with other steps.
        """
        is_free = run.owner is None or run.leased_until <= self._settings.now()
        if is_free and self.caller is not None:
            self._definition.check(run)
            await self.go_on(run)

    async def take(self, claim: Claim, asked_at: float, *, is_new: bool = False) -> None:
        """Drives a run whose lease we have, and asked for at that time; `is_new` if it has just begun.

        Raises:
            SagaError: The saga was closed meanwhile; the lease is given back.
        """
        run_id = claim.run.run_id
        watch = self._watch
        if self.caller is None or watch.is_closing:
            await self._release(claim.lease)
            raise watch.closed(run_id)
        drive = Drive(
            self._definition, claim, self._journal, self.caller, self._settings, watch.tell,
            asked_at=asked_at, is_new=is_new,
        )  # fmt: skip
        watch.failures.pop(run_id, None)
        task = asyncio.create_task(self._driven(drive), name=f"saga {self._definition.name} {run_id}")
        watch.drives[run_id] = (drive, task)
        task.add_done_callback(lambda _: self._left(drive))  # if it is cancelled before its first step

    async def _driven(self, drive: Drive) -> None:
        run_id = drive.run.run_id
        try:
            await drive.go()
        except LeaseLostError:
            _LOG.info("run %r of saga %r is driven by another process now", run_id, self._definition.name)
        except Exception as error:
            await self._release(drive.lease)
            self._watch.failures[run_id] = error  # now, as who hears of it may resume the run at once
        finally:
            self._left(drive)

    def _left(self, drive: Drive) -> None:
        run_id = drive.run.run_id
        own = self._watch.drives.get(run_id)
        if own is not None and own[0] is drive:
            del self._watch.drives[run_id]
        drive.gone.set()
        self._watch.tell(run_id)

    async def _release(self, lease: Lease) -> None:
        with suppress(Exception):  # it runs out by itself
            await self._journal.release(lease)

    async def _beat(self) -> None:
        """Renews the leases, and hears of what others write."""
        while True:
            await asyncio.sleep(self._settings.lease / 3)
            renewals = [drive.renew() for drive, _ in self._watch.drives.values()]
            await asyncio.gather(*renewals, return_exceptions=True)  # the drives themselves meet the same
