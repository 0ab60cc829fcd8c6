"""Tape: what was asked, when, and what each attempt came to; without a url, an input or a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["Kind", "Tape", "TapedAttempt", "TapedCall"]

Kind: TypeAlias = Literal["ok", "status", "network", "unreadable", "cut"]

_OPEN_ENDED: Final = frozenset({"cut"})


@dataclass(frozen=True, slots=True)
class TapedAttempt:
    """One attempt.

    Attributes:
        at: Seconds since the beginning of the tape.
        duration: Seconds that it took.
        kind: `ok`; `status`: an answer with a status that is none of success; `network`: no whole answer;
            `unreadable`: an answer that could not be read; `cut`: it was ended from our side, by a time limit
            or a cancellation, so that nobody knows what would have come.
        status: Of the answer; None without one.
        retry_after: Seconds that the server asked for; None: it did not.
        sent: Whether the request may have left.
    """

    at: float
    duration: float
    kind: Kind
    status: int | None = None
    retry_after: float | None = None
    sent: bool = True

    @property
    def is_open_ended(self) -> bool:
        """Whether it would have gone on for longer."""
        return self.kind in _OPEN_ENDED


@dataclass(frozen=True, slots=True)
class TapedCall:
    """One call, with all its attempts.

    Attributes:
        endpoint: Its name.
        at: Seconds since the beginning of the tape.
        duration: Seconds from its beginning to its end, waits and queueing among them.
        ok: Whether it gave a value of its own; a substitute is none.
        attempts: In their order, with those of its hedges. None were made if it came from a cache, or was
            refused by a circuit.
        fixed: Whether no policy changes it: it came from a cache, was shared with an equal call, raced with
            hedges, or failed before its first attempt because of what it was given.
    """

    endpoint: str
    at: float
    duration: float
    ok: bool
    attempts: tuple[TapedAttempt, ...] = ()
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Tape:
    """Calls in the order in which they began.

    Attributes:
        calls: All of them.
        left_out: Calls of which the beginning or the end was not recorded, or that were cancelled: how they
            would have ended, nobody knows.
    """

    calls: tuple[TapedCall, ...]
    left_out: int = 0

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Names, in the order in which they were called first."""
        return tuple(dict.fromkeys(call.endpoint for call in self.calls))

    def attempts(self) -> dict[str, list[TapedAttempt]]:
        """All attempts, by endpoint."""
        found: dict[str, list[TapedAttempt]] = {}
        for call in self.calls:
            found.setdefault(call.endpoint, []).extend(call.attempts)
        return found

    def __repr__(self) -> str:
        return f"<Tape of {len(self.calls)} calls of {', '.join(self.endpoints) or 'nothing'}>"
