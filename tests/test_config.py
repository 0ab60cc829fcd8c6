"""The config: ranges, types, what it hides, and the flow that it stands for."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from rxorch import (
    APIEndpoint,
    APIOrchestrationConfig,
    OrchestrationMode,
    conditional,
    parallel,
    sequential,
)
from rxorch.flow import Call, Flow, Group, Kind
from tests.support.fake_transport import api, apis


def refused(**fields: Any) -> list[dict[str, Any]]:
    """The faults that pydantic names."""
    with pytest.raises(ValidationError) as caught:
        APIOrchestrationConfig(**fields)
    return [dict(fault) for fault in caught.value.errors()]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("max_concurrent", [0, -1, 1.5, None]),
        ("total_timeout", [0, -1, math.inf, math.nan]),
        ("global_rate_limit", [0, -1, 1.5]),
        ("rate_limit_window", [0, -1, math.inf, None]),
        ("error_threshold", [-0.1, 1.1, math.nan]),
        ("error_threshold_min_calls", [0, -1, None]),
        ("circuit_breaker_threshold", [0, -1]),
        ("circuit_breaker_timeout", [0, -1, math.nan]),
        ("cache_ttl", [0, -1, math.inf]),
        ("mode", ["turbo", None]),
        ("result_merger", ["not callable"]),
        ("cache_key_generator", [7]),
        ("fail_fast", ["perhaps"]),
        ("endpoints", [7, [7], [{"name": "a"}]]),
    ],
)
def test_a_value_out_of_range_is_refused_and_its_field_named(field: str, values: list[Any]) -> None:
    for value in values:
        assert {fault["loc"][0] for fault in refused(**{field: value})} == {field}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("total_timeout", None),
        ("circuit_breaker_threshold", None),
        ("error_threshold", 0),
        ("error_threshold", 1),
        ("error_threshold_min_calls", 1),
        ("max_concurrent", 1),
        ("cache_ttl", 0.001),
    ],
)
def test_a_value_at_the_edge_is_taken(field: str, value: Any) -> None:
    assert getattr(APIOrchestrationConfig(**{field: value}), field) == value


def test_an_unknown_field_is_refused() -> None:
    (fault,) = refused(max_concurent=3)
    assert fault["loc"] == ("max_concurent",) and fault["type"] == "extra_forbidden"


def test_it_is_frozen() -> None:
    with pytest.raises(ValidationError):
        APIOrchestrationConfig().fail_fast = True


def test_an_error_quotes_no_value() -> None:
    given: dict[str, Any] = {"global_rate_limit": "canary-4242", "endpoints": ["canary-4242"]}
    with pytest.raises(ValidationError) as caught:
        APIOrchestrationConfig(**given)
    assert "canary" not in str(caught.value)


async def later(value: Any) -> Any:
    return value


@pytest.mark.parametrize("field", ["result_merger", "result_transformer", "cache_key_generator"])
def test_what_is_called_without_waiting_must_not_be_async(field: str) -> None:
    """Its coroutine would be the result, and nobody would ever run it."""
    (fault,) = refused(**{field: later})
    assert field in fault["msg"] and "async" in fault["msg"]


@pytest.mark.parametrize("field", ["result_merger", "result_transformer"])
@pytest.mark.parametrize("function", [lambda: None, lambda a, b: None], ids=["none", "two"])
def test_a_merger_takes_one_parameter(field: str, function: Any) -> None:
    (fault,) = refused(**{field: function})
    assert field in fault["msg"] and "one parameter" in fault["msg"]


@pytest.mark.parametrize(
    "function", [list, len, str, sum, lambda values, extra=1: values, lambda *values: values]
)
def test_whatever_can_be_called_with_one_value_will_do(function: Any) -> None:
    assert APIOrchestrationConfig(result_merger=function).result_merger is function


def test_a_key_generator_takes_the_endpoint_or_the_data_too() -> None:
    for function in (lambda endpoint: 1, lambda endpoint, data: 1):
        APIOrchestrationConfig(cache_key_generator=function)
    (fault,) = refused(cache_key_generator=lambda a, b, c: 1)
    assert "cache_key_generator" in fault["msg"]


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (OrchestrationMode.SEQUENTIAL, Kind.SEQUENTIAL),
        (OrchestrationMode.PARALLEL, Kind.PARALLEL),
        (OrchestrationMode.FANOUT, Kind.FANOUT),
        (OrchestrationMode.PIPELINE, Kind.PIPELINE),
        (OrchestrationMode.CONDITIONAL, Kind.CONDITIONAL),
        (OrchestrationMode.HYBRID, Kind.GRAPH),
    ],
)
def test_a_mode_stands_for_a_kind_of_group(mode: OrchestrationMode, kind: Kind) -> None:
    a, b = apis("ab")
    config = APIOrchestrationConfig(endpoints=[a, b], mode=mode)
    assert config.flow() == Group(kind, (Call(a), Call(b)))


@pytest.mark.parametrize("mode", ["parallel", OrchestrationMode.PARALLEL])
def test_a_mode_may_be_written_as_text(mode: Any) -> None:
    assert APIOrchestrationConfig(mode=mode).mode is OrchestrationMode.PARALLEL


def test_combinators_may_stand_among_the_endpoints() -> None:
    steps: list[APIEndpoint | Flow] = [api("a"), parallel(*apis("bc")), conditional(bool, then=api("d"))]
    assert APIOrchestrationConfig(endpoints=steps).flow() == sequential(*steps)


def test_what_is_wrong_within_a_combinator_is_found_too() -> None:
    (fault,) = refused(endpoints=[api("a"), parallel(api("b", depends_on=["z"]))])
    assert "'b'" in fault["msg"] and "depends_on" in fault["msg"]


def test_an_endpoint_may_be_written_as_a_mapping() -> None:
    config = APIOrchestrationConfig(endpoints=[{"name": "a", "url": "http://shop.test/"}])  # type: ignore[list-item]
    assert config.endpoints == [api("a", "http://shop.test/")]


def test_changing_the_list_that_was_given_changes_nothing() -> None:
    given = [api("a")]
    config = APIOrchestrationConfig(endpoints=given)
    given.append(api("a"))
    assert len(config.endpoints) == 1
