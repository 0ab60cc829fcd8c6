"""Policy: what is to be different, and what stays as it was."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from random import Random
from typing import Any, Final, Literal

from pydantic import ValidationError

from rxorch.config import APIOrchestrationConfig
from rxorch.draw.subject import Drawable, subject_of
from rxorch.endpoint import APIEndpoint
from rxorch.endpoint.defaults import CallDefaults
from rxorch.errors import ApiConfigurationError
from rxorch.faults import faults_of
from rxorch.flow.plan import walk
from rxorch_operators import RateLimiter, RetryPolicy

__all__ = ["Given", "Policy", "given_of"]

_OF_CALLER: Final = frozenset(
    {"circuit_breaker_threshold", "circuit_breaker_timeout", "global_rate_limit", "retry_budget"}
)
_KEPT: Final = (
    "method", "timeout", "total_timeout", "retry_count", "retry_delay", "retry_jitter", "retry_on",
    "idempotent", "rate_limit", "burst_limit", "rate_limit_window", "circuit_breaker", "retry",
    "idempotency_key",
)  # fmt: skip
"""What of an endpoint a replay keeps: that which does not look at data."""

_OF_RATE: Final = ("burst_limit", "rate_limit_window")
_OF_RETRY: Final = ("retry_count", "retry_delay", "retry_jitter")
_NOWHERE: Final = "recorded.invalid"
_HOST: Final = re.compile(r"https?://([^/{}?#]+)(?:[/?]|$)")  # a retry budget is that of a host


class _AsItWas:
    """Says that a policy leaves something as it was."""

    def __repr__(self) -> str:
        return "AS_IT_WAS"


AS_IT_WAS: Final[Any] = _AsItWas()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy to try: what it does not name stays as it was.

    Args:
        timeout: Seconds for one attempt; None: no limit.
        total_timeout: Seconds for a call with all its attempts and waits; None: no limit.
        retry_count: Attempts after the first one.
        retry_delay: Base of the waits, in seconds.
        retry_jitter: "full", "equal", "decorrelated" or "none".
        retry_on: HTTP statuses to retry.
        retry: All settings of the repetition at once.
        idempotent: Whether a repetition is harmless.
        rate_limit: Attempts in `rate_limit_window`; None: no limit.
        burst_limit: How many of them may go at once.
        rate_limit_window: Seconds.
        circuit_breaker: False: none.
        circuit_breaker_threshold: Failures in a row that open a circuit; None: no circuits.
        circuit_breaker_timeout: Seconds for which one stays open.
        global_rate_limit: Attempts of all endpoints in `rate_limit_window`; None: no limit.
        retry_budget: Whether repetitions are limited to a share of the calls.
        endpoints: By name, what is different for one endpoint alone.

    >>> Policy(retry_count=4, endpoints={"payment": Policy(timeout=1.0)})
    Policy(retry_count=4, endpoints={'payment': Policy(timeout=1.0)})
    """

    timeout: float | None = AS_IT_WAS
    total_timeout: float | None = AS_IT_WAS
    retry_count: int = AS_IT_WAS
    retry_delay: float | None = AS_IT_WAS
    retry_jitter: Literal["full", "equal", "decorrelated", "none"] = AS_IT_WAS
    retry_on: Collection[int] | None = AS_IT_WAS
    retry: RetryPolicy | None = AS_IT_WAS
    idempotent: bool | None = AS_IT_WAS
    rate_limit: int | None = AS_IT_WAS
    burst_limit: int | None = AS_IT_WAS
    rate_limit_window: float | None = AS_IT_WAS
    circuit_breaker: Literal[False] | None = AS_IT_WAS
    circuit_breaker_threshold: int | None = AS_IT_WAS
    circuit_breaker_timeout: float = AS_IT_WAS
    global_rate_limit: int | None = AS_IT_WAS
    retry_budget: bool = AS_IT_WAS
    endpoints: Mapping[str, Policy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses what only holds for all endpoints together, where it is said of one."""
        for name, own in self.endpoints.items():
            if not isinstance(own, Policy) or own.endpoints or own.changes.keys() & _OF_CALLER:
                raise ApiConfigurationError(
                    f"endpoints: {name!r} needs a Policy of its own, without endpoints and without "
                    f"{', '.join(sorted(_OF_CALLER))}, which hold for all"
                )

    @property
    def changes(self) -> dict[str, Any]:
        """What it names, by field."""
        named = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "endpoints"}
        return {name: value for name, value in named.items() if value is not AS_IT_WAS}

    def of(self, endpoint: str) -> dict[str, Any]:
        """What it changes of an endpoint."""
        own = self.endpoints.get(endpoint)
        both = {**self.changes, **({} if own is None else own.changes)}
        return {name: value for name, value in both.items() if name not in _OF_CALLER}

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in self.changes.items()]
        if self.endpoints:
            shown.append(f"endpoints={dict(self.endpoints)!r}")
        return f"Policy({', '.join(shown)})"


@dataclass(frozen=True, slots=True)
class Given:
    """The policies with which something was recorded.

    Attributes:
        config: Of all endpoints together.
        endpoints: By name, without all that looks at data.
    """

    config: APIOrchestrationConfig
    endpoints: Mapping[str, APIEndpoint]

    def under(self, policy: Policy) -> Given:
        """The same under another policy.

        Raises:
            ApiConfigurationError: It names an endpoint that was not called, or a value that cannot be.
        """
        unknown = policy.endpoints.keys() - self.endpoints.keys()
        if unknown:
            raise ApiConfigurationError(
                f"endpoints: {min(unknown)!r} was not called; there are {', '.join(self.endpoints)}"
            )
        try:
            changed = {name: _changed(each, policy.of(name)) for name, each in self.endpoints.items()}
            common = {name: value for name, value in policy.changes.items() if name in _OF_CALLER}
            config = APIOrchestrationConfig(**{**_common(self.config), **common})
        except ValidationError as error:
            raise ApiConfigurationError(f"policy: {faults_of(error)[0]}") from None
        return Given(config, changed)

    def defaults(self, seed: int) -> CallDefaults:
        """What holds for every endpoint, with chance that is the same for the same seed."""
        config = self.config
        limit = config.global_rate_limit
        return CallDefaults(
            breaker_threshold=config.circuit_breaker_threshold,
            breaker_timeout=config.circuit_breaker_timeout,
            rate_limit_window=config.rate_limit_window,
            global_limiter=None if limit is None else RateLimiter(limit, config.rate_limit_window),
            retry_budget=config.retry_budget,
            random=Random(seed),
        )


def given_of(what: Drawable | None, names: Collection[str]) -> Given:
    """The policies of a flow, for the endpoints of these names; without one those of a plain GET."""
    found: dict[str, APIEndpoint] = {}
    config = APIOrchestrationConfig()
    if what is not None:
        subject = subject_of(what)
        config = subject.config
        found = {call.endpoint.name: call.endpoint for call in walk(subject.plan.root)}
    return Given(config, {name: _bare(name, found.get(name)) for name in names})


def _bare(name: str, endpoint: APIEndpoint | None) -> APIEndpoint:
    if endpoint is None:
        return APIEndpoint(name=name, url=f"http://{_NOWHERE}/{{call}}")
    kept = _kept(endpoint)
    if kept.get("circuit_breaker") is not False:  # one that is shared has a state, and a clock, of its own
        kept.pop("circuit_breaker", None)
    if kept.get("idempotency_key") not in (None, "auto"):
        kept["idempotency_key"] = "key"  # that there is one counts; the data it was made of is not recorded
    host = _HOST.match(endpoint.url)
    return APIEndpoint(name=name, url=f"http://{host[1] if host else _NOWHERE}/{{call}}", **kept)


def _changed(endpoint: APIEndpoint, changes: Mapping[str, Any]) -> APIEndpoint:
    kept = _kept(endpoint)
    for one, other in (("retry", _OF_RETRY), *((name, ("retry",)) for name in _OF_RETRY)):
        if one in changes:
            kept = {name: value for name, value in kept.items() if name not in other}
    settings = {**kept, **changes}
    if settings.get("rate_limit") is None:
        settings = {name: value for name, value in settings.items() if name not in _OF_RATE}
    return APIEndpoint(**{**settings, "name": endpoint.name, "url": endpoint.url})


def _kept(endpoint: APIEndpoint) -> dict[str, Any]:
    return {name: getattr(endpoint, name) for name in _KEPT if name in endpoint.model_fields_set}


def _common(config: APIOrchestrationConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in (*_OF_CALLER, "rate_limit_window")}
