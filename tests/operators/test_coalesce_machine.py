"""coalesce through random histories: who joins which call, what everybody gets, and when a call ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from reactivex.abc import DisposableBase, ObserverBase
from reactivex.disposable import Disposable

from rxorch_operators import Coalescer, coalesce
from rxorch_operators.coalesce import CoalescerStatistics
from rxorch_operators.core.demand import DemandScheduler
from rxorch_operators.core.stage import Link, Stage, as_stage
from tests.operators.support import END, Boom, Recorder, Time


class Waiter(Link):
    """A subscription that may have enough after some elements, and then leaves from inside its on_next."""

    def __init__(self, patience: int | None) -> None:
        self.recorder = Recorder()
        super().__init__(self.recorder)
        self.patience = patience
        self.wanted: list[Any] = []  # what the model says it has heard

    def on_next(self, value: Any) -> None:
        super().on_next(value)
        if len(self.recorder.events) == self.patience:
            self.dispose()

    def expect(self, value: Any) -> bool:
        """The model's on_next; tells whether it stays."""
        self.wanted.append(value)
        return len(self.wanted) != self.patience


@dataclass
class Call:
    """What the model knows of one subscription of the source, and the subscription itself."""

    key: str
    sink: ObserverBase[Any]
    values: list[Any] = field(default_factory=list)
    waiters: list[Waiter] = field(default_factory=list)
    disposed: int = 0
    over: bool = False


class Source(Stage[Any]):
    """Notes each subscription in the machine."""

    def __init__(self, machine: CoalescerMachine, key: str) -> None:
        self.machine = machine
        self.key = key

    def attach(self, sink: ObserverBase[Any], scheduler: DemandScheduler) -> DisposableBase:
        call = Call(self.key, sink)
        self.machine.calls.append(call)

        def release() -> None:
            call.disposed += 1

        return Disposable(release)


class CoalescerMachine(RuleBasedStateMachine):
    """Keys, waiters that come and go, a source that emits, ends or fails, and calls that are forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.group = Coalescer()
        self.scheduler = DemandScheduler.of(Time().scheduler)
        self.calls: list[Call] = []
        self.joinable: dict[str, Call] = {}
        self.waiters: list[Waiter] = []
        self.joined = 0
        self.number = 0

    @property
    def in_flight(self) -> list[Call]:
        return [call for call in self.calls if not call.over]

    def let_go(self, call: Call, waiter: Waiter) -> None:
        """The model's leave."""
        call.waiters.remove(waiter)
        if not call.waiters:
            self.finish(call)

    def finish(self, call: Call) -> None:
        call.over = True
        if self.joinable.get(call.key) is call:
            del self.joinable[call.key]

    @rule(key=st.sampled_from("ab"), patience=st.none() | st.integers(1, 3))
    def join(self, key: str, patience: int | None) -> None:
        waiter, known = Waiter(patience), len(self.calls)
        self.waiters.append(waiter)
        there = self.joinable.get(key)
        waiter.connect(as_stage(Source(self, key).pipe(coalesce(self.group, key))), self.scheduler)
        assert len(self.calls) == known + (there is None), "one subscription while somebody waits"
        call = self.calls[-1] if there is None else there
        if there is None:
            self.joinable[key] = call
        else:
            self.joined += 1
        call.waiters.append(waiter)
        if not all(waiter.expect(value) for value in call.values):
            self.let_go(call, waiter)

    @precondition(lambda self: any(call.waiters for call in self.in_flight))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.in_flight))
        waiter = data.draw(st.sampled_from(call.waiters))
        waiter.dispose()
        self.let_go(call, waiter)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def emit(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.in_flight))
        self.number += 1
        call.sink.on_next(self.number)
        call.values.append(self.number)
        for waiter in tuple(call.waiters):
            if not waiter.expect(self.number):
                self.let_go(call, waiter)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), fails=st.booleans())
    def end(self, data: st.DataObject, fails: bool) -> None:
        call = data.draw(st.sampled_from(self.in_flight))
        boom = Boom()
        if fails:
            call.sink.on_error(boom)
        else:
            call.sink.on_completed()
        for waiter in call.waiters:
            waiter.wanted.append(boom if fails else END)
        call.waiters = []
        self.finish(call)

    @precondition(lambda self: len(self.in_flight) < len(self.calls))
    @rule(data=st.data())
    def a_rude_source_goes_on(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from([call for call in self.calls if call.over]))
        call.sink.on_next("rude")
        call.sink.on_error(Boom())
        call.sink.on_completed()

    @rule(key=st.sampled_from("ab"))
    def forget(self, key: str) -> None:
        assert self.group.forget(key) is (key in self.joinable)
        self.joinable.pop(key, None)

    @rule()
    def leave_all(self) -> None:
        for call in self.in_flight:
            for waiter in tuple(call.waiters):
                waiter.dispose()
                self.let_go(call, waiter)

    @invariant()
    def everybody_has_heard_what_they_should(self) -> None:
        for waiter in self.waiters:
            assert [event for _, event in waiter.recorder.events] == waiter.wanted

    @invariant()
    def the_source_is_let_go_of_when_the_last_one_has_left_and_not_before(self) -> None:
        assert [call.disposed for call in self.calls] == [int(call.over) for call in self.calls]

    @invariant()
    def nothing_is_kept_after_the_end(self) -> None:
        calls = self.in_flight
        assert self.group.statistics() == CoalescerStatistics(
            in_flight=len(calls),
            waiting=sum(len(call.waiters) for call in calls),
            started=len(self.calls),
            joined=self.joined,
        )
        assert set(self.group._calls) == set(self.joinable)
        assert len(self.group._forgotten) == len(calls) - len(self.joinable)


TestCoalescerMachine = CoalescerMachine.TestCase
TestCoalescerMachine.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True
)
