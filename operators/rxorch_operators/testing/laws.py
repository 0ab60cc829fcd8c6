"""The laws, and the subjects that must keep them.

=============  ===================================================================================
grammar        any number of elements, then at most one end, and nothing after it
serial         no notification begins before the one before it has returned or, as its last act, asked for
               more; and so they do not nest ever deeper
disposal       nothing comes after the disposal
release        at the end, however it came, every source, call, permit, task, timer and listener is let go
               of; sources, permits and timers before the end is told
errors         what a source, an inner or a user's function raises is the stream's error; what a listener
               raises is nobody's; no error is left to the event loop
cancellation   a cancellation passes: it is not repeated, replaced or swallowed
ends           a stream whose sources have ended ends
rest           it comes to rest, at the latest when everybody has left
cold           nothing happens before the subscription, and every subscriber has one of his own
independence   two subscribers see the same, each from his own beginning
demand         a source that can wait is read no further than the consumer asked, and so much ahead;
               no more comes than was asked for
concurrency    no more inners and calls are there at one time than the subject says
transparency   elements pass unchanged and in order (with their times, if the subject says so), and none is
               missing when the stream completes
=============  ===================================================================================

Grammar, serial notifications and release of resources are the contract of ReactiveX ("The Observable
Contract"); coldness and independence are what `pipe` promises; demand is rxorch's own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from .judging import offences_of
from .marbles import write_marbles
from .playing import Performance, perform
from .recording import Recorder
from .script import Case
from .subject import Subject

__all__ = ["LawBroken", "Subject", "check_case", "offences_of"]

_SHOWN: Final = 40
"""Events of a record, and offences, that a report shows."""


class LawBroken(AssertionError):
    """A subject has broken a law; the message says which one, and in which case."""


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
    performance = perform(subject, case)
    broken = [*performance.offences, *offences_of(subject, performance)]
    if broken:
        raise LawBroken(_report(subject, performance, broken))


def _report(subject: Subject, performance: Performance, broken: list[str]) -> str:
    case = performance.case
    lines = [
        f"{subject.name} breaks a law:",
        *(f"  {offence}" for offence in broken[:_SHOWN]),
        "in this case:",
    ]
    lines += [f"  source   {script}  ({case.kind})" for script in case.sources]
    lines += [f"  inner    {script}" for script in case.inners if performance.lab.inners]
    lines += [f"  consumer {case.consumer}", f"  fault    {case.fault}", f"  second   {case.second}"]
    lines += [f"  seen     {_seen(record)}" for record in performance.records]
    return "\n".join(lines)


def _seen(record: Recorder) -> str:
    more = len(record.events) - _SHOWN
    return write_marbles(record.events[:_SHOWN]) + (f" ... and {more} more" if more > 0 else "")
