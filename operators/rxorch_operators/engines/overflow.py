"""A bounded buffer that says what to drop when it is full: the engine of `with_overflow`."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeAlias, TypeVar, get_args

from ..errors import invalid, is_count

__all__ = ["Dropped", "OverflowBuffer", "OverflowCounter", "OverflowPolicy", "OverflowStatistics"]

T = TypeVar("T")

OverflowPolicy: TypeAlias = Literal["error", "drop_oldest", "drop_newest", "latest"]
"""What happens when one more comes than fits: the end, or who is dropped."""

_POLICIES: Final = get_args(OverflowPolicy)
_BUFFER: Final = 256
"""Elements that wait by default, as in Reactor's `onBackpressureBuffer`."""


@dataclass(frozen=True, slots=True)
class OverflowStatistics:
    """What went through one buffer, or through all that share a counter.

    Args:
        arrived: Elements that came.
        dropped: How many of them were dropped.
        waiting: How many wait now.
        peak: Most that waited at once.
    """

    arrived: int
    dropped: int
    waiting: int
    peak: int


class OverflowCounter:
    """Counts what comes and what is dropped, for all buffers that share it.

    Example:
        >>> counter = OverflowCounter()
        >>> buffer = OverflowBuffer("latest", counter=counter)
        >>> for number in range(3):
        ...     _ = buffer.put(number)
        >>> counter.statistics()
        OverflowStatistics(arrived=3, dropped=2, waiting=1, peak=1)
    """

    __slots__ = ("arrived", "dropped", "peak", "waiting")

    def __init__(self) -> None:
        self.arrived = 0
        self.dropped = 0
        self.waiting = 0
        self.peak = 0

    def statistics(self) -> OverflowStatistics:
        """A snapshot."""
        return OverflowStatistics(self.arrived, self.dropped, self.waiting, self.peak)

    def __repr__(self) -> str:
        return f"<OverflowCounter: {self.dropped} of {self.arrived} dropped, {self.waiting} waiting>"


@dataclass(frozen=True, slots=True)
class Dropped(Generic[T]):
    """An element found no room.

    Args:
        value: The element that was dropped; not always the one that came.
        so_far: How many were dropped by this buffer, with this one.
        fatal: Whether the stream has to end, because the policy is "error".
    """

    value: T
    so_far: int
    fatal: bool


class OverflowBuffer(Generic[T]):
    """At most so many elements wait, in the order of their arrival.

    Args:
        policy: What to drop when one more comes. "drop_newest" is the one that comes, "drop_oldest" the one
            that has waited longest. "latest" holds one element, always the newest. "error" drops the one that
            comes and says that the stream has to end.
        buffer: Elements that may wait, 1 or more; 256 by default. Not with "latest".
        counter: Counts for this buffer and for others; one of its own by default.

    Raises:
        ValueError: An unknown policy, or a number out of its range.

    Example:
        >>> buffer = OverflowBuffer("drop_oldest", 2)
        >>> buffer.put("a"), buffer.put("b"), buffer.put("c")
        (None, None, Dropped(value='a', so_far=1, fatal=False))
        >>> buffer.take(), buffer.take(), buffer.waiting
        ('b', 'c', 0)
    """

    __slots__ = ("_counter", "_items", "buffer", "dropped", "policy")

    def __init__(
        self, policy: OverflowPolicy, buffer: int | None = None, counter: OverflowCounter | None = None
    ) -> None:
        if policy not in _POLICIES:
            raise invalid("policy", policy, f"give one of {', '.join(map(repr, _POLICIES))}")
        if policy == "latest" and buffer is not None:
            raise invalid("buffer", buffer, "leave it out: 'latest' keeps one element")
        if buffer is not None and not is_count(buffer):
            raise invalid("buffer", buffer, "give a whole number, 1 or more")
        self.policy = policy
        self.buffer = 1 if policy == "latest" else _BUFFER if buffer is None else buffer
        self.dropped = 0
        self._items: deque[T] = deque()
        self._counter = OverflowCounter() if counter is None else counter

    @property
    def waiting(self) -> int:
        """Elements that wait."""
        return len(self._items)

    def pass_by(self) -> bool:
        """Whether an element that comes may go straight on: none waits before it. It is counted then."""
        if self._items:
            return False
        self._counter.arrived += 1
        return True

    def put(self, value: T) -> Dropped[T] | None:
        """Keeps an element that comes. Returns what was dropped for it, if anything was."""
        items, counter = self._items, self._counter
        counter.arrived += 1
        if len(items) < self.buffer:
            items.append(value)
            counter.waiting += 1
            counter.peak = max(counter.peak, counter.waiting)
            return None
        counter.dropped += 1
        self.dropped += 1
        dropped = value
        if self.policy in ("drop_oldest", "latest"):
            dropped = items.popleft()
            items.append(value)
        return Dropped(dropped, self.dropped, self.policy == "error")

    def take(self) -> T:
        """The element that has waited longest; the buffer must not be empty."""
        self._counter.waiting -= 1
        return self._items.popleft()

    def clear(self) -> None:
        """Forgets what waits. Nobody wants it any more, so it does not count as dropped."""
        self._counter.waiting -= len(self._items)
        self._items.clear()
