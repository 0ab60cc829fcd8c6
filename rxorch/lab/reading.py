"""From events, or from a ledger, to a tape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final

from rxorch.draw.error_words import error_word
from rxorch.draw.timeline.hedges import races
from rxorch.draw.timeline.reading import timeline_of
from rxorch.draw.timeline.records import ATTEMPTS, CallRecord, Segment, SegmentKind, Timeline
from rxorch.draw.timeline.rows import winner_of
from rxorch.errors import (
    ApiBulkheadFullError,
    ApiCircuitOpenError,
    ApiConfigurationError,
    ApiNetworkError,
    ApiRateLimitError,
    ApiTimeoutError,
)
from rxorch.lab.tape import Kind, Tape, TapedAttempt, TapedCall
from rxorch.ledger import LedgerRecord

__all__ = ["tape_of"]

_NOT_SENT: Final = error_word(ApiNetworkError(sent=False))
_NETWORK: Final = frozenset({_NOT_SENT, error_word(ApiNetworkError(sent=True))})
_BY_NAME: Final[dict[str, Kind]] = {
    "ApiHttpError": "status",
    "ApiRateLimitError": "status",
    "ApiTimeoutError": "cut",
    "ApiValidationError": "unreadable",
}
_UNAVAILABLE: Final = 503
_NEVER_SENT: Final = frozenset({"ApiCircuitOpenError", "ApiBulkheadFullError"})
_REFUSALS: Final = _NEVER_SENT | {"ApiRateLimitError", "ApiTimeoutError"}
_BY_POLICY: Final = frozenset(
    map(
        error_word,
        (ApiCircuitOpenError(), ApiBulkheadFullError(), ApiRateLimitError(), ApiTimeoutError()),
    )
)
"""Why a call may fail before its first attempt where another policy would have let it through."""


def tape_of(recorded: Any) -> Tape:
    """The tape of what was recorded.

    Args:
        recorded: A `Recording` (see `rxorch.draw.record`), the result of `execute`, a list of events, records
            of a ledger, or a tape. A ledger knows less than events do: how many attempts a call took and how
            long all of them did, but not how each one ended. Those before the last are taken for answers of
            503.

    Raises:
        ApiConfigurationError: It is nothing of these, or there is no whole call in it.
    """
    if isinstance(recorded, Tape):
        return recorded
    if isinstance(recorded, Iterator | list | tuple):
        recorded = tuple(recorded)
    is_ledger = isinstance(recorded, tuple) and recorded and isinstance(recorded[0], LedgerRecord)
    tape = _of_ledger(recorded) if is_ledger else _of_timeline(timeline_of(recorded))
    if not tape.calls:
        raise ApiConfigurationError("recorded: there is no call in it from its beginning to its end")
    return tape


# -- events --------------------------------------------------------------------------------------------


def _of_timeline(timeline: Timeline) -> Tape:
    made = [each for each in timeline.calls if each.number and each.status != "skipped"]
    start = min((each.began for each in made), default=0.0)
    races = [race for race in _races(made) if _is_known(race)]
    calls = sorted((_taped(each, start) for each in races), key=lambda call: call.at)
    return Tape(tuple(calls), left_out=timeline.left_out + len(made) - sum(map(len, races)))


def _races(calls: Sequence[CallRecord]) -> Iterable[list[CallRecord]]:
    """Each call with the hedges that were sent for it."""
    firsts = races(calls)
    found: dict[int, list[CallRecord]] = {}
    for call in calls:
        first = firsts.get(call.number, call)
        found.setdefault(first.number, []).append(call)
    return found.values()


def _is_known(race: Sequence[CallRecord]) -> bool:
    """Whether all of it was heard, and how it ended: what was cancelled might have ended in any way."""
    is_whole = not any(each.status == "running" or _is_cut_in_two(each) for each in race)
    return is_whole and not race[0].hedge and winner_of(race).status != "cancelled"


def _is_cut_in_two(call: CallRecord) -> bool:
    """Whether its beginning was not heard: then its attempts are one stretch."""
    return sum(each.kind in ATTEMPTS for each in call.segments) < call.attempts


def _taped(race: Sequence[CallRecord], start: float) -> TapedCall:
    first, winner = race[0], winner_of(race)
    attempts = sorted((each for call in race for each in _attempts(call, start)), key=lambda each: each.at)
    is_ok = winner.status == "ok" and not winner.degraded
    return TapedCall(
        first.endpoint,
        first.began - start,
        winner.end - first.began,
        is_ok,
        tuple(attempts),
        fixed=len(race) > 1 or (not attempts and (is_ok or winner.note not in _BY_POLICY)),
    )


def _attempts(call: CallRecord, start: float) -> Iterator[TapedAttempt]:
    parts = call.segments
    for each, following in zip_longest(parts, parts[1:]):
        if each.kind in ATTEMPTS:
            yield _attempt(each, following, start)


def _attempt(part: Segment, following: Segment | None, start: float) -> TapedAttempt:
    asked = following is not None and following.kind is SegmentKind.RETRY_AFTER
    status = int(part.note) if part.note.isdecimal() else None
    return TapedAttempt(
        part.start - start,
        part.end - part.start,
        _kind(part, status),
        status,
        retry_after=following.end - following.start if asked and following is not None else None,
        sent=part.note != _NOT_SENT,
    )


def _kind(part: Segment, status: int | None) -> Kind:
    if part.kind is not SegmentKind.FAILED:
        return "ok" if part.kind is SegmentKind.OK else "cut"
    if status is not None:
        return "status"
    return "network" if part.note in _NETWORK else "unreadable"  # else a parser, a hook: an answer was there


# -- ledgers -------------------------------------------------------------------------------------------


def _of_ledger(records: Iterable[Any]) -> Tape:
    ended = [each for each in records if each.outcomes and each.ended is not None]
    start = min((each.began for each in ended), default=0.0)
    calls = [call for each in ended for call in _of_record(each, each.began - start)]
    return Tape(tuple(sorted(calls, key=lambda each: each.at)))


def _of_record(record: LedgerRecord, at: float) -> Iterator[TapedCall]:
    """The calls of an input. When each one began is not written: with the input, for all we know."""
    for name, outcome in record.outcomes.items():
        status, count = outcome.get("status"), int(outcome.get("attempts") or 0)
        if status in ("skipped", "cancelled"):
            continue
        duration = float(outcome.get("duration") or 0.0)
        is_ok = status == "ok" and not outcome.get("degraded")
        yield TapedCall(
            name, at, duration, is_ok,
            tuple(_guessed(outcome, at, duration, count, is_ok=is_ok)),
            fixed=not count and (is_ok or _error_of(outcome) not in _REFUSALS),
        )  # fmt: skip


def _guessed(
    outcome: dict[str, Any], at: float, duration: float, count: int, *, is_ok: bool
) -> Iterator[TapedAttempt]:
    error = _error_of(outcome)
    if error in _NEVER_SENT:
        return
    share = duration / max(count, 1)
    for number in range(count):
        is_last = number == count - 1
        kind: Kind = "status" if not is_last else "ok" if is_ok else _BY_NAME.get(error, "network")
        status = 200 if kind == "ok" else _UNAVAILABLE if kind == "status" else None
        yield TapedAttempt(at + number * share, share, kind, status)


def _error_of(outcome: dict[str, Any]) -> str:
    return str((outcome.get("error") or {}).get("type", ""))
