"""Whatever stands in a file, it is a flow or a `FlowFileError`."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rxorch import ApiConfigurationError
from rxorch.flowfile import load_flow, starter

PIECES = [
    "name",
    "url",
    "http://x.test/{a}",
    "depends_on",
    "[a]",
    "retry",
    "auth",
    "bearer",
    "${X}",
    "${",
    "$$",
    "- ",
    ": ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    "'",
    '"',
    "&a ",
    "*a",
    "<<",
    "!!int ",
    "null",
    "1e999",
    "-1",
    "condition",
    "a[?b]",
    "parallel",
    "conditional",
    "if",
    "then",
    "mode",
    "\t",
    "\0",
    "é",
    "#",
    "|",
    ">",
    "rate",
    "5/s",
    "headers",
]


def harmless(text: str) -> None:
    with contextlib.suppress(ApiConfigurationError):
        load_flow(text=text, variables={"X": "x"})


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
@settings(max_examples=300, deadline=None)
def test_pieces(text: str) -> None:
    harmless(text)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_flow_with_something_changed(data: Any) -> None:
    text = starter()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.sampled_from(PIECES)) + text[end:]
    harmless(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(PIECES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(PIECES), inner, max_size=3),
    max_leaves=6,
)


FIELDS = sorted(
    {
        "auth",
        "retry",
        "rate",
        "headers",
        "params",
        "condition",
        "circuit_breaker",
        "rate_limiter",
        "error_handler",
        "body",
        "depends_on",
        "timeout",
        "method",
        "stream",
        "follow_redirects",
        "retry_on",
        "idempotency_key",
        "transform_input",
    }
)


@given(st.sampled_from(FIELDS), values)
@settings(max_examples=400, deadline=None)
def test_any_value_in_any_field(field: str, value: Any) -> None:
    endpoint = {"name": "a", "url": "http://x.test/", field: value}
    harmless(json.dumps({"endpoints": [endpoint]}))
    harmless(json.dumps({"defaults": {field: value}, "endpoints": [{"name": "a", "url": "http://x.test/"}]}))


TOP = [
    "mode", "rate", "global_rate_limit", "base_url", "defaults", "max_concurrent", "total_timeout",
    "result_merger", "cache_key_generator", "error_threshold", "fail_fast", "endpoints", "x-any",
]  # fmt: skip
GROUPS = ["parallel", "sequential", "fanout", "pipeline", "graph", "conditional"]


@given(st.sampled_from(TOP), values)
@settings(max_examples=200, deadline=None)
def test_any_value_in_any_field_of_the_flow(field: str, value: Any) -> None:
    harmless(json.dumps({"endpoints": [{"name": "a", "url": "http://x.test/"}], field: value}))


@given(st.sampled_from(GROUPS), values, st.sampled_from(["max_concurrent", "if", "then", "name"]), values)
@settings(max_examples=300, deadline=None)
def test_any_value_in_any_group(kind: str, value: Any, other: str, more: Any) -> None:
    endpoint = {"name": "a", "url": "http://x.test/"}
    harmless(json.dumps({"endpoints": [{kind: value, other: more}]}))
    harmless(json.dumps({"endpoints": [{kind: [endpoint, value], other: more}]}))
    harmless(json.dumps({"endpoints": [{kind: {"if": value, "then": endpoint, "else": more}}]}))


@given(st.sampled_from(["retry", "circuit_breaker", "rate_limiter", "auth", "follow_redirects"]), st.data())
@settings(max_examples=300, deadline=None)
def test_any_value_in_any_field_of_a_policy(policy: str, data: Any) -> None:
    names = [
        "max_attempts", "base", "jitter", "kind", "size", "failure_rate", "timeout", "rate", "burst",
        "window", "rate_limit", "max_wait", "clock", "basic", "api_key", "oauth2", "bearer", "max_hops",
    ]  # fmt: skip
    given = data.draw(st.dictionaries(st.sampled_from([*names, "name"]), values, max_size=3))
    endpoint = {"name": "a", "url": "http://x.test/", policy: given}
    harmless(json.dumps({"endpoints": [endpoint]}))
