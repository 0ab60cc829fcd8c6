"""Findings: made where they are right, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from rxorch import (
    APIEndpoint,
    graph,
)
from rxorch.worst_case import worst_case
from tests.support.fake_transport import api
from tests.worst_case.judged import codes, judged


def post(**fields: Any) -> APIEndpoint:
    return api("a", method="POST", **fields)


UNSAFE = {"retry_on": [500], "idempotency_key": None}


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        (api("a"), None),
        (api("a", timeout=None), "no-timeout"),
        (api("a", timeout=None, total_timeout=9.0), None),
        (post(**UNSAFE), "unsafe-retry"),
        (post(retry_on=[500]), None),
        (post(retry_on=[429, 503], idempotency_key=None), None),
        (post(**UNSAFE, headers={"Idempotency-Key": "{id}"}), None),
        (post(**UNSAFE, retry_count=0), None),
        (post(**UNSAFE, idempotent=True), None),
        (post(idempotency_key=None), None),
        (api("a", retry_count=5), "breaker-in-retries"),
        (api("a", retry_count=4), None),
        (api("a", retry_count=5, circuit_breaker=False), None),
        (api("a", timeout=60.0), "timeout-not-retried"),
        (api("a", timeout=60.0, retry_count=0), None),
        (api("a", total_timeout=30.0), "timeout-not-retried"),
        (api("a", total_timeout=40.0), "short-total-timeout"),
        (api("a", total_timeout=90.0), None),
        (api("a", rate_limit=100), "pace"),
        (api("a", rate_limit=100_000), None),
        (api("a", rate_limit=100_000, rate_cost=1_000), "pace"),
        (api("a", rate_limit=100, rate_cost=lambda data: 1), None),
        (api("a", retry_count=9, circuit_breaker=False), "amplification"),
    ],
)
def test_a_finding_is_made_where_it_is_right(endpoint: APIEndpoint, code: str | None) -> None:
    assert [found for found in codes(judged(endpoint)) if found != "amplification" or code == found] == (
        [code] if code else []
    )


def test_the_pace_of_a_batch_is_that_of_its_limiter() -> None:
    case = judged(api("a"), global_rate_limit=100)
    assert [str(finding) for finding in case.findings] == [
        "note pace: 1,000 requests take at least 593.4 s by global_rate_limit (100 in 60 s)"
    ]


@pytest.mark.parametrize(
    ("fields", "unread"),
    [
        ({}, True),
        ({"url": "http://shop.test/{a.id}"}, False),
        ({"params": {"by": "{a}"}}, False),
        ({"transform_input": lambda data: data}, False),
        ({"condition": lambda data: True}, False),
        ({"transform_output": lambda value, context: value}, False),
        ({"method": "POST"}, False),
        ({"method": "POST", "body": {"x": 1}}, True),
        ({"params": {"by": "{ab.id}"}, "depends_on": ["a", "ab"]}, True),
    ],
)
def test_a_dependency_that_nothing_can_read(fields: dict[str, Any], unread: bool) -> None:
    url = fields.pop("url", "http://shop.test/b")
    last = api("b", url, **{"depends_on": ["a"], **fields})
    assert ("unread-dependency" in codes(worst_case(graph(api("a"), api("ab"), last)))) is unread


def test_warnings_come_first() -> None:
    case = judged(api("a", rate_limit=1), api("b", timeout=None))
    assert [finding.level for finding in case.findings] == ["warning", "note"]
    assert case.warnings == case.findings[:1]
