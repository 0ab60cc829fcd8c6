"""The errors of the operators.

::

    OperatorError
    +-- CircuitOpenError              (.name, .retry_after)
    +-- RateLimitExceededError        (.name, .retry_after)
    +-- BulkheadFullError             (.limit, .queue)
    +-- BufferOverflowError           (.buffer)
    +-- RetryBudgetExhaustedError     (.name, .retry_after)
    +-- TimeoutExceededError          (.limit, .kind)   also a builtin TimeoutError

Every error carries its data as attributes, reads as one line, and survives pickling: the message is
the only positional argument, so `cls(*args)` rebuilds it and the attributes travel in `__dict__`.

The constructors are cooperative. A class may inherit from one of these and from a tree of its own:
each passes the message on, and an attribute that is not given is left as it stands.
"""

from __future__ import annotations

from numbers import Real
from typing import Literal

from rxorch_operators._seconds import seconds_words

__all__ = [
    "BufferOverflowError",
    "BulkheadFullError",
    "CircuitOpenError",
    "OperatorError",
    "RateLimitExceededError",
    "RetryBudgetExhaustedError",
    "TimeoutExceededError",
    "TimeoutKind",
    "invalid",
    "is_count",
    "is_number",
    "is_refusal",
]

TimeoutKind = Literal["total", "each", "first", "queue", "attempt"]
"""Which limit ran out: the whole stream, the gap between items, the first item, a queue, one attempt."""

_TIMEOUT_VERDICTS: dict[TimeoutKind, str] = {
    "total": "did not end",
    "each": "no further item arrived",
    "first": "nothing arrived",
    "queue": "still waiting in a queue",
    "attempt": "the attempt did not end",
}


def invalid(field: str, value: object, fix: str) -> ValueError:
    """The error for a setting that cannot work.

    Args:
        field: The parameter as the caller spells it.
        value: What was given.
        fix: What to give instead.

    Example:
        >>> invalid("limit", 0, "give 1 or more")
        ValueError('limit=0: give 1 or more')
    """
    return ValueError(f"{field}={value!r}: {fix}")


def is_count(value: object, least: int = 1) -> bool:
    """Whether a setting is a whole number of at least so much; `True` is not a number.

    Args:
        value: What was given.
        least: The smallest number that will do.
    """
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: object, least: float = 0.0) -> bool:
    """Whether a setting is a number of at least so much; `True` and NaN are none.

    Args:
        value: What was given.
        least: The smallest number that will do.
    """
    if type(value) is not float and type(value) is not int and not _is_real(value):
        return False
    return value >= least  # type: ignore[operator]


def _is_real(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


class OperatorError(Exception):
    """Base of all errors that an operator raises by itself.

    Args:
        message: One line for people. Without it the class describes itself from its attributes.
    """

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message if message is not None else self._describe())

    def _describe(self) -> str:
        return type(self).__name__


class _RefusedError(OperatorError):
    """A call was refused by something that has a name and may know when to come back."""

    name: str | None = None
    retry_after: float | None = None
    _what = "the operator"
    _verdict = "refused the call"

    def __init__(
        self, message: str | None = None, *, name: str | None = None, retry_after: float | None = None
    ) -> None:
        if name is not None:
            self.name = name
        if retry_after is not None:
            self.retry_after = retry_after
        super().__init__(message)

    def _describe(self) -> str:
        who = self._what if self.name is None else f"{self._what} {self.name!r}"
        when = "" if self.retry_after is None else f"; try again in {seconds_words(self.retry_after)}"
        return f"{who} {self._verdict}{when}"


class CircuitOpenError(_RefusedError):
    """The circuit breaker let nothing through; the call was not made.

    Args:
        message: One line for people.
        name: Name of the breaker.
        retry_after: Seconds until a call may be let through; None if nobody can know.

    Example:
        >>> print(CircuitOpenError(name="payment", retry_after=12.0))
        circuit 'payment' is open; try again in 12 s
    """

    _what = "circuit"
    _verdict = "is open"


class RateLimitExceededError(_RefusedError):
    """The rate limit has no room in the time that the call may wait; the call was not made.

    Args:
        message: One line for people.
        name: Name of the limiter.
        retry_after: Seconds until there is room.

    Example:
        >>> print(RateLimitExceededError(retry_after=0.25))
        rate limit is used up; try again in 250 ms
    """

    _what = "rate limit"
    _verdict = "is used up"


class RetryBudgetExhaustedError(_RefusedError):
    """The retry budget is spent, so a failure was not repeated. Stands as `__cause__` of that failure.

    Args:
        message: One line for people.
        name: Name of the budget.
        retry_after: Seconds until it may have room again; None if unknown.

    Example:
        >>> print(RetryBudgetExhaustedError(name="api.example.com"))
        retry budget 'api.example.com' is spent
    """

    _what = "retry budget"
    _verdict = "is spent"


class BulkheadFullError(OperatorError):
    """All permits are out and the queue is full; the call was not made.

    Args:
        message: One line for people.
        limit: How many calls may run at once.
        queue: How many may wait for a permit; None if the queue has no bound.

    Example:
        >>> print(BulkheadFullError(limit=20, queue=100))
        bulkhead is full: 20 in flight, 100 waiting
    """

    limit: int | None = None
    queue: int | None = None

    def __init__(
        self, message: str | None = None, *, limit: int | None = None, queue: int | None = None
    ) -> None:
        if limit is not None:
            self.limit = limit
        if queue is not None:
            self.queue = queue
        super().__init__(message)

    def _describe(self) -> str:
        if self.limit is None:
            return "bulkhead is full"
        waiting = "" if self.queue is None else f", {self.queue} waiting"
        return f"bulkhead is full: {self.limit} in flight{waiting}"


class BufferOverflowError(OperatorError):
    """A source that cannot wait sent more than the consumer takes and the buffer holds.

    Args:
        message: One line for people.
        buffer: How many elements may wait.

    Example:
        >>> print(BufferOverflowError(buffer=256))
        buffer is full: 256 elements wait for a slower consumer
    """

    buffer: int | None = None

    def __init__(self, message: str | None = None, *, buffer: int | None = None) -> None:
        if buffer is not None:
            self.buffer = buffer
        super().__init__(message)

    def _describe(self) -> str:
        if self.buffer is None:
            return "buffer is full"
        return f"buffer is full: {self.buffer} elements wait for a slower consumer"


class TimeoutExceededError(OperatorError, TimeoutError):
    """A time limit ran out. `except TimeoutError` catches it too.

    Args:
        message: One line for people.
        limit: The limit in seconds.
        kind: Which limit it was.

    Example:
        >>> print(TimeoutExceededError(limit=2.5, kind="first"))
        nothing arrived within 2.5 s (first)
    """

    limit: float | None = None
    kind: TimeoutKind = "total"

    def __init__(
        self, message: str | None = None, *, limit: float | None = None, kind: TimeoutKind | None = None
    ) -> None:
        if limit is not None:
            self.limit = limit
        if kind is not None:
            self.kind = kind
        super().__init__(message)

    def _describe(self) -> str:
        within = "in time" if self.limit is None else f"within {seconds_words(self.limit, exact=True)}"
        return f"{_TIMEOUT_VERDICTS[self.kind]} {within} ({self.kind})"


def is_refusal(error: object) -> bool:
    """Whether an error says that a call was not made: no permit, no room in a limit, an open circuit.

    The service behind it has no part in that, and it would be refused again if it were tried at once.

    Args:
        error: Anything.

    Example:
        >>> is_refusal(BulkheadFullError()), is_refusal(TimeoutExceededError(kind="total"))
        (True, False)
    """
    if isinstance(error, TimeoutExceededError):
        return error.kind == "queue"
    return isinstance(error, CircuitOpenError | RateLimitExceededError | BulkheadFullError)
