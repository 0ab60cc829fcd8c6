"""What is made of the fields of an endpoint once, for all its calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from reactivex import Observable

from rxorch.endpoint.model import APIEndpoint
from rxorch.endpoint.notes import uncancelled
from rxorch.endpoint.template import absolute_url, is_relative
from rxorch.endpoint.values import call_with_context
from rxorch.errors import ApiConfigurationError
from rxorch_operators import timeout

__all__ = ["handler_of", "placed", "rate_cost_of", "time_limit_of"]


def handler_of(endpoint: APIEndpoint) -> Callable[[Any, Any], Any] | None:
    """Its `error_handler` as a function of error and context."""
    handler = endpoint.error_handler
    if handler is None:
        return None
    return partial(uncancelled, call_with_context(handler, label="error_handler"))


def rate_cost_of(endpoint: APIEndpoint) -> Callable[[Any, Any], Any] | None:
    """What an attempt costs, as a function of data and context; None where it is 1."""
    cost = endpoint.rate_cost
    if cost == 1:
        return None
    return call_with_context(cost, label="rate_cost") if callable(cost) else lambda *_: cost


def time_limit_of(endpoint: APIEndpoint) -> Callable[[Observable[Any]], Observable[Any]] | None:
    """The limit for one attempt, as an operator."""
    if endpoint.timeout is None:
        return None
    if endpoint.stream is not None:
        return timeout(first=endpoint.timeout, each=endpoint.timeout)
    return timeout(endpoint.timeout, kind="attempt")


def placed(endpoint: APIEndpoint, base_url: str | None) -> APIEndpoint:
    """The endpoint with its path behind the base url of a client."""
    if not is_relative(endpoint.url):
        return endpoint
    if base_url is None:
        raise ApiConfigurationError(
            "its url is a path, and the client has no base_url to put it behind", endpoint=endpoint.name
        )
    return endpoint.model_copy(update={"url": absolute_url(endpoint.url, base_url)})
