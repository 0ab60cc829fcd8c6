"""The laws, and the subjects that must keep them.

=============  ===================================================================================
grammar        any number of elements, then at most one end, and nothing after it
serial         no notification begins before the one before it has returned or, as its last act, asked for
               more; and so they do not nest ever deeper
disposal       nothing comes after the disposal
release        at the end, however it came, every source, call, permit, task and timer is let go of
errors         what a user's function raises is the stream's error; what a listener raises is nobody's;
               no error is left to the event loop
cancellation   a cancellation passes: it is not repeated, replaced or swallowed
ends           a stream whose sources have ended ends
rest           it comes to rest
cold           nothing happens before the subscription, and every subscriber has one of his own
independence   two subscribers see the same, each from his own beginning
demand         a source that can wait is read no further than the consumer asked, and so much ahead
transparency   elements pass unchanged and in order (with their times, if the subject says so)
=============  ===================================================================================

Grammar, serial notifications and release of resources are the contract of ReactiveX ("The Observable
Contract"); coldness and independence are what `pipe` promises; demand is rxorch's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from reactivex import Observable

from .lab import Lab, Planned
from .marbles import write_marbles
from .playing import Performance, perform
from .recording import Recorder
from .script import Case

__all__ = ["LawBroken", "Subject", "check_case", "offences_of"]


class LawBroken(AssertionError):
    """A subject has broken a law; the message says which one, and in which case."""


def in_error(record: Recorder, raised: BaseException) -> bool:
    """Whether a stream ended with this error, or with one that it caused or that holds it."""
    return record.error is not None and raised in _family(record.error)


def _family(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        todo += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An operator, and which laws it can be held to.

    Args:
        name: For reports.
        build: Makes the operator from what the lab gives; called once for each case.
        keeps: `marbles`: elements pass at once and unchanged; `values`: unchanged, later; None: neither.
        max_ahead: Elements that may be read beyond what the consumer asked for; None if demand does not pass.
        cold: Whether each subscriber subscribes to the source.
        independent: Whether subscribers share nothing that they could feel.
        ends: Whether it ends when its sources have ended.
        tells: Whether an exception of the consumer's `on_next` reaches the consumer's `on_error` (ours; stock
            RxPY leaves it to the event loop).
        passes_cancellation: Whether a cancellation of the source is the end of the stream.
        delays_errors: Whether an error waits for the end of the stream.
        shows: Whether what a callback raised can be seen in a record; in its error by default.
    """

    name: str
    build: Callable[[Lab], Callable[[Observable[Any]], Observable[Any]]]
    keeps: Literal["marbles", "values"] | None = None
    max_ahead: int | None = None
    cold: bool = True
    independent: bool = True
    ends: bool = True
    tells: bool = True
    passes_cancellation: bool = True
    delays_errors: bool = False
    shows: Callable[[Recorder, BaseException], bool] = in_error

    def __str__(self) -> str:
        return self.name


def check_case(subject: Subject, case: Case) -> None:
    """Plays one case.

    Args:
        subject: The operator.
        case: What is to happen.

    Raises:
        LawBroken: A law was broken.
    """
    if not subject.tells:
        case = replace(case, consumer=replace(case.consumer, raises_in=None))
    performance = perform(subject.build, case, subject.max_ahead)
    broken = [*performance.offences, *offences_of(subject, performance)]
    if broken:
        raise LawBroken(_report(subject, performance, broken))


def offences_of(subject: Subject, performance: Performance) -> Iterator[str]:
    """What broke the laws that need the whole performance to be judged."""
    for law in (_errors, _cancellation, _ends, _cold, _independence, _transparency):
        yield from law(subject, performance)


def _errors(subject: Subject, performance: Performance) -> Iterator[str]:
    lab, records = performance.lab, performance.records
    for record, raised in zip(records, performance.raised, strict=True):
        for shrugged in lab.shrugged:
            if record.error is not None and shrugged in _family(record.error):
                yield f"errors: a listener's {shrugged!r} ended the stream"
        if raised and not any(error not in lab.raised for error in _planned(record)):
            yield "errors: what the consumer's on_next raised did not reach its on_error"
    waits = subject.delays_errors and (lab.cancelled or not records[0].ended)
    if len(records) == 1 and not performance.disposed[0] and not performance.raised[0] and not waits:
        for planned in lab.raised:
            if not subject.shows(records[0], planned):
                yield f"errors: {planned!r} of a callback did not reach on_error"


def _planned(record: Recorder) -> list[BaseException]:
    error = record.error
    return [] if error is None else [one for one in _family(error) if isinstance(one, Planned)]


def _cancellation(subject: Subject, performance: Performance) -> Iterator[str]:
    if not performance.lab.cancelled or not subject.passes_cancellation or len(performance.records) > 1:
        return
    record = performance.records[0]
    if record.ended and not isinstance(record.error, asyncio.CancelledError) and not _planned(record):
        yield f"cancellation: the source was cancelled, and the stream ended with {record.error!r}"


def _ends(subject: Subject, performance: Performance) -> Iterator[str]:
    case = performance.case
    scripts = (*case.sources, *case.inners)
    if not subject.ends or any(script.end == "never" for script in scripts):
        return
    for record, disposed in zip(performance.records, performance.disposed, strict=True):
        if not record.ended and not disposed:
            yield "ends: nothing can happen any more, and the stream has not ended"


def _cold(subject: Subject, performance: Performance) -> Iterator[str]:
    wanted = len(performance.records)
    if subject.cold and subject.keeps and performance.case.plain and performance.lab.subscribers != wanted:
        yield f"cold: {wanted} subscribers, and {performance.lab.subscribers} subscriptions of the source"


def _independence(subject: Subject, performance: Performance) -> Iterator[str]:
    if len(performance.records) < 2 or not subject.independent or performance.lab.inners:
        return
    if not performance.case.plain:
        return
    first, second = (
        [(round(event.at - start, 6), event.kind, _comparable(event.value)) for event in record.events]
        for record, start in zip(performance.records, performance.starts, strict=True)
    )
    if first != second:
        yield "independence: the second subscriber saw something else than the first"


def _comparable(value: Any) -> Any:
    return type(value) if isinstance(value, BaseException) else value


def _transparency(subject: Subject, performance: Performance) -> Iterator[str]:
    case = performance.case
    script = case.sources[0]
    if subject.keeps is None or not case.plain or script.end not in ("completed", "never"):
        return
    wanted = [(event.at, event.kind, event.value) for event in script.events()]
    elements = [value for _, kind, value in wanted if kind == "next"]
    for record, start in zip(performance.records, performance.starts, strict=True):
        seen = [(round(event.at - start, 6), event.kind, event.value) for event in record.events]
        values = record.values
        if script.end == "never":  # a time limit may come after it, and something in its place
            seen, values = seen[: len(wanted)], values[: len(elements)]
        if subject.keeps == "marbles" and case.kind in ("cold", "stage"):
            if seen != wanted:
                yield "transparency: what came is not what the source emitted"
        elif values != elements:
            yield "transparency: elements were lost, changed or put in another order"


def _report(subject: Subject, performance: Performance, broken: list[str]) -> str:
    case = performance.case
    lines = [f"{subject.name} breaks a law:", *(f"  {offence}" for offence in broken), "in this case:"]
    lines += [f"  source   {script}  ({case.kind})" for script in case.sources]
    lines += [f"  inner    {script}" for script in case.inners if performance.lab.inners]
    lines += [f"  consumer {case.consumer}", f"  fault    {case.fault}", f"  second   {case.second}"]
    lines += [f"  seen     {write_marbles(record.events)}" for record in performance.records]
    return "\n".join(lines)
