"""What a run gives back: an outcome for every endpoint, and the results by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rxorch.events import Event
from rxorch.quick import quick
from rxorch.showing import MaskedRepr, Shown, drawn
from rxorch_operators._seconds import seconds_words

__all__ = ["OrchestrationResult", "Outcome", "OutcomeStatus"]


class OutcomeStatus(StrEnum):
    """How one endpoint of a run ended.

    `UNKNOWN`: a request that may change something was sent, and no answer came: nobody knows if it acted.
    """

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


_LOST = frozenset({OutcomeStatus.FAILED, OutcomeStatus.CANCELLED, OutcomeStatus.UNKNOWN})


@quick
@dataclass(frozen=True, slots=True, repr=False)
class Outcome(MaskedRepr):
    """How one endpoint of a run ended.

    Attributes:
        status: See `OutcomeStatus`.
        value: Its result; None unless the status is OK.
        error: What failed it; with `degraded`, the error that was handled; for a skip that a failure caused,
            an `ApiDependencyError`.
        attempts: How often it was tried.
        started: Seconds from the start of the run, None if it never started.
        duration: Seconds it took.
        degraded: The value is a substitute: of its `error_handler`, or with `stale` of the HTTP cache.
        reason: Why it was skipped, in one line.
        cached: The value came from the cache.
        stale: It is past its time: the HTTP cache gave it as its server allowed, with `degraded` in the place
            of `error`.
    """

    status: OutcomeStatus
    value: Any = field(default=None, repr=False)  # a printed outcome must not show somebody's data
    error: BaseException | None = None
    attempts: int = 0
    started: float | None = None
    duration: float = 0.0
    degraded: bool = False
    reason: str | None = None
    cached: bool = False
    stale: bool = False

    @property
    def ok(self) -> bool:
        """Whether there is a value, a substitute included."""
        return self.status is OutcomeStatus.OK


class OrchestrationResult(Shown, Mapping[str, Any]):
    """The results of one run, by endpoint name and in endpoint order; read-only.

    An endpoint that failed or was skipped is there with None; `outcomes`, `errors` and `skipped` say why.

    >>> from rxorch import OrchestrationResult, Outcome, OutcomeStatus
    >>> result = OrchestrationResult({"user": Outcome(OutcomeStatus.OK, {"id": 7})})
    >>> result["user"], result.ok
    ({'id': 7}, True)
    """

    __slots__ = ("_value", "duration", "events", "outcomes", "run")

    def __init__(
        self,
        outcomes: Mapping[str, Outcome],
        *,
        value: Any = None,
        events: Sequence[Event] = (),
        duration: float = 0.0,
        run: str | None = None,
    ) -> None:
        self.outcomes: dict[str, Outcome] = dict(outcomes)
        self.events = tuple(events)
        self.duration = duration
        self.run = run
        self._value = value

    def waterfall(self, *, title: str | None = None) -> Any:
        """What happened when, as a picture: a `rxorch.draw.Waterfall`.

        Args:
            title: What stands above it.

        Raises:
            ApiConfigurationError: The result kept no events; those of `execute` do.
        """
        return drawn("waterfall", self, title=title)

    def __getitem__(self, name: str) -> Any:
        try:
            return self.outcomes[name].value
        except KeyError:
            known = ", ".join(map(repr, self.outcomes)) or "none"
            raise KeyError(f"no endpoint {name!r} in this result; there are {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.outcomes)

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def ok(self) -> bool:
        """Whether nothing was lost: every endpoint gave a value, or was skipped by a condition.

        A skip that a failure caused comes with that failure, so the failures decide.
        """
        for outcome in self.outcomes.values():  # noqa: SIM110 - any() makes a generator, and takes as long again
            if outcome.status in _LOST:
                return False
        return True

    @property
    def value(self) -> Any:
        """What the last step gave."""
        return self._value

    @property
    def errors(self) -> dict[str, BaseException]:
        """The errors by name: of failed, cancelled and unknown endpoints; handled errors are not here."""
        return {
            name: outcome.error
            for name, outcome in self.outcomes.items()
            if outcome.error is not None and outcome.status in _LOST
        }

    @property
    def skipped(self) -> dict[str, str]:
        """The reasons by name."""
        return {
            name: outcome.reason or "skipped"
            for name, outcome in self.outcomes.items()
            if outcome.status is OutcomeStatus.SKIPPED
        }

    def __repr__(self) -> str:
        # Names and fates only: values may be secrets, and a result is printed all the time.
        parts = ", ".join(f"{name}={outcome.status}" for name, outcome in self.outcomes.items())
        return f"<OrchestrationResult {parts or 'empty'}; {seconds_words(self.duration)}>"
