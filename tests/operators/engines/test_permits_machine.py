"""The pool of permits against a simple model, through random histories with callbacks that use the pool."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rxorch_operators.engines.permits import Permit, PermitPool, PermitStatistics
from rxorch_operators.errors import BulkheadFullError


class NoThanksError(Exception):
    """What a callback raises that does not want its permit."""


class Model:
    """Two lists. All that can be granted is granted before anybody is called, in the order of arrival."""

    def __init__(self, limit: int, queue: int | None) -> None:
        self.limit = limit
        self.queue = queue
        self.known: list[str] = []  # those whose permits nobody has thrown away
        self.held: list[str] = []
        self.line: list[tuple[str, str]] = []
        self.log: list[str] = []  # who was called or refused
        self.failed: list[str] = []  # who raised in this step
        self.granted = self.abandoned = self.refused = self.peak = 0
        self._due: list[tuple[str, str]] = []
        self._running = False

    def acquire(self, name: str, action: str) -> None:
        if len(self.held) < self.limit:
            assert not self.line
            self._grant(name)
        elif self.queue is not None and len(self.line) >= self.queue:
            self.log.append(f"{name} refused")
            self.refused += 1
            return
        else:
            self.line.append((name, action))
        self.known.append(name)

    def release(self, name: str) -> None:
        if name in self.held:
            self.held.remove(name)
            self.settle()
            return
        left = [entry for entry in self.line if entry[0] != name]
        self.abandoned += len(self.line) - len(left)
        self.line = left

    def resize(self, limit: int) -> None:
        self.limit = limit
        self.settle()

    def settle(self) -> None:
        while self.line and len(self.held) < self.limit:
            name, action = self.line.pop(0)
            self._grant(name)
            self._due.append((name, action))
        if self._running:
            return
        self._running = True
        while self._due:
            name, action = self._due.pop(0)
            if name in self.held:  # else: somebody who was called before it gave it back
                self._call(name, action)
        self._running = False

    def _grant(self, name: str) -> None:
        self.held.append(name)
        self.granted += 1
        self.peak = max(self.peak, len(self.held))

    def _call(self, name: str, action: str) -> None:
        self.log.append(name)
        match action:
            case "end":
                self.release(name)
            case "ask":
                self.acquire(f"{name}+", "nothing")
            case "free the oldest":
                self.release(min(self.known))
            case "raise":
                self.failed.append(name)
                self.release(name)
            case "shrink":
                self.resize(1)
            case "grow":
                self.resize(5)


class PermitMachine(RuleBasedStateMachine):
    """Every step is done by the pool first and by the model then; both must have called the same ones."""

    actions = st.sampled_from(
        ["nothing", "nothing", "nothing", "end", "ask", "free the oldest", "raise", "shrink", "grow"]
    )

    @initialize(limit=st.integers(1, 3), queue=st.none() | st.integers(0, 4))
    def start(self, limit: int, queue: int | None) -> None:
        self.pool = PermitPool(limit, queue)
        self.model = Model(limit, queue)
        self.permits: dict[str, Permit] = {}
        self.arrived: list[str] = []
        self.log: list[str] = []
        self.ceiling = 0  # how many were in flight when the limit was lowered under them
        self.number = 0

    def callback(self, name: str, action: str) -> Callable[[Permit], object]:
        def called(permit: Permit) -> None:
            assert permit.held
            self.log.append(name)
            self.watch()
            match action:
                case "end":
                    permit.release()
                case "ask":
                    self.ask(f"{name}+", "nothing")
                case "free the oldest":
                    self.permits[min(self.permits)].release()
                case "raise":
                    raise NoThanksError(name)
                case "shrink":
                    self.set_limit(1)
                case "grow":
                    self.set_limit(5)

        return called

    def ask(self, name: str, action: str) -> None:
        self.arrived.append(name)
        try:
            self.permits[name] = self.pool.acquire(self.callback(name, action))
        except BulkheadFullError:
            self.log.append(f"{name} refused")

    def set_limit(self, limit: int) -> None:
        self.ceiling = max(self.ceiling, self.pool.in_flight)
        self.pool.limit = limit

    def watch(self) -> None:
        """In flight is within the limit, or falling towards it."""
        in_flight = self.pool.in_flight
        if in_flight <= self.pool.limit:
            self.ceiling = 0
        else:
            assert in_flight <= self.ceiling
            self.ceiling = in_flight

    def step(self, real: Callable[[], object], model: Callable[[], object]) -> None:
        """Who frees a permit is told what the callbacks raised, one or several."""
        failed: list[str] = []
        try:
            real()
        except NoThanksError as error:
            failed = [str(error)]
        except BaseExceptionGroup as errors:
            failed = [str(error) for error in errors.exceptions]
        self.model.failed = []
        model()
        assert failed == self.model.failed

    @rule(action=actions)
    def acquire(self, action: str) -> None:
        name = f"{self.number:04}"
        self.number += 1
        self.step(lambda: self.ask(name, action), lambda: self.model.acquire(name, action))

    @precondition(lambda self: self.permits)
    @rule(place=st.integers(0, 100))
    def release(self, place: int) -> None:
        name = sorted(self.permits)[place % len(self.permits)]
        self.step(self.permits[name].release, lambda: self.model.release(name))

    @precondition(lambda self: any(permit.waiting for permit in self.permits.values()))
    @rule(place=st.integers(0, 100))
    def leave_the_queue(self, place: int) -> None:
        waiting = sorted(name for name, permit in self.permits.items() if permit.waiting)
        name = waiting[place % len(waiting)]
        called = len(self.log)
        self.step(self.permits[name].dispose, lambda: self.model.release(name))
        assert len(self.log) == called  # nobody is let in by that

    @precondition(lambda self: self.permits)
    @rule()
    def forget_the_oldest(self) -> None:
        name = min(self.permits)
        self.step(self.permits[name].release, lambda: self.model.release(name))
        del self.permits[name]
        self.model.known.remove(name)

    @rule(limit=st.integers(1, 5))
    def resize(self, limit: int) -> None:
        self.step(lambda: self.set_limit(limit), lambda: self.model.resize(limit))

    @invariant()
    def the_pool_is_as_the_model(self) -> None:
        model = self.model
        assert self.log == model.log
        assert {name for name, permit in self.permits.items() if permit.held} == set(model.held)
        assert {name for name, permit in self.permits.items() if permit.waiting} == {n for n, _ in model.line}
        assert self.pool.statistics() == PermitStatistics(
            limit=model.limit,
            queue=model.queue,
            in_flight=len(model.held),
            waiting=len(model.line),
            granted=model.granted,
            refused=model.refused,
            abandoned=model.abandoned,
            peak=model.peak,
        )

    @invariant()
    def who_came_first_is_called_first(self) -> None:
        place = {name: index for index, name in enumerate(self.arrived)}
        called = [place[name] for name in self.log if name in place]
        assert called == sorted(set(called))

    @invariant()
    def nobody_waits_beside_a_free_permit(self) -> None:
        assert not self.pool.waiting or self.pool.in_flight >= self.pool.limit

    @invariant()
    def the_limit_holds_once_enough_came_back(self) -> None:
        self.watch()


TestPermitMachine = PermitMachine.TestCase
TestPermitMachine.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, derandomize=True
)
