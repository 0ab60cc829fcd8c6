"""From events, or from a ledger, to a tape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from rxorch.errors import (
    ApiCircuitOpenError,
    ApiConfigurationError,
    ApiHttpError,
    ApiNetworkError,
    ApiValidationError,
)
from rxorch.events import AttemptFailed, AttemptStarted, CallFinished, CallStarted, Event
from rxorch.lab.tape import Kind, Tape, TapedAttempt, TapedCall
from rxorch.ledger import LedgerRecord

__all__ = ["tape_of"]

_KINDS: Final[tuple[tuple[type[BaseException], Kind], ...]] = (
    (ApiHttpError, "status"),
    (TimeoutError, "cut"),
    (ApiNetworkError, "network"),
    (ApiValidationError, "unreadable"),
)
_BY_NAME: Final[dict[str, Kind]] = {
    "ApiHttpError": "status",
    "ApiRateLimitError": "status",
    "ApiTimeoutError": "cut",
    "ApiValidationError": "unreadable",
}
_UNAVAILABLE: Final = 503
_NEVER_SENT: Final = frozenset({ApiCircuitOpenError.__name__, "ApiBulkheadFullError"})


def tape_of(recorded: Any) -> Tape:
    """The tape of what was recorded.

    Args:
        recorded: Events; an object that has them as its `events`, such as a recording; records of a ledger;
            or a tape. A ledger knows less than events do: how many attempts a call took and how long all of
            them did, but not how each one ended. Those before the last are taken for answers of 503.

    Raises:
        ApiConfigurationError: It is nothing of these, or there is no whole call in it.
    """
    if isinstance(recorded, Tape):
        return recorded
    items = tuple(_items(recorded))
    if items and all(isinstance(each, LedgerRecord) for each in items):
        tape = _of_ledger(items)
    elif all(isinstance(each, Event) for each in items):
        tape = _of_events(items)
    else:
        raise ApiConfigurationError("recorded: give events, what has them as `events`, or a ledger's records")
    if not tape.calls:
        raise ApiConfigurationError("recorded: there is no call in it from its beginning to its end")
    return tape


def _items(recorded: Any) -> Iterable[Any]:
    found = getattr(recorded, "events", recorded)
    if isinstance(found, Iterable) and not isinstance(found, str | bytes | dict):
        return found
    raise ApiConfigurationError(
        f"recorded: a {type(recorded).__name__} has no events; give events, or records of a ledger"
    )


# -- events --------------------------------------------------------------------------------------------


class _Call:
    """A call of which the end has not been read."""

    def __init__(self, began: CallStarted) -> None:
        self.began = began
        self.open: dict[int, float] = {}
        self.attempts: list[TapedAttempt] = []


def _of_events(events: Iterable[Any]) -> Tape:
    calls: dict[int, _Call] = {}
    ended: list[tuple[_Call, CallFinished]] = []
    headless: set[int] = set()
    for event in events:
        call = calls.get(event.call)
        if isinstance(event, CallStarted):
            calls[event.call] = _Call(event)
        elif event.call and call is None:
            headless.add(event.call)
        elif isinstance(event, AttemptStarted) and call is not None:
            call.open[event.attempt] = event.at
        elif isinstance(event, AttemptFailed) and call is not None:
            call.open.pop(event.attempt, None)
            call.attempts.append(_failed(event))
        elif isinstance(event, CallFinished) and call is not None:
            ended.append((calls.pop(event.call), event))
    start = min((call.began.at for call, _ in ended), default=0.0)
    taped = sorted((_taped(call, end, start) for call, end in ended), key=lambda each: each.at)
    return Tape(tuple(taped), left_out=len(headless) + len(calls))


def _failed(event: AttemptFailed) -> TapedAttempt:
    error = event.error
    kind: Kind = next((kind for type_, kind in _KINDS if isinstance(error, type_)), "network")
    if isinstance(error, Exception) and not isinstance(error, tuple(type_ for type_, _ in _KINDS)):
        kind = "unreadable"  # a parser, a hook: an answer was there
    return TapedAttempt(
        event.at - event.duration,
        event.duration,
        "cut" if not isinstance(error, Exception) else kind,
        status=error.status_code if isinstance(error, ApiHttpError) else None,
        retry_after=getattr(error, "retry_after", None),
        sent=getattr(error, "sent", True),
    )


def _taped(call: _Call, end: CallFinished, start: float) -> TapedCall:
    is_ok = end.status == "ok"
    attempts = [*call.attempts]
    last = max(call.open, default=None)
    for number, at in call.open.items():
        kind: Kind = "ok" if is_ok and number == last else "cut"
        attempts.append(TapedAttempt(at, end.at - at, kind, status=end.status_code if kind == "ok" else None))
    moved = [_moved(each, start) for each in sorted(attempts, key=lambda each: each.at)]
    return TapedCall(
        end.endpoint,
        call.began.at - start,
        end.duration,
        ok=is_ok and not end.degraded,
        attempts=tuple(moved),
        cached=end.cached or (is_ok and not attempts),
    )


def _moved(attempt: TapedAttempt, start: float) -> TapedAttempt:
    return TapedAttempt(
        attempt.at - start, attempt.duration, attempt.kind, attempt.status, attempt.retry_after, attempt.sent
    )


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
        if status == "skipped":
            continue
        duration = float(outcome.get("duration") or 0.0)
        is_ok = status == "ok" and not outcome.get("degraded")
        yield TapedCall(
            name, at, duration, is_ok,
            tuple(_guessed(outcome, at, duration, count, is_ok=is_ok)),
            cached=is_ok and not count,
        )  # fmt: skip


def _guessed(
    outcome: dict[str, Any], at: float, duration: float, count: int, *, is_ok: bool
) -> Iterator[TapedAttempt]:
    error = str((outcome.get("error") or {}).get("type", ""))
    if error in _NEVER_SENT:
        return
    share = duration / max(count, 1)
    for number in range(count):
        is_last = number == count - 1
        kind: Kind = "status" if not is_last else "ok" if is_ok else _BY_NAME.get(error, "network")
        status = 200 if kind == "ok" else _UNAVAILABLE if kind == "status" else None
        yield TapedAttempt(at + number * share, share, kind, status)
