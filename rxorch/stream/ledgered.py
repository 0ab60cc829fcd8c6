"""Records that are in the ledger before they are given, of runs that are in it before they begin."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from reactivex.abc import ObserverBase

from rxorch.ledger import Begun, Ledger, LedgerError
from rxorch.stream.inputs import Input
from rxorch.stream.plain import described, place_of
from rxorch.stream.record import Recording, RecordLink
from rxorch.stream.run import Run
from rxorch_operators._flat_map_merging import Inner, Merging

__all__ = ["LedgerRecording", "idempotency_keys"]

_STOPPED: Final = "the stream was stopped by its ledger"


def idempotency_keys(run_id: str, key: object) -> Callable[[str], str]:
    """The keys of the calls of one input: the same whenever, and in whatever process, they are made.

    Args:
        run_id: Of the ledger.
        key: Of the input.

    Returns:
        A function of the name of an endpoint.

    >>> keys = idempotency_keys("1f0c", "order-7")
    >>> keys("pay") == idempotency_keys("1f0c", "order-7")("pay") != keys("ship")
    True
    """

    def of_endpoint(name: str) -> str:
        parts = (run_id, str(key), name)
        text = "".join(f"{len(part)}:{part}" for part in parts)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    return of_endpoint


class LedgerRecording(Recording):
    """Records by way of the ledger."""

    __slots__ = ("again", "by_place", "ledger")

    ledger: Ledger
    again: bool
    by_place: bool

    def inner(self, value: Input, sink: ObserverBase[Any], parent: Merging | None) -> RecordLink:
        """The link of an input; without a key it is in no ledger."""
        link = RecordLink if value.key is None else _LedgerLink
        return link(value, self, sink, parent)


class _LedgerLink(RecordLink):
    """Waits for the ledger before the run, and before its record is given."""

    __slots__ = ("_is_begun",)

    _recording: LedgerRecording

    def begin(self) -> None:
        self._is_begun = False
        recording, given = self._recording, self._given
        reason = recording.control.aborted
        if reason is not None:
            self.abort(reason)
            return
        try:
            recording.ledger.begin(
                str(given.key),
                given.index,
                place_of(given.value),
                self._begun,
                again=recording.again,
                same=recording.by_place and given.error is None,
            )
        except LedgerError as error:  # somebody has closed it
            self._stop(error)
        except Exception as error:  # it cannot be kept, so it is not begun either
            self.failed(error)

    def _begun(self, state: Begun | None, error: Exception | None) -> None:
        if self._over:
            return
        tally = self._recording.control.tally
        if isinstance(error, LedgerError):
            self._stop(error)
        elif error is not None:
            self.failed(error)
        elif state is Begun.DONE or state is Begun.DUPLICATE:
            tally.skipped += 1
            self._without_record()
        else:
            self._is_begun = True
            tally.repeated += state is Begun.REPEATED
            self._start()

    def _start(self) -> None:
        if self._given.error is not None:
            self.failed(self._given.error)
            return
        recording, given = self._recording, self._given
        keys = idempotency_keys(recording.ledger.run_id, given.key)
        try:
            self.joined(recording.beginner.begin(given.value, self, recording.scheduler, keys))
        except Exception as error:  # nobody above us hears it: the ledger has called
            self.broken(error)

    def keep(self, run: Run) -> None:
        if self.is_cut or not self._is_begun:
            self.give(run)  # without an end that the ledger knows: the next process begins it again
            return
        status = "ok" if run.ok else "failed" if self._given.error is None else "unreadable"

        def kept(_: None, error: Exception | None) -> None:
            if self.is_disposed:
                return
            if error is None:
                self.give(run)
            else:
                self.is_cut = True
                self._recording.control.abort(_STOPPED, error)
                self.give(replace(run, ok=False, error=error))

        try:
            self._recording.ledger.finish(str(run.key), status, _facts(run), kept)
        except Exception as error:
            kept(None, error)

    def _stop(self, error: Exception) -> None:
        """Ends the stream: what its ledger cannot hold is not begun, and has not ended."""
        self.end()
        self._recording.control.abort(_STOPPED, error)
        self.is_cut = True
        self.failed(error)

    def _without_record(self) -> None:
        self._over = True
        self.end()
        Inner.on_completed(self)  # ours waits for the record


def _facts(run: Run) -> Mapping[str, Any]:
    return {
        "result": run.result,
        "error": described(run.error),
        "outcomes": {
            name: {
                "status": str(outcome.status),
                "attempts": outcome.attempts,
                "duration": outcome.duration,
                "error": described(outcome.error),
            }
            for name, outcome in run.outcomes.items()
        },
        "attempts": run.attempts,
        "duration": run.duration,
    }
