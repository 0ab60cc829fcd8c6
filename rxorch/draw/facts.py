"""What a picture says about an endpoint, in short words and without secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from rxorch.config import APIOrchestrationConfig
from rxorch.endpoint import APIEndpoint
from rxorch.http.masking import printable
from rxorch.http.redaction import redact_url
from rxorch_operators._seconds import seconds_words

__all__ = ["EndpointFacts", "called", "facts_of", "printable", "settings_of", "shown_name"]

_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What is shown of an endpoint.

    Args:
        name: its name.
        method: its method.
        url: its template, secrets replaced; empty where urls are not shown.
        chips: its policies, as far as it sets them itself.
        condition: what its condition is called; None without one.
        depends_on: names of the endpoints that it waits for.
    """

    name: str
    method: str
    url: str
    chips: tuple[str, ...]
    condition: str | None
    depends_on: tuple[str, ...]

    @property
    def request(self) -> str:
        """Method and url."""
        return f"{self.method} {self.url}".rstrip()

    def lines(self) -> list[str]:
        """The facts in a few lines, for a node that is nothing but text."""
        lines = [self.name, self.request]
        if self.condition is not None:
            lines.append(f"if {self.condition}")
        if self.chips:
            lines.append(" · ".join(self.chips))
        return lines


def facts_of(endpoint: APIEndpoint, config: APIOrchestrationConfig, *, urls: bool = True) -> EndpointFacts:
    """The facts of an endpoint that runs with these settings, with or without its url."""
    return EndpointFacts(
        endpoint.name,
        endpoint.method,
        printable(redact_url(endpoint.url)) if urls else "",
        tuple(_chips(endpoint, config)),
        None if endpoint.condition is None else called(endpoint.condition),
        tuple(endpoint.depends_on),
    )


def settings_of(config: APIOrchestrationConfig) -> tuple[str, ...]:
    """What holds for the whole run."""
    total, threshold = config.total_timeout, config.circuit_breaker_threshold
    shown = [f"at most {config.max_concurrent} at once"]
    shown.append("no total timeout" if total is None else f"total timeout {seconds_words(total, exact=True)}")
    if threshold is not None:
        shown.append(f"breaker {threshold}")
    if config.global_rate_limit is not None:
        shown.append(_rate(config.global_rate_limit, config.rate_limit_window))
    if config.cache_ttl:
        shown.append(f"cache {seconds_words(config.cache_ttl, exact=True)}")
    if config.fail_fast:
        shown.append("fail fast")
    return tuple(shown)


def called(function: Callable[..., Any]) -> str:
    """The name of a callable, as far as it says anything."""
    name = getattr(function, "__name__", type(function).__name__)
    return (
        "condition" if not isinstance(name, str) or name == "<lambda>" else shown_name(name[:_LONGEST_NAME])
    )


def shown_name(endpoint: str) -> str:
    """The name of an endpoint, fit to be shown: one that a call was given may be a url.

    >>> shown_name("fetch_customer_orders_v2_by_id"), shown_name("https://me:pw@api.example.com")
    ('fetch_customer_orders_v2_by_id', 'https://***@api.example.com')
    """
    return printable(redact_url(endpoint))


def _chips(endpoint: APIEndpoint, config: APIOrchestrationConfig) -> Iterator[str]:
    given = endpoint.model_fields_set
    if "timeout" in given:
        yield (
            "no timeout"
            if endpoint.timeout is None
            else f"timeout {seconds_words(endpoint.timeout, exact=True)}"
        )
    if endpoint.total_timeout is not None:
        yield f"total {seconds_words(endpoint.total_timeout, exact=True)}"
    if given & {"retry", "retry_count"}:
        repeats = endpoint.max_attempts - 1
        yield f"retry {repeats}x" if repeats else "no retry"
    yield from _limits(endpoint, config)
    if endpoint.circuit_breaker is not None:
        yield "no breaker" if endpoint.circuit_breaker is False else "breaker"
    if endpoint.cache_ttl is not None:
        yield f"cache {seconds_words(endpoint.cache_ttl, exact=True)}" if endpoint.cache_ttl else "no cache"
    if endpoint.follow_redirects:
        yield f"redirects {endpoint.follow_redirects.max_hops}"
    if endpoint.auth:
        yield "auth"
    if endpoint.stream is not None:
        yield f"stream {endpoint.stream}"
    if endpoint.error_handler is not None:
        yield "fallback"


def _limits(endpoint: APIEndpoint, config: APIOrchestrationConfig) -> Iterator[str]:
    if endpoint.rate_limit is not None:
        yield _rate(endpoint.rate_limit, endpoint.rate_limit_window or config.rate_limit_window)
    elif endpoint.rate_limiter is not None:
        meter = endpoint.rate_limiter.line.meter
        yield _rate(meter.limit, meter.window)


def _rate(limit: float, window: float) -> str:
    return f"{limit:g}/{window:g}s"
