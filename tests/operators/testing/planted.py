"""Operators that are wrong on purpose, each in one way: the law book must find every one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import reactivex
from reactivex import operators as ops
from reactivex.abc import ObserverBase

from rxorch_operators import Bulkhead, bulkhead, flat_map_bounded, retry_backoff
from rxorch_operators.core.stage import Link
from rxorch_operators.testing import Lab, Subject
from tests.operators.testing.wrong_links import (
    AsksInside,
    DropsWhenFull,
    EndsTwice,
    GoesOnAfterTheEnd,
    Greedy,
    KeepsItsSource,
    Later,
    Listening,
    LosesTheLastBeforeAnError,
    LosesTheThird,
    MapThatSkips,
    MapThatThrows,
    NeverAsks,
    NeverEnds,
    Operator,
    ReplacesFailures,
    SaysGoodbye,
    SendsAhead,
    SwallowsErrors,
    SwallowsFailures,
    TaskThatStays,
    linked,
)
from tests.operators.testing.wrong_operators import (
    counts_for_all,
    forgets_the_scheduler,
    keeps_its_permit,
    listener_that_matters,
    loses_the_third_call,
    on_another_thread,
    one_for_all,
    releases_its_permit_late,
    repeats_everything,
    shares_slots,
    spins,
    subscribes_at_once,
    swallows_inner_cancellations,
    swallows_inner_errors,
    told_by_the_loop,
)


def _plain(link: Callable[[ObserverBase[Any]], Link]) -> Callable[[Lab], Operator]:
    return lambda lab: linked(link)


def subject(law: str, name: str, build: Callable[[Lab], Operator], **traits: Any) -> Any:
    return law, Subject(name=name, build=build, **traits)


PLANTED = [
    subject("grammar", "goes on after the end", _plain(GoesOnAfterTheEnd)),
    subject("grammar", "ends twice", _plain(EndsTwice)),
    subject("serial", "emits inside of on_next", lambda lab: AsksInside),
    subject("disposal", "emits while it is being disposed", _plain(SaysGoodbye)),
    subject("release", "leaves timers", lambda lab: linked(lambda s: Later(s, lab.loop))),
    subject("release", "leaves tasks", _plain(TaskThatStays)),
    subject("release", "keeps its source", _plain(KeepsItsSource)),
    subject("release", "keeps its permit", keeps_its_permit),
    subject(
        "errors",
        "lets callbacks throw at the source",
        lambda lab: linked(lambda s: MapThatThrows(s, lab.callback(lambda n: n))),
        tells=False,
    ),
    subject(
        "errors",
        "skips what fails",
        lambda lab: linked(lambda s: MapThatSkips(s, lab.callback(lambda n: n))),
    ),
    subject("errors", "tells the loop alone", told_by_the_loop),
    subject("errors", "suffers from a listener", listener_that_matters, tells=False),
    subject("errors", "stock map loses what on_next raises", lambda lab: ops.map(lambda n: n)),
    subject("cancellation", "swallows errors", _plain(SwallowsErrors), handles_errors=True),
    subject(
        "cancellation",
        "replaces a cancellation",
        lambda lab: repeats_everything,
        tells=False,
        handles_errors=True,
    ),
    subject("ends", "never ends", _plain(NeverEnds)),
    subject("ends", "never asks", lambda lab: NeverAsks),
    subject("rest", "spins", spins),
    subject("cold", "subscribes at once", lambda lab: subscribes_at_once, tells=False),
    subject("cold", "one subscription for all", lambda lab: one_for_all, keeps="values", independent=False),
    subject("independence", "counts for all", lambda lab: counts_for_all, tells=False),
    subject("errors", "swallows failures", _plain(SwallowsFailures)),
    subject("errors", "replaces failures", _plain(ReplacesFailures)),
    subject("errors", "swallows failures of inners", swallows_inner_errors),
    subject("cancellation", "swallows cancellations of inners", swallows_inner_cancellations),
    subject("release", "gives its permit back late", releases_its_permit_late),
    subject("release", "listens for ever", lambda lab: Listening),
    subject("serial", "tells on another thread", lambda lab: on_another_thread, tells=False),
    subject("independence", "shares slots", shares_slots),
    subject(
        "concurrency",
        "wider than it says",
        lambda lab: flat_map_bounded(lab.inner, max_concurrent=9),
        max_inners=2,
    ),
    subject("demand", "sends ahead", lambda lab: SendsAhead, keeps="values", max_ahead=12),
    subject("transparency", "drops when full", lambda lab: DropsWhenFull, keeps="values"),
    subject(
        "transparency", "loses the last before an error", _plain(LosesTheLastBeforeAnError), keeps="marbles"
    ),
    subject(
        "transparency",
        "unordered",
        lambda lab: flat_map_bounded(lab.call, max_concurrent=2),
        projects="in order",
    ),
    subject("transparency", "loses the third call", loses_the_third_call, projects="any order"),
    subject("demand", "asks for everything", lambda lab: Greedy, max_ahead=3),
    subject(
        "demand",
        "stock flat_map",
        lambda lab: ops.flat_map(lambda n: reactivex.just(n)),
        max_ahead=3,
        tells=False,
    ),
    subject(
        "demand",
        "bounded, but wider than it says",
        lambda lab: flat_map_bounded(lab.call, max_concurrent=4),
        max_ahead=3,
    ),
    subject("transparency", "loses the third", _plain(LosesTheThird), keeps="values"),
    subject(
        "transparency",
        "an element late",
        lambda lab: ops.delay_with_mapper(lambda n: reactivex.timer(1.0)),
        keeps="marbles",
        tells=False,
    ),
]

RIGHT = [
    Subject(name="bulkhead", build=lambda lab: bulkhead(Bulkhead(limit=10)), keeps="marbles", max_ahead=0),
    Subject(
        name="retry_backoff",
        build=lambda lab: retry_backoff(base=1.0, jitter="none"),
        keeps="marbles",
        handles_errors=True,
    ),
    Subject(name="stock map", build=lambda lab: ops.map(lambda n: n), keeps="marbles", tells=False),
    Subject(name="stock sample", build=lambda lab: ops.sample(1.5), independent=False, tells=False),
    Subject(
        name="stock map before take",
        build=lambda lab: lambda source: source.pipe(ops.map(lab.callback(lambda n: n)), ops.take(3)),
        tells=False,
    ),
    Subject(
        name="without a scheduler",
        build=lambda lab: forgets_the_scheduler,
        keeps="marbles",
        tells=False,
    ),
]
"""Operators that are right: nothing may be found in them."""
