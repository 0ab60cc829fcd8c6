"""Which request meets which fault: a pure function, so that a run can be repeated.

The plan for a request depends on the random seed, the service, the request's key (method, path and the order
that it belongs to) and on how many times that key was seen before. It depends neither on the clock nor on
the order in which requests of different orders arrive.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from statistics import NormalDist
from typing import Self

__all__ = ["ORDER_HEADER", "Faults", "Outage", "Plan", "order_of", "plan", "request_key"]

ORDER_HEADER = "X-Order-Id"
"""Header that names the order which a request belongs to, such as ``order-000042``."""

_WORD = 8
_WORDS = 4
_STANDARD_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """One service answers 503 to every request of the orders ``first`` to ``last``, both included."""

    service: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How unreliable the shop is. Rates are fractions of the requests, 0 to 1.

    Args:
        unavailable: answered 503.
        rate_limited: answered 429, with ``Retry-After: <retry_after>``.
        reset: the connection is reset instead of an answer.
        timeout: no answer for ``hold`` seconds, then a reset.
        slow: a good answer, but only after ``slow_seconds``.
        latency: median of the time that a normal answer takes, in seconds (log-normal).
        spread: sigma of the logarithm of that time.
        slow_seconds: seconds a slow answer takes.
        hold: seconds a request that "times out" is held.
        retry_after: whole seconds that a 429 asks the client to wait.
        outage: one service out of order for a range of orders.

    Raises:
        ValueError: a negative number, or rates that add up to more than 1.

    Example:
        >>> Faults(unavailable=0.5).unavailable
        0.5
    """

    unavailable: float = 0.008
    rate_limited: float = 0.0003
    reset: float = 0.004
    timeout: float = 0.001
    slow: float = 0.001
    latency: float = 0.004
    spread: float = 0.5
    slow_seconds: float = 1.2
    hold: float = 10.0
    retry_after: int = 1
    outage: Outage | None = None

    def __post_init__(self) -> None:
        numbers = {name: value for name, value in asdict(self).items() if name != "outage"}
        for name, value in numbers.items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number of at least 0, not {value!r}")
        if sum(rate for _, rate in self.rates()) > 1:
            raise ValueError("the rates of the faults add up to more than 1")

    @classmethod
    def none(cls, *, latency: float = 0.0) -> Self:
        """A shop without faults that answers after ``latency`` seconds."""
        return cls(unavailable=0, rate_limited=0, reset=0, timeout=0, slow=0, latency=latency, spread=0)

    def rates(self) -> tuple[tuple[str, float], ...]:
        """The kinds of fault that are drawn at random, with their rates."""
        return (
            ("503", self.unavailable),
            ("429", self.rate_limited),
            ("reset", self.reset),
            ("timeout", self.timeout),
            ("slow", self.slow),
        )

    def to_json(self) -> str:
        """The same faults as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of ``to_json``; TypeError or ValueError for anything else."""
        fields = json.loads(text)
        outage = fields.pop("outage", None)
        return cls(**fields, outage=Outage(**outage) if outage is not None else None)


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to one request.

    Attributes:
        fault: ``""`` (none), ``"503"``, ``"429"``, ``"reset"``, ``"timeout"``, ``"slow"`` or ``"outage"``.
        delay: seconds until the answer (or the fault).
        effect_first: whether a request that gets no answer has its effect all the same. This is the case in
            which a client that repeats a payment pays twice, unless the payment bears an idempotency key.
    """

    fault: str = ""
    delay: float = 0.0
    effect_first: bool = False


def request_key(method: str, path: str, headers: Mapping[str, str]) -> str:
    """What identifies a request among its like: method, path and the order (or else the idempotency key)."""
    return f"{method} {path} {headers.get(ORDER_HEADER) or headers.get('Idempotency-Key') or ''}"


def order_of(headers: Mapping[str, str]) -> str:
    """The order that a request belongs to, ``""`` for none."""
    return headers.get(ORDER_HEADER, "")


def plan(seed: int, faults: Faults, service: str, key: str, seen: int, order: str = "") -> Plan:
    """What happens to the request ``key`` of ``service`` that was seen ``seen`` times before."""
    which, how_long, effect, slow_down = _draws(f"{seed}|{service}|{key}|{seen}")
    delay = faults.latency * math.exp(faults.spread * _STANDARD_NORMAL.inv_cdf(how_long))
    if faults.outage is not None and _hit(faults.outage, service, order):
        return Plan("outage", delay)
    fault = _choose(faults, which)
    if fault == "slow":
        delay = faults.slow_seconds * (1 + slow_down / 4)
    return Plan(fault, delay, effect < 0.5)


def _choose(faults: Faults, which: float) -> str:
    upper = 0.0
    for fault, rate in faults.rates():
        upper += rate
        if which < upper:
            return fault
    return ""


def _hit(outage: Outage, service: str, order: str) -> bool:
    number = order.rpartition("-")[2]
    return service == outage.service and number.isdecimal() and outage.first <= int(number) <= outage.last


def _draws(text: str) -> tuple[float, ...]:
    """Independent uniform numbers between 0 and 1 (exclusive), the same for a text on every machine."""
    digest = blake2b(text.encode(), digest_size=_WORD * _WORDS).digest()
    words = (int.from_bytes(digest[start : start + _WORD]) for start in range(0, len(digest), _WORD))
    return tuple(((word >> 11) + 0.5) / 2**53 for word in words)
