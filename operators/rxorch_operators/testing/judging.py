"""The laws that need the whole performance to be judged."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

from .lab import Planned
from .marbles import Event
from .playing import Performance
from .recording import Recorder
from .subject import Subject, family, in_error

__all__ = ["offences_of"]


def offences_of(subject: Subject, performance: Performance) -> Iterator[str]:
    """What broke a law, each beginning with the law's name."""
    for law in _LAWS:
        yield from law(subject, performance)


def _callbacks(subject: Subject, performance: Performance) -> Iterator[str]:
    lab, records = performance.lab, performance.records
    for record, raised in zip(records, performance.raised, strict=True):
        for shrugged in lab.shrugged:
            if record.error is not None and shrugged in family(record.error):
                yield f"errors: a listener's {shrugged!r} ended the stream"
        if raised and not any(error not in lab.raised for error in _planned(record)):
            yield "errors: what the consumer's on_next raised did not reach its on_error"
    waits = subject.delays_errors and (lab.cancelled or not records[0].ended)
    if _alone(performance) and not waits:
        for planned in lab.raised:
            if not subject.shows(records[0], planned):
                yield f"errors: {planned!r} of a callback did not reach on_error"


def _alone(performance: Performance) -> bool:
    """Whether one consumer listened to the end, and nothing of his own went wrong."""
    return len(performance.records) == 1 and not performance.disposed[0] and not performance.raised[0]


def _planned(record: Recorder) -> list[BaseException]:
    return [one for one in family(record.error) if isinstance(one, Planned)]


def _failures(subject: Subject, performance: Performance) -> Iterator[str]:
    """An error of a source or an inner is the stream's, or came too late for it."""
    lab, record = performance.lab, performance.records[0]
    if subject.handles_errors or not lab.failures or not _alone(performance) or not record.ended:
        return
    if _planned(record) or isinstance(record.error, asyncio.CancelledError):
        return
    shown = [subject.shows(record, error) or in_error(record, error) for error in lab.failures]
    if not (all(shown) if record.completed else any(shown)):
        end = "completed" if record.completed else f"ended with {record.error!r}"
        yield f"errors: a source or an inner failed with {lab.failures[0]!r}, and the stream {end}"


def _cancellation(subject: Subject, performance: Performance) -> Iterator[str]:
    if not performance.lab.cancelled or not subject.passes_cancellation or len(performance.records) > 1:
        return
    record = performance.records[0]
    if not record.ended or isinstance(record.error, asyncio.CancelledError) or _planned(record):
        return
    if not any(in_error(record, error) for error in performance.lab.failures):  # else an error came first
        yield f"cancellation: a source or an inner was cancelled, and the stream ended with {record.error!r}"


def _ends(subject: Subject, performance: Performance) -> Iterator[str]:
    case = performance.case
    scripts = (*case.sources, *case.inners) if performance.lab.inners else case.sources
    if not subject.ends or any(script.end == "never" for script in scripts):
        return
    for record, disposed in zip(performance.records, performance.disposed, strict=True):
        if not record.ended and not disposed:
            yield "ends: nothing can happen any more, and the stream has not ended"


def _cold(subject: Subject, performance: Performance) -> Iterator[str]:
    wanted, lab = len(performance.records), performance.lab
    if not subject.cold or not subject.keeps or not performance.case.plain or lab.has_strangers:
        return
    if lab.subscribers != wanted:
        yield f"cold: {wanted} subscribers, and {lab.subscribers} subscriptions of the source"


def _independence(subject: Subject, performance: Performance) -> Iterator[str]:
    lab, case, records = performance.lab, performance.case, performance.records
    if len(records) < 2 or not subject.independent or lab.has_strangers or not case.plain:
        return
    if lab.inners and (len(set(case.inners)) > 1 or any(record.error for record in records)):
        return  # inners are handed out in turn to whoever asks, and of two errors either may be the first
    first, second = (
        [(round(event.at - start, 6), event.kind, _comparable(event.value)) for event in record.events]
        for record, start in zip(records, performance.starts, strict=True)
    )
    if lab.inners:  # timers of one instant fire in no particular order
        first, second = ([(at, kind, None) for at, kind, _ in seen] for seen in (first, second))
    if first != second:
        yield "independence: the second subscriber saw something else than the first"


def _comparable(value: Any) -> Any:
    return type(value) if isinstance(value, BaseException) else value


def _concurrency(subject: Subject, performance: Performance) -> Iterator[str]:
    allowed, most = subject.max_inners, performance.lab.most
    if allowed is not None and len(performance.records) == 1 and most > allowed:
        yield f"concurrency: {most} inners or calls at one time, {allowed} may be"


def _transparency(subject: Subject, performance: Performance) -> Iterator[str]:
    """What came is what the source emitted, and nothing of it is missing if the stream completed."""
    lab = performance.lab
    shared = len(performance.records) > 1 and (lab.has_strangers or not subject.cold)
    substituted = subject.handles_errors and (lab.failures or lab.cancelled)
    if (subject.keeps is None and subject.projects is None) or shared or substituted:
        return
    for guest, record in enumerate(performance.records):
        base = performance.bases[guest]
        given = lab.given if len(performance.records) == 1 else lab.given_to(base)
        if not _faithful(subject, record, given, _whole(subject, performance, guest)):
            yield "transparency: elements were lost, changed or put in another order"
            return
    if subject.keeps == "marbles" and not lab.has_strangers:
        yield from _times(performance)


def _whole(subject: Subject, performance: Performance, guest: int) -> bool:
    """Whether everything that the source emitted must have come."""
    record = performance.records[guest]
    if record.completed:
        return True
    if not record.ended and not performance.disposed[guest]:  # there was time enough
        return subject.keeps is not None
    ended_by_source = any(record.error is error for error in performance.lab.failures)
    return subject.keeps == "marbles" and ended_by_source


def _faithful(subject: Subject, record: Recorder, given: list[Any], whole: bool) -> bool:
    values = record.values
    if subject.projects == "any order":
        return not Counter(values) - Counter(given) and not (whole and len(values) != len(given))
    return values == (given if whole else given[: len(values)])


def _times(performance: Performance) -> Iterator[str]:
    """Marbles, if nobody interfered, are those of the source's first script but for a failure of it."""
    case = performance.case
    script = case.sources[0]
    if not case.plain or case.kind not in ("cold", "stage") or script.end not in ("completed", "never"):
        return
    wanted = [_told(event, 0.0) for event in script.events()]
    for record, start in zip(performance.records, performance.starts, strict=True):
        seen = [_told(event, start) for event in record.events]
        if script.end == "never":  # a time limit may come after it, and something in its place
            seen = seen[: len(wanted)]
        if seen != wanted:
            yield "transparency: what came is not what the source emitted, at its times"
            return


def _told(event: Event, start: float) -> tuple[float, str, Any]:
    return round(event.at - start, 6), event.kind, event.value


_LAWS = (
    _callbacks,
    _failures,
    _cancellation,
    _ends,
    _cold,
    _independence,
    _concurrency,
    _transparency,
)
