"""The building blocks APIEndpoint, OrchestrationMode and APIOrchestrationConfig: every argument shown."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from rxorch import APIEndpoint, APIOrchestrationConfig, OrchestrationMode


def user_service(**changes: Any) -> APIEndpoint:
    arguments: dict[str, Any] = {
        "name": "user_service",
        "url": "https://api.example.com/users",
        "method": "GET",
        "headers": {"Authorization": "Bearer token"},
        "params": {"limit": 100},
        "timeout": 30.0,
        "retry_count": 3,
        "retry_delay": 1.0,
        "rate_limit": 60,
        "response_parser": lambda r: r.json(),
        "depends_on": ["auth_service"],
    }
    return APIEndpoint(**(arguments | changes))


def test_endpoint_keeps_every_argument_it_was_given() -> None:
    """APIEndpoint: the full constructor of the core components section."""
    endpoint = user_service()

    assert endpoint.name == "user_service"
    assert str(endpoint.url) == "https://api.example.com/users"
    assert endpoint.method == "GET"
    assert dict(endpoint.headers) == {"Authorization": "Bearer token"}
    assert dict(endpoint.params) == {"limit": 100}
    assert (endpoint.timeout, endpoint.retry_count, endpoint.retry_delay) == (30.0, 3, 1.0)
    assert endpoint.rate_limit == 60
    assert callable(endpoint.response_parser)
    assert list(endpoint.depends_on) == ["auth_service"]


def test_endpoint_needs_no_more_than_name_and_url() -> None:
    """APIEndpoint: the short form reads with GET and depends on nothing."""
    endpoint = APIEndpoint(name="api", url="https://api.example.com")

    assert endpoint.method == "GET"
    assert list(endpoint.depends_on) == []
    assert endpoint.condition is None


def test_endpoint_is_frozen() -> None:
    """APIEndpoint: a declared endpoint cannot change under a running orchestration."""
    endpoint = user_service()

    with pytest.raises(ValidationError, match="frozen"):
        endpoint.timeout = 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"retries": 3},
        {"url": "not an address"},
        {"method": "FETCH IT"},
        {"timeout": -1.0},
        {"retry_count": -1},
        {"retry_delay": -0.5},
        {"rate_limit": -60},
    ],
    ids=lambda change: next(iter(change)),
)
def test_endpoint_refuses_what_cannot_be_meant(change: dict[str, Any]) -> None:
    """APIEndpoint: unknown fields, bad urls, bad methods and negative numbers name the field."""
    with pytest.raises(ValidationError) as caught:
        user_service(**change)

    assert next(iter(change)) in str(caught.value)


def test_the_six_modes() -> None:
    """OrchestrationMode: exactly the six documented members."""
    assert {mode.name for mode in OrchestrationMode} == {
        OrchestrationMode.SEQUENTIAL.name,
        OrchestrationMode.PARALLEL.name,
        OrchestrationMode.FANOUT.name,
        OrchestrationMode.PIPELINE.name,
        OrchestrationMode.CONDITIONAL.name,
        OrchestrationMode.HYBRID.name,
    }
    assert len(OrchestrationMode) == 6


def test_config_keeps_every_argument_it_was_given() -> None:
    """APIOrchestrationConfig: the full constructor of the core components section."""
    endpoint1, endpoint2, endpoint3 = (
        APIEndpoint(name=f"endpoint{i}", url=f"https://api.example.com/{i}") for i in (1, 2, 3)
    )
    config = APIOrchestrationConfig(
        endpoints=[endpoint1, endpoint2, endpoint3],
        mode=OrchestrationMode.SEQUENTIAL,
        max_concurrent=10,
        total_timeout=300.0,
        fail_fast=False,
        global_rate_limit=100,
        error_threshold=0.1,
        circuit_breaker_threshold=5,
        circuit_breaker_timeout=60.0,
        cache_ttl=300,
        metrics_enabled=True,
    )

    assert [endpoint.name for endpoint in config.endpoints] == ["endpoint1", "endpoint2", "endpoint3"]
    assert config.mode is OrchestrationMode.SEQUENTIAL
    assert (config.max_concurrent, config.total_timeout, config.fail_fast) == (10, 300.0, False)
    assert (config.global_rate_limit, config.error_threshold) == (100, 0.1)
    assert (config.circuit_breaker_threshold, config.circuit_breaker_timeout) == (5, 60.0)
    assert (config.cache_ttl, config.metrics_enabled) == (300, True)


def test_config_defaults() -> None:
    """APIOrchestrationConfig: what holds when nothing is said."""
    config = APIOrchestrationConfig()

    assert list(config.endpoints) == []
    assert config.mode is OrchestrationMode.SEQUENTIAL
    assert (config.max_concurrent, config.total_timeout, config.fail_fast) == (10, 300.0, False)
    assert config.rate_limit_window == 60


def named(name: str, *depends_on: str) -> APIEndpoint:
    return APIEndpoint(name=name, url=f"https://api.example.com/{name}", depends_on=list(depends_on))


@pytest.mark.parametrize(
    ("endpoints", "told"),
    [
        ([user_service()], ["user_service", "auth_service"]),
        ([named("a", "b"), named("b", "a")], ["a", "b"]),
        ([named("twin"), named("twin")], ["twin"]),
        ([APIEndpoint(name="user", url="https://api.example.com/{auth.token}")], ["user", "auth"]),
    ],
    ids=["unknown dependency", "circle", "duplicate name", "field that nothing supplies"],
)
def test_config_refuses_an_orchestration_that_cannot_run(
    endpoints: list[APIEndpoint], told: list[str]
) -> None:
    """depends_on: mistakes are found when the config is built, and the message says where."""
    with pytest.raises(ValidationError) as caught:
        APIOrchestrationConfig(endpoints=endpoints)

    for word in told:
        assert word in str(caught.value)


def test_fanout_refuses_dependencies() -> None:
    """OrchestrationMode.FANOUT: one input to all at once, so nothing may wait for another."""
    with pytest.raises(ValidationError, match="depend"):
        APIOrchestrationConfig(endpoints=[named("a"), named("b", "a")], mode=OrchestrationMode.FANOUT)
