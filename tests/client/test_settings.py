"""Wrong settings are named when a client or a strategy is made."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest

from rxorch.client import (
    AioHttpClient,
    ApiClient,
    BaseRequestHook,
    RetryRequestStrategy,
    TokenBucketRateLimiter,
)
from rxorch.client.limiter import limiter_from
from rxorch.errors import ApiConfigurationError
from rxorch_operators import RetryPolicy
from tests.support.fake_transport import FakeTransport


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("backoff", [-1, math.nan, math.inf, True, "2"]),
        ("jitter", ["x", 5, ["full"]]),
        ("max_retries", [-1, True, "3", 1.5]),
        ("retry", [object(), RetryPolicy, 3]),
        ("hooks", [BaseRequestHook(), "hook", 5, {"a": 1}, [object()], [BaseRequestHook]]),
        ("limiter", [7, TokenBucketRateLimiter]),
    ],
)
def test_a_strategy_says_what_is_wrong(field: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ApiConfigurationError, match=rf"^{field}\b"):
            RetryRequestStrategy(**{field: value})


@pytest.mark.parametrize("value", [0, -1, "30", True, math.nan, math.inf])
def test_a_time_limit_is_a_number_of_seconds(value: Any) -> None:
    with pytest.raises(ApiConfigurationError, match="default_timeout"):
        AioHttpClient(default_timeout=value)

    class Mine:
        default_timeout = value

        async def request(self, method: str, url: str, **more: Any) -> Any: ...

    with pytest.raises(ApiConfigurationError, match="default_timeout"):
        RetryRequestStrategy(http=cast("Any", Mine()))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("breaker_threshold", [0, -1, 1.5, True, "5"]),
        ("breaker_timeout", [0, -1, math.nan, math.inf, None, "60"]),
        ("cache_ttl", [-1, math.nan, math.inf, "60", True]),
        ("global_rate_limit", [0, -1, math.nan, "100", True]),
        ("rate_limit_window", [0, -1, math.nan, None, "60"]),
        ("max_in_flight", [0, -1, 1.5, True, "5"]),
        ("retry_budget", [None, 1, "yes"]),
        ("base_url", [5, b"https://api.test", "api.test"]),
        ("hooks", [BaseRequestHook(), "hook", 5]),
        ("strategy", [RetryRequestStrategy, object()]),
        ("follow_redirects", ["yes"]),
        ("http_cache", ["yes"]),
        ("auth", ["token"]),
    ],
)
def test_a_client_says_what_is_wrong(field: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ApiConfigurationError, match=rf"^{field}\b"):
            ApiClient(FakeTransport(), **{field: value})


def test_what_is_right_is_taken() -> None:
    ApiClient(breaker_threshold=None, cache_ttl=0, max_in_flight=1, global_rate_limit=2, breaker_timeout=0.5)
    RetryRequestStrategy(backoff=0, jitter="equal", max_retries=0, hooks=(BaseRequestHook(),))


# -- limiters by key -----------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [{"burst": 3}, {"max_wait": 1}, {"period": 30}, {"max_requests": 6}])
def test_a_key_means_one_limit_in_every_number(other: dict[str, Any]) -> None:
    config = {"key": "numbers", "max_requests": 5, "period": 60}
    first = limiter_from(config)
    assert limiter_from({**config, "burst": first.line.meter.burst}) is first
    with pytest.raises(ApiConfigurationError, match="the key 'numbers' is in use for 5 requests per 60 s"):
        limiter_from({**config, **other})


@pytest.mark.parametrize("key", [["a"], 5, "", b"a"])
def test_a_key_is_text(key: Any) -> None:
    with pytest.raises(ApiConfigurationError, match="limiter: 'key' is text"):
        limiter_from({"key": key, "max_requests": 5})


@pytest.mark.parametrize("value", ["5", None, True, [1]])
def test_a_number_in_use_already_is_checked_too(value: Any) -> None:
    first = limiter_from({"key": "checked", "max_requests": 5})
    with pytest.raises(ApiConfigurationError, match="limiter: "):
        limiter_from({"key": "checked", "max_requests": value})
    assert first.max_requests == 5
